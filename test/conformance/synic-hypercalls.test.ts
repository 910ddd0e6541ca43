import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import {
  GuestMemory,
  hvStatusCodes,
  type HvStatusName,
  type HypercallCall,
  type PartitionSynicOptions,
  type RetargetInterruptRequest,
  type Vp,
} from '../../lib/index.js';
import {
  retargetRequest,
  postMessage,
  signalEvent,
  retarget,
  hypercallMessage,
  postMessageInput,
  retargetInput,
  signalEventInput,
  type HypercallInput,
} from '../guest-hypercall.js';
import { enableSynic } from '../enable-synic.js';
import { blockingRunToHalt, runsToHalt, type RunToHalt } from '../synic-runs.js';
import type { SynicWork, SynicWorkReport } from '../synic-worker.js';
import { typescriptWorker } from '../typescript-program.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, vp } from './partition-for-tests.js';
import { errors, ports, synic, synicForEachTest, useSynic } from './synic-for-tests.js';

// What a guest asks of its host by hypercall, from the exit to the registers that the guest goes on with. The
// input of slow calls is in guest memory.

const messageConnection = 1;
const eventConnection = 2;
/** The guest's memory: 4 pages here, then nothing. */
const base = 0x10_0000n;
const page = 4096;

/** What a hypercall leaves as it is. */
const untouched = {
  RBX: 0x5555_6666_7777_8888n,
  RCX: 0x9999_aaaa_bbbb_ccccn,
  RSI: 7n,
  RDI: 8n,
  R8: 9n,
};
const before = {
  ...untouched,
  RAX: 0x1111_2222_3333_4444n,
  RDX: 0xdddd_eeee_ffff_0000n,
  RIP: 0x1000n,
};
const names = ['RAX', 'RBX', 'RCX', 'RDX', 'RSI', 'RDI', 'R8', 'RIP'] as const;
const halt = encodeMessage('halt', { vpIndex: 0 });

const guest = await guestSideForTests();
let memory: GuestMemory;
let messages: { bytes: number[]; type: number; secure: boolean }[];
let flags: number[];
/** What the handler of messages answers. */
let answer: () => unknown;

// Closed behind the partition that has it.
beforeEach(() => {
  memory = GuestMemory.allocate(4 * page, { native: guest.native });
  return () => {
    memory.close();
  };
});
synicForEachTest(guest, 2);
beforeEach(() => {
  partition.mapMemory(memory, { gpa: base });
  messages = [];
  flags = [];
  answer = () => undefined;
  openSynic();
});

function openSynic(options?: PartitionSynicOptions): void {
  useSynic(options);
  synic.installIntercepts();
  ports.addMessagePort(messageConnection, 0, {
    handleMessage: (bytes, secure, type) => {
      messages.push({ bytes: [...bytes], type, secure });
      return answer();
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
function placed(bytes: Uint8Array, at = 0): bigint {
  memory.write(at, bytes);
  return base + BigInt(at);
}

const statusName = (code: bigint): string =>
  Object.entries(hvStatusCodes).find(([, status]) => BigInt(status) === code)?.[0] ?? `${code}`;

/**
 * Lets the guest make a hypercall. It finds the status in RAX, or EAX, and the reps above, or in EDX; RIP is behind
 * the instruction, and no other register has changed.
 */
async function call(input: HypercallInput, run: RunToHalt = blockingRunToHalt, one: Vp = vp) {
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

const only = (status: HvStatusName): { status: string; reps: number } => ({ status, reps: 0 });
const success = only('HV_STATUS_SUCCESS');

/** A payload that no other one is equal to. */
const payload = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i ^ length);
const posted = (length: number, at = 0): bigint =>
  placed(postMessageInput(messageConnection, payload(length)), at);

describe.each(runsToHalt)('a hypercall that %s stops with', (_, run) => {
  it.each([64, 32] as const)('posts messages, from a %i-bit caller', async (bits) => {
    for (const length of [0, 1, 17, 239, 240]) {
      expect(await call({ code: postMessage, input: posted(length), bits }, run)).toEqual(success);
    }
    expect(messages).toEqual(
      [0, 1, 17, 239, 240].map((length) => ({
        bytes: [...payload(length)],
        type: 1,
        secure: false,
      })),
    );
  });

  it.each([
    [64, 'fast'],
    [64, 'slow'],
    [32, 'fast'],
    [32, 'slow'],
  ] as const)('signals events, from a %i-bit caller, %s', async (bits, form) => {
    for (const flag of [0, 1, 63]) {
      const bytes = signalEventInput(eventConnection, flag);
      const input =
        form === 'fast'
          ? { code: signalEvent, fast: true, input: bytes, bits }
          : { code: signalEvent, input: placed(bytes), bits };
      expect(await call(input, run)).toEqual(success);
    }
    expect(flags).toEqual([0, 1, 63]);
  });

  it('of several at once handles each in its turn', async () => {
    const inputs = Array.from({ length: 20 }, (__, i) => posted(i, 256 * i));
    vp.setRegisters(before);
    for (const input of inputs) {
      guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input }));
    }
    await run(guest, partition, vp, synic);
    expect(messages.map(({ bytes }) => bytes.length)).toEqual(inputs.map((__, i) => i));
    expect(vp.getRegisters(['RAX'])).toEqual({ RAX: 0n });
  });

  it('of one VP is not answered to another', async () => {
    const other = vpOf(partition, 1);
    other.setRegisters({ RAX: 5n, RIP: 0x9000n });
    expect(await call({ code: postMessage, input: posted(3) }, run)).toEqual(success);
    expect(other.getRegisters(['RAX', 'RIP'])).toEqual({ RAX: 5n, RIP: 0x9000n });
    expect(await call({ code: 0x99 }, run, other)).toEqual(
      only('HV_STATUS_INVALID_HYPERCALL_CODE'),
    );
    expect(vp.getRegisters(['RAX'])).toEqual({ RAX: 0n });
  });
});

describe('the status of a post', () => {
  const message = (
    options: Parameters<typeof postMessageInput>[2],
    connection = messageConnection,
  ): (() => HypercallInput) => {
    return () => ({
      code: postMessage,
      input: placed(postMessageInput(connection, payload(8), options)),
    });
  };

  const cases: readonly [string, () => HypercallInput, HvStatusName][] = [
    ['of a connection that nobody has', message({}, 7), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of an id with reserved bits', message({}, 0x100_0001), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of an event’s connection', message({}, eventConnection), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of type 0', message({ type: 0 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of a type with bit 31', message({ type: 0x8000_0001 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of 241 bytes', message({ size: 241 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of 2^32 - 1 bytes', message({ size: 0xffff_ffff }), 'HV_STATUS_INVALID_PARAMETER'],
    ['with a reserved field', message({ reserved: 1 }), 'HV_STATUS_INVALID_PARAMETER'],
    [
      'that is fast',
      () => ({ code: postMessage, fast: true }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with reps',
      () => ({ code: postMessage, input: posted(8), repCount: 1 }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with a variable header',
      () => ({ code: postMessage, input: posted(8), variableHeaderWords: 1 }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with reserved bits of the control word',
      () => ({ code: postMessage, input: posted(8), control: 1n << 27n }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
  ];
  it.each(cases)('%s', async (_, input, status) => {
    expect(await call(input())).toEqual(only(status));
    expect(await call({ ...input(), bits: 32 })).toEqual(only(status));
    expect(messages).toEqual([]);
  });

  it('has types from 1 to 2^31 - 1', async () => {
    expect(await call(message({ type: 0x7fff_ffff })())).toEqual(success);
    expect(messages).toMatchObject([{ type: 0x7fff_ffff }]);
  });
});

describe('the status of a signal', () => {
  const cases: readonly [string, Uint8Array, HvStatusName][] = [
    ['of a connection that nobody has', signalEventInput(7, 0), 'HV_STATUS_INVALID_CONNECTION_ID'],
    [
      'of an id with reserved bits',
      signalEventInput(0x200_0002, 0),
      'HV_STATUS_INVALID_CONNECTION_ID',
    ],
    [
      'of a message’s connection',
      signalEventInput(messageConnection, 0),
      'HV_STATUS_INVALID_CONNECTION_ID',
    ],
    [
      'of a flag that the port has not',
      signalEventInput(eventConnection, 64),
      'HV_STATUS_INVALID_PARAMETER',
    ],
    [
      'with a reserved field',
      signalEventInput(eventConnection, 0, 1),
      'HV_STATUS_INVALID_PARAMETER',
    ],
  ];
  it.each(cases)('%s', async (_, input, status) => {
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(only(status));
    expect(await call({ code: signalEvent, fast: true, input, bits: 32 })).toEqual(only(status));
    expect(await call({ code: signalEvent, input: placed(input) })).toEqual(only(status));
    expect(flags).toEqual([]);
  });
});

it('a port has a least VTL', async () => {
  const seen: string[] = [];
  ports.addMessagePort(11, 1, { handleMessage: () => seen.push('message') });
  ports.addEventPort(12, 2, { handleEvent: () => seen.push('event') });
  const statuses: string[] = [];
  for (const vtl of [0, 1, 2, 15]) {
    const message = placed(postMessageInput(11, payload(1)));
    statuses.push((await call({ code: postMessage, input: message, vtl })).status);
    const input = signalEventInput(12, 0);
    statuses.push((await call({ code: signalEvent, fast: true, input, vtl })).status);
  }
  const [denied, taken] = ['HV_STATUS_OPERATION_DENIED', 'HV_STATUS_SUCCESS'];
  expect(statuses).toEqual([denied, denied, taken, denied, taken, taken, taken, taken]);
  expect(seen).toEqual(['message', 'message', 'event', 'message', 'event']);
});

describe('a handler', () => {
  const again = only('HV_STATUS_INSUFFICIENT_BUFFERS');
  const failed = only('HV_STATUS_OPERATION_FAILED');
  const postOne = () => call({ code: postMessage, input: posted(5) });

  it('that is not ready gets the message again', async () => {
    answer = () => false;
    expect(await postOne()).toEqual(again);
    expect(await postOne()).toEqual(again);
    answer = () => undefined;
    expect(await postOne()).toEqual(success);
    expect(messages).toHaveLength(3);
  });

  it.each(runsToHalt)('that answers later has the message once, with %s', async (_, run) => {
    let resolve: () => void = () => undefined;
    answer = () =>
      new Promise<void>((settle) => {
        resolve = settle;
      });
    const input = { code: postMessage, input: posted(5) };
    for (let i = 0; i < 3; i++) expect(await call(input, run)).toEqual(again);
    // No other message gets past it.
    expect(await call({ code: postMessage, input: posted(6, 512) }, run)).toEqual(again);
    expect(messages).toHaveLength(1);
    resolve();
    await setImmediate();
    expect(await call(input, run)).toEqual(success);
    expect(messages).toHaveLength(1);
    answer = () => undefined;
    expect(await call(input, run)).toEqual(success);
    expect(messages).toHaveLength(2);
  });

  it('that answers later may fail, or not have taken the message', async () => {
    const cause = new Error('of the port');
    answer = () => Promise.reject(cause);
    expect(await postOne()).toEqual(again);
    await setImmediate();
    expect(await postOne()).toEqual(failed);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
    answer = () => Promise.resolve(false);
    expect(await postOne()).toEqual(again);
    await setImmediate();
    answer = () => undefined;
    expect(await postOne()).toEqual(success);
    expect(messages).toHaveLength(3);
  });

  it('that throws is reported, and the VP runs on', async () => {
    const cause = new Error('of the port');
    answer = () => {
      throw cause;
    };
    expect(await postOne()).toEqual(failed);
    ports.addEventPort(20, 0, {
      handleEvent: () => {
        throw cause;
      },
    });
    const input = signalEventInput(20, 0);
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(failed);
    expect(errors.map((error) => [error.code, error.cause])).toEqual([
      ['ERR_MSHV_PORT_HANDLER', cause],
      ['ERR_MSHV_PORT_HANDLER', cause],
    ]);
    answer = () => undefined;
    expect(await postOne()).toEqual(success);
  });

  it('may add and remove ports, its own too, and post and signal itself', async () => {
    const order: string[] = [];
    const own = ports.addMessagePort(30, 0, {
      handleMessage: () => {
        order.push('first');
        own[Symbol.dispose]();
        ports.addMessagePort(30, 0, { handleMessage: () => order.push('second') });
        ports.addEventPort(31, 0, { handleEvent: (flag) => order.push(`event ${flag}`) });
        expect(synic.portMap.handleSignalEvent(0, 31, 9)).toBe(hvStatusCodes.HV_STATUS_SUCCESS);
        expect(synic.portMap.handlePostMessage(0, 30, false, payload(1))).toBe(
          hvStatusCodes.HV_STATUS_SUCCESS,
        );
      },
    });
    const input = placed(postMessageInput(30, payload(4)));
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(order).toEqual(['first', 'event 9', 'second', 'second']);
    const event = signalEventInput(31, 2);
    expect(await call({ code: signalEvent, fast: true, input: event })).toEqual(success);
    expect(order.at(-1)).toBe('event 2');
  });

  it('may answer the guest at once, by message and by event', async () => {
    enableSynic(partition, 0);
    using event = ports.newGuestEventPort(1, 0, 0, 3, 77);
    ports.addMessagePort(35, 0, {
      handleMessage: (request) => {
        expect(ports.postMessage(0, 0, 2, 1, request.slice(0, 2))).toBe(true);
        event.signal();
      },
    });
    const input = placed(postMessageInput(35, payload(7)));
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(guest.takeMessage(partition, 0, 2)).toEqual({
      type: 1,
      size: 2,
      head: payload(7).slice(0, 2),
    });
    expect(guest.takeEvents(partition, 0)).toEqual([{ sint: 3, flag: 77 }]);
  });

  it('of a port that is gone is not called', async () => {
    const port = ports.addEventPort(40, 0, { handleEvent: () => flags.push(-1) });
    const input = signalEventInput(40, 0);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(
      only('HV_STATUS_INVALID_CONNECTION_ID'),
    );
    expect(flags).toEqual([]);
  });

  it.each([
    ['closes the partition', 'closed'],
    ['closes the VP', 'closed'],
    ['stops the run', 'stopped'],
  ] as const)('that %s, and what the guest has then', async (what, end) => {
    vp.setRegisters(before);
    guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input: posted(2) }));
    const run = vp.start((exit) => {
      expect(synic.handleExit(vp, exit)).toBe(true);
    });
    const registers = Uint32Array.of(0x20000, 0x20010);
    answer = () => {
      if (what === 'stops the run') run.stop();
      else if (what === 'closes the VP') vp.close();
      else partition.close();
    };
    expect(await run.finished).toBe(end);
    expect(messages).toHaveLength(1);
    if (what === 'stops the run') {
      await blockingRunToHalt(guest, partition, vp, synic);
    }
    if (what !== 'closes the partition') {
      const [rax, , rip] = partition.getRegisters(0, registers);
      const { RAX, RIP } = before;
      expect([rax, rip]).toEqual(what === 'stops the run' ? [0n, RIP + 3n] : [RAX, RIP]);
    }
    expect(errors).toEqual([]);
  });
});

describe('the input of a slow call', () => {
  const misplaced = only('HV_STATUS_INVALID_ALIGNMENT');
  const signalAt = (input: bigint) => call({ code: signalEvent, input });

  it('may end with its page, and may not go beyond', async () => {
    expect(await call({ code: postMessage, input: posted(240, page - 256) })).toEqual(success);
    expect(await signalAt(placed(signalEventInput(eventConnection, 3), page - 8))).toEqual(success);
    for (const at of [page - 248, page - 8]) {
      expect(await call({ code: postMessage, input: posted(240, at) })).toEqual(misplaced);
    }
    expect([messages.length, flags]).toEqual([1, [3]]);
  });

  it.each([1, 2, 4, 7])('is aligned to 8 bytes, and not to %i', async (offset) => {
    expect(await call({ code: postMessage, input: posted(4, offset) })).toEqual(misplaced);
    expect(await signalAt(placed(signalEventInput(eventConnection, 0), offset))).toEqual(misplaced);
    expect([messages, flags]).toEqual([[], []]);
  });

  it('is where the guest has memory', async () => {
    const end = base + BigInt(4 * page);
    for (const input of [0n, base - 8n, end, 2n ** 52n, 2n ** 64n - 8n]) {
      expect(await signalAt(input)).toEqual(misplaced);
    }
    for (const input of [base - 256n, end, 2n ** 64n - 256n]) {
      expect(await call({ code: postMessage, input })).toEqual(misplaced);
    }
    expect([messages, flags, errors]).toEqual([[], [], []]);
  });

  it('is what is mapped now, wherever that comes from', async () => {
    const [mapping] = partition.mappings;
    const input = placed(signalEventInput(eventConnection, 5), page);
    mapping?.unmap();
    expect(await signalAt(input)).toEqual(misplaced);
    // The same page elsewhere, for reading only.
    partition.mapMemory(memory, { gpa: 0x8000_0000n, offset: page, size: page, writable: false });
    expect(await signalAt(input)).toEqual(misplaced);
    expect(await signalAt(0x8000_0000n)).toEqual(success);
    memory.close();
    expect(await signalAt(0x8000_0000n)).toEqual(success);
    expect(flags).toEqual([5, 5]);
  });

  it('has no upper half in a 32-bit caller’s address but what is in EBX', async () => {
    partition.mapMemory(memory, { gpa: 0x1_0000_0000n, offset: page, size: page });
    placed(signalEventInput(eventConnection, 6), page);
    expect(await call({ code: signalEvent, input: 0x1_0000_0000n, bits: 32 })).toEqual(success);
    expect(flags).toEqual([6]);
  });

  it('is copied once: what the guest changes meanwhile does not count', async () => {
    const input = posted(32);
    answer = () => {
      placed(postMessageInput(0xbad, payload(99), { type: 2 }));
      return Promise.resolve();
    };
    expect(await call({ code: postMessage, input })).toEqual(
      only('HV_STATUS_INSUFFICIENT_BUFFERS'),
    );
    expect(messages).toEqual([{ bytes: [...payload(32)], type: 1, secure: false }]);
    await setImmediate();
    // The guest that comes back with what it had posted gets the answer.
    expect(await call({ code: postMessage, input })).toEqual(
      only('HV_STATUS_INVALID_CONNECTION_ID'),
    );
    expect(await call({ code: postMessage, input: posted(32) })).toEqual(success);
    expect(messages).toHaveLength(1);
  });

  it('is copied once for a call of the VMM’s, too', async () => {
    let seen: number[] = [];
    synic.hypercalls.add({
      code: 0x4321,
      name: 'HvMine',
      inputSize: 16,
      handle: ({ input }) => {
        const first = input.getBigUint64(0, true);
        placed(new Uint8Array(16).fill(0xff));
        guest.queueMessage(partition, 0, halt);
        seen = [Number(first), Number(input.getBigUint64(0, true)), input.getUint8(15)];
        return 0;
      },
    });
    const input = placed(Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9));
    expect(await call({ code: 0x4321, input })).toEqual(success);
    expect(seen).toEqual([7, 7, 9]);
    // The other halt.
    expect(vp.run()?.type).toBe('halt');
  });
});

describe('a call of the VMM’s', () => {
  const codes = [0, 1, 0x5b, 0x5e, retarget, 0x8001, 0xffff];
  it.each(codes.map((code) => `0x${code.toString(16)}`))('%s is none at first', async (text) => {
    const code = Number(text);
    for (const bits of [32, 64] as const) {
      expect(await call({ code, bits })).toEqual(only('HV_STATUS_INVALID_HYPERCALL_CODE'));
    }
  });

  it('has an output where the guest wants it', async () => {
    synic.hypercalls.add({
      code: 0x8001,
      name: 'HvExtCallQueryCapabilities',
      inputSize: 0,
      handle: ({ outputGpa }) =>
        partition.writeMemory(outputGpa, Uint8Array.of(1, 2, 3, 4), { asGuest: true })
          ? hvStatusCodes.HV_STATUS_SUCCESS
          : hvStatusCodes.HV_STATUS_INVALID_ALIGNMENT,
    });
    for (const [bits, at] of [
      [64, 0x800],
      [32, 0x900],
    ] as const) {
      const output = base + BigInt(at);
      expect(await call({ code: 0x8001, output, bits })).toEqual(success);
      expect([...new Uint8Array(memory.buffer, at, 5)]).toEqual([1, 2, 3, 4, 0]);
    }
    expect(await call({ code: 0x8001, output: 0x10n })).toEqual(
      only('HV_STATUS_INVALID_ALIGNMENT'),
    );
  });

  it.each([64, 32] as const)('may have reps, from a %i-bit caller', async (bits) => {
    const sums: number[] = [];
    let upTo = 7;
    synic.hypercalls.add({
      code: 0x66,
      name: 'HvSum',
      inputSize: 8,
      repInputSize: 4,
      handle: (made: HypercallCall) => {
        for (; made.repsCompleted < upTo; made.repsCompleted++) {
          sums.push(made.input.getUint32(8 + 4 * made.repsCompleted, true));
        }
        return upTo === 7 ? hvStatusCodes.HV_STATUS_SUCCESS : hvStatusCodes.HV_STATUS_TIME_OUT;
      },
    });
    const input = placed(new Uint8Array(Uint32Array.from({ length: 9 }, (_, i) => i).buffer));
    const rep = { code: 0x66, input, repCount: 7, bits };
    expect(await call(rep)).toEqual({ ...success, reps: 7 });
    expect(sums.splice(0)).toEqual([2, 3, 4, 5, 6, 7, 8]);
    // As far as it came, and the guest goes on from there.
    upTo = 3;
    expect(await call(rep)).toEqual({ status: 'HV_STATUS_TIME_OUT', reps: 3 });
    upTo = 7;
    expect(await call({ ...rep, repStart: 3 })).toEqual({ ...success, reps: 7 });
    expect(sums).toEqual([2, 3, 4, 5, 6, 7, 8]);
    for (const wrong of [{ repCount: 0 }, { repStart: 7 }, { repCount: 0xfff }]) {
      const { status } = await call({ ...rep, ...wrong });
      expect(status).toBe('HV_STATUS_INVALID_HYPERCALL_INPUT');
    }
    expect(await call({ ...rep, input: 0n, repStart: 2 })).toEqual({
      status: 'HV_STATUS_INVALID_ALIGNMENT',
      reps: 2,
    });
  });

  it('has 112 bytes in the registers of a 64-bit caller, 16 in those of a 32-bit one', async () => {
    const seen: number[][] = [];
    for (const inputSize of [112, 16]) {
      synic.hypercalls.add({
        code: 0x100 + inputSize,
        name: `HvTake${inputSize}`,
        inputSize,
        handle: ({ input }) => {
          seen.push([...new Uint8Array(input.buffer, 0, inputSize)]);
          return 0;
        },
      });
    }
    const fast = (size: number, bits: 32 | 64) =>
      call({ code: 0x100 + size, fast: true, input: payload(size), bits });
    expect(await fast(112, 64)).toEqual(success);
    expect(await fast(16, 32)).toEqual(success);
    expect(await fast(112, 32)).toEqual(only('HV_STATUS_INVALID_HYPERCALL_INPUT'));
    expect(seen).toEqual([[...payload(112)], [...payload(16)]]);
  });

  it('that throws is reported; once removed it is none again', async () => {
    const cause = new Error('of the VMM');
    const mine = synic.hypercalls.add({
      code: 0x77,
      name: 'HvFail',
      inputSize: 0,
      handle: () => {
        throw cause;
      },
    });
    expect(await call({ code: 0x77 })).toEqual(only('HV_STATUS_OPERATION_FAILED'));
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER', cause }]);
    mine[Symbol.dispose]();
    expect(await call({ code: 0x77 })).toEqual(only('HV_STATUS_INVALID_HYPERCALL_CODE'));
  });
});

describe('HvRetargetDeviceInterrupt', () => {
  const handler = vi.fn<(request: RetargetInterruptRequest) => number>();
  beforeEach(() => {
    handler.mockReset().mockReturnValue(hvStatusCodes.HV_STATUS_SUCCESS);
    openSynic({ retargetDeviceInterrupt: handler });
  });

  it.each(['slow', 'fast'] as const)('has a mask of VPs, %s', async (form) => {
    const bytes = retargetInput({ flags: 1, maskOrFormat: (1n << 63n) | 5n });
    const input = form === 'fast' ? { input: bytes, fast: true } : { input: placed(bytes) };
    expect(await call({ code: retarget, ...input })).toEqual(success);
    expect(handler.mock.calls).toEqual([
      [{ ...retargetRequest, multicast: true, processors: [0, 2, 63] }],
    ]);
  });

  it.each([
    ['slow', 64],
    ['slow', 32],
    ['fast', 64],
  ] as const)('has a sparse set of VPs, %s, from a %i-bit caller', async (form, bits) => {
    const bytes = retargetInput({ flags: 6 }, (1n << 3n) | 1n, 0x21n, 1n << 63n);
    const input = form === 'fast' ? { input: bytes, fast: true } : { input: placed(bytes) };
    expect(await call({ code: retarget, ...input, variableHeaderWords: 3, bits })).toEqual(success);
    expect(handler.mock.calls).toEqual([
      [{ ...retargetRequest, proxyRedirect: true, processors: [0, 5, 255] }],
    ]);
  });

  it('has the status of its handler, and refuses an empty set', async () => {
    handler.mockReturnValue(hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID);
    const mask = placed(retargetInput({ maskOrFormat: 1n }));
    expect(await call({ code: retarget, input: mask })).toEqual(
      only('HV_STATUS_INVALID_DEVICE_ID'),
    );
    const empty = placed(retargetInput({ flags: 2 }, 0n));
    expect(await call({ code: retarget, input: empty, variableHeaderWords: 1 })).toEqual(
      only('HV_STATUS_INVALID_PARAMETER'),
    );
    expect(handler).toHaveBeenCalledTimes(1);
  });
});

describe('handleExit()', () => {
  it('leaves what is not the SynIC’s', () => {
    guest.queueMessage(partition, 0, encodeMessage('io-port', { port: 1, size: 1 }));
    guest.queueMessage(partition, 0, halt);
    for (const type of ['io-port', 'halt']) {
      const exit = vp.run();
      expect(exit?.type).toBe(type);
      expect(exit && synic.handleExit(vp, exit)).toBe(false);
    }
  });

  it('refuses an exit that the VP did not stop with, and calls no handler', () => {
    guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input: posted(1) }));
    guest.queueMessage(partition, 0, halt);
    const stale = vp.run()?.snapshot();
    vp.run();
    if (stale?.type !== 'hypercall') throw new Error('it stopped with something else');
    expect(() => synic.handleExit(vp, stale)).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }),
    );
    expect(messages).toEqual([]);
  });
});

it('installIntercepts() tells of a refusal, and can be called again', () => {
  const { code } = hypercalls.HVCALL_INSTALL_INTERCEPT;
  guest.refuse(code, hvStatusCodes.HV_STATUS_INVALID_PARAMETER);
  expect(() => {
    synic.installIntercepts();
  }).toThrow(
    expect.objectContaining({
      hypercall: 'HVCALL_INSTALL_INTERCEPT',
      hvStatus: { code: 5, name: 'HV_STATUS_INVALID_PARAMETER' },
    }),
  );
  synic.installIntercepts();
  synic.installIntercepts();
});

it('a Worker that has the VP and its memory has a SynIC of its own', async () => {
  using shared = GuestMemory.allocate(page, { shared: true, native: guest.native });
  const gpa = 0x4000_0000n;
  partition.mapMemory(shared, { gpa });
  const work: SynicWork = {
    backend: guest.backend,
    vp: vp.share(),
    memory: shared.share(),
    gpa,
    messageConnection,
    eventConnection,
  };
  const worker = typescriptWorker(new URL('../synic-worker.ts', import.meta.url), {
    workerData: work,
  });
  try {
    await once(worker, 'message');
    vp.setRegisters(before);
    enableSynic(partition, 0);
    const inputs = [3, 240].map((length, i) => {
      shared.write(256 * i, postMessageInput(messageConnection, payload(length)));
      return gpa + BigInt(256 * i);
    });
    for (const input of inputs) {
      guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input }));
    }
    const input = signalEventInput(eventConnection, 9);
    guest.queueMessage(partition, 0, hypercallMessage({ code: signalEvent, input, fast: true }));
    guest.queueMessage(partition, 0, hypercallMessage({ code: 0x99 }));
    guest.queueMessage(partition, 0, halt);
    const [report] = (await once(worker, 'message')) as [SynicWorkReport];
    expect(report).toEqual({
      messages: [payload(3), payload(240)],
      flags: [9],
      end: 'halt',
    });
  } finally {
    await worker.terminate();
  }
  expect(vp.getRegisters(['RAX', 'RDX', 'RIP'])).toEqual({
    RAX: BigInt(hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_CODE),
    RDX: before.RDX,
    RIP: before.RIP + 3n,
  });
  // It answers each message by the next SINT.
  const found = [1, 2, 3].map((sint) => guest.takeMessage(partition, 0, sint)?.size);
  expect([messages, flags, found]).toEqual([[], [], [3, 240, undefined]]);
});
