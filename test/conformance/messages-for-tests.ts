import { beforeEach, expect } from 'vitest';

import { hypercalls, type HypercallName } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import { type GuestMessagePort, hvStatusCodes, type HvStatusName } from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import type { GuestSide } from '../guest-side.js';
import { blockingRunToHalt } from '../synic-runs.js';
import { partition, vp } from './partition-for-tests.js';
import { ports, synic, synicForEachTest, useSynic } from './synic-for-tests.js';

export const sint = 2;
/** The bit of the register that is none of the SINTs': somebody else's. */
export const foreign = 2n;

let guest: GuestSide;

/** Gives each test of a file a partition with a SynIC, and VPs 0 to 2: those of VPs 0 and 1 are enabled. */
export function messagesForEachTest(side: GuestSide): void {
  synicForEachTest(side, 3);
  beforeEach(() => {
    guest = side;
    enableSynic(partition, 0, 1);
    useSynic();
  });
}

export const notifications = Uint32Array.of(x64Registers.DELIVERABILITY_NOTIFICATIONS);

/** What the register of a VP asks for: the SINTs, and that the rest is as it was. */
export function asked(index = 0): number[] {
  const [value = 0n] = partition.getRegisters(index, notifications);
  expect(BigInt.asUintN(48, value)).toBe(index === 0 ? foreign : 0n);
  return Array.from({ length: 16 }, (_, i) => i).filter(
    (i) => ((value >> BigInt(48 + i)) & 1n) === 1n,
  );
}

/** Attaches VP 0, whose register is somebody else's too. */
export function attach(): Disposable {
  partition.setRegisters(0, notifications, BigUint64Array.of(foreign, 0n));
  return synic.attachVp(0);
}

/** A payload with a number. */
export const numbered = (number: number): Uint8Array => Uint8Array.of(number, 0xff - number);
/** Posts messages, all of which are taken at once. */
export function postAll(port: GuestMessagePort, ...numbers: number[]): void {
  for (const number of numbers) expect(port.post(1, numbered(number))).toBe(true);
}
export function post(number: number, index = 0, to = sint): void {
  expect(ports.postMessage(0, index, to, 1, numbered(number))).toBe(true);
}
export const take = (index = 0, from = sint): number | undefined =>
  guest.takeMessage(partition, index, from)?.head[0];
/** Lets VP 0 run to where it has handled what came, and returns what it exited for. */
export const run = () => blockingRunToHalt(guest, partition, vp, synic);
export const refuse = (call: HypercallName, status: HvStatusName, count = 1): void => {
  guest.refuse(hypercalls[call].code, hvStatusCodes[status], count);
};
export const refusePost = (status: HvStatusName, count = 1): void => {
  refuse('HVCALL_POST_MESSAGE_DIRECT', status, count);
};
