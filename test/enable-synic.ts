import { x64Registers } from '../lib/abi/x64-registers.js';
import type { Partition } from '../lib/index.js';

const { SCONTROL, SIMP, SIEFP } = x64Registers;

/** Lets VPs take messages and events, as their guest would. Their SINTs stay masked. */
export function enableSynic(partition: Partition, ...vps: number[]): void {
  for (const vp of vps) {
    const page = 0xf000_0000n + 0x2000n * BigInt(vp);
    const values = BigUint64Array.of(1n, 0n, page | 1n, 0n, (page + 0x1000n) | 1n, 0n);
    partition.setRegisters(vp, Uint32Array.of(SCONTROL, SIMP, SIEFP), values);
  }
}
