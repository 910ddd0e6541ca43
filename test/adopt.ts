import type { Native } from '../lib/native.js';

/** Takes ownership of a descriptor that nobody owns, as the receiver of a token does. Returns it, or -errno. */
export function adopt(native: Native, fd: number, kind: number): number {
  // Nobody has taken it, and who made it lives.
  const token = new Int32Array(new SharedArrayBuffer(12));
  token.set([0, 1, fd]);
  const result = native.receive(token, Uint32Array.of(kind));
  return result < 0 ? result : fd;
}
