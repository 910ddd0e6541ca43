import { beforeEach, expect } from 'vitest';

import {
  GuestMemory,
  hvStatusCodes,
  type HvStatusName,
  type PartitionSynicOptions,
  type Vp,
} from '../../lib/index.js';
import { hypercallMessage, postMessageInput, type HypercallInput } from '../guest-hypercall.js';
import type { GuestSide } from '../guest-side.js';
import { blockingRunToHalt, type RunToHalt } from '../synic-runs.js';
import { partition, vp } from './partition-for-tests.js';
import { ports, synic, synicForEachTest, useSynic } from './synic-for-tests.js';

export const messageConnection = 1;
export const eventConnection = 2;
/** The guest's memory: 4 pages here, then nothing. */
export const base = 0x10_0000n;
export const page = 4096;

/** What a hypercall leaves as it is. */
const untouched = {
  RBX: 0x5555_6666_7777_8888n,
  RCX: 0x9999_aaaa_bbbb_ccccn,
  RSI: 7n,
  RDI: 8n,
  R8: 9n,
};
export const before = {
  ...untouched,
  RAX: 0x1111_2222_3333_4444n,
  RDX: 0xdddd_eeee_ffff_0000n,
  RIP: 0x1000n,
};
const names = ['RAX', 'RBX', 'RCX', 'RDX', 'RSI', 'RDI', 'R8', 'RIP'] as const;

let guest: GuestSide;
export let memory: GuestMemory;
export let messages: { bytes: number[]; type: number; secure: boolean }[];
export let flags: number[];
/** What the handler of messages answers. */
export const messagePort: { answer: () => unknown } = { answer: () => undefined };

/**
 * Gives each test of a file a partition with two VPs, memory and a SynIC that takes messages and events. The guest of
 * VP 0 makes its hypercalls with `call()`.
 */
export function hypercallsForEachTest(side: GuestSide): void {
  // Closed behind the partition that has it.
  beforeEach(() => {
    guest = side;
    memory = GuestMemory.allocate(4 * page, { native: guest.native });
    return () => {
      memory.close();
    };
  });
  synicForEachTest(side, 2);
  beforeEach(() => {
    partition.mapMemory(memory, { gpa: base });
    messages = [];
    flags = [];
    messagePort.answer = () => undefined;
    openSynic();
  });
}

export function openSynic(options?: PartitionSynicOptions): void {
  useSynic(options);
  synic.installIntercepts();
  ports.addMessagePort(messageConnection, 0, {
    handleMessage: (bytes, secure, type) => {
      messages.push({ bytes: [...bytes], type, secure });
      return messagePort.answer();
    },
  });
  ports.addEventPort(eventConnection, 0, {
    flagCount: 64,
    handleEvent: (flag) => {
      flags.push(flag);
    },
  });
}

/** Puts bytes into guest memory, and returns their address. */
export function placed(bytes: Uint8Array, at = 0): bigint {
  memory.write(at, bytes);
  return base + BigInt(at);
}

const statusName = (code: bigint): string =>
  Object.entries(hvStatusCodes).find(([, status]) => BigInt(status) === code)?.[0] ?? `${code}`;

/**
 * Lets the guest make a hypercall. It finds the status in RAX, or EAX, and the reps above, or in EDX; RIP is behind
 * the instruction, and no other register has changed.
 */
export async function call(
  input: HypercallInput,
  run: RunToHalt = blockingRunToHalt,
  one: Vp = vp,
) {
  one.setRegisters(before);
  guest.queueMessage(partition, one.index, hypercallMessage({ vpIndex: one.index, ...input }));
  await run(guest, partition, one, synic);
  const { RAX, RDX, ...others } = one.getRegisters(names);
  expect(others).toEqual({ ...untouched, RIP: before.RIP + 3n });
  if (input.bits === 32) {
    return { status: statusName(RAX), reps: Number(RDX) };
  }
  expect(RDX).toBe(before.RDX);
  return { status: statusName(RAX & 0xffff_ffffn), reps: Number(RAX >> 32n) };
}

export const only = (status: HvStatusName): { status: string; reps: number } => ({
  status,
  reps: 0,
});
export const success = only('HV_STATUS_SUCCESS');

/** A payload that no other one is equal to. */
export const payload = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => i ^ length);
export const posted = (length: number, at = 0): bigint =>
  placed(postMessageInput(messageConnection, payload(length)), at);
