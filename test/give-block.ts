import type { Native } from '../lib/native.js';
import { ExitBlock } from '../lib/vp/exit-block.js';

/** Gives a VP of the bare addon a block for its exits, and returns that. */
export function giveBlock(native: Native, vp: number): Uint8Array {
  const { bytes } = new ExitBlock();
  const result = native.vpUseBlock(vp, bytes);
  if (result < 0) throw new Error(`vpUseBlock(): ${result}`);
  return bytes;
}
