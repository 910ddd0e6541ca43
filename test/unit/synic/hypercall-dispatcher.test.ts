import { beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { guestHypercalls } from '../../../lib/abi/synic.js';
import type { MshvError } from '../../../lib/index.js';
import { HypercallDispatcher } from '../../../lib/synic/hypercall-dispatcher.js';
import type { HypercallCall, HypercallDefinition } from '../../../lib/synic/hypercall-table.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import {
  retargetRequest,
  postMessage,
  signalEvent,
  retarget,
  hypercall,
  postMessageInput,
  retargetInput,
  signalEventInput,
  SmallMemory,
  type HypercallInput,
} from '../../guest-hypercall.js';

const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_INVALID_HYPERCALL_CODE: invalidCode,
  HV_STATUS_INVALID_HYPERCALL_INPUT: invalidInput,
  HV_STATUS_INVALID_ALIGNMENT: invalidAlignment,
  HV_STATUS_INVALID_PARAMETER: invalidParameter,
  HV_STATUS_INVALID_CONNECTION_ID: invalidConnectionId,
  HV_STATUS_OPERATION_DENIED: operationDenied,
  HV_STATUS_OPERATION_FAILED: operationFailed,
  HV_STATUS_INSUFFICIENT_BUFFERS: insufficientBuffers,
  HV_STATUS_INVALID_DEVICE_ID: invalidDeviceId,
} = hvStatusCodes;

let portMap: SynicPortMap;
let memory: SmallMemory;
let messages: unknown[][];
let events: number[];
let errors: MshvError[];
let dispatcher: HypercallDispatcher;
let ready: boolean;

beforeEach(() => {
  portMap = new SynicPortMap();
  memory = new SmallMemory();
  messages = [];
  events = [];
  errors = [];
  ready = true;
  portMap.addMessagePort(1, 0, {
    handleMessage: (bytes, secure, type) => {
      messages.push([[...bytes], secure, type]);
      return ready;
    },
  });
  portMap.addEventPort(2, 0, { handleEvent: (flag) => events.push(flag) });
  portMap.addEventPort(3, 2, { handleEvent: (flag) => events.push(flag) });
  const onError = (error: MshvError) => errors.push(error);
  dispatcher = new HypercallDispatcher({ portMap, memory, onError });
});

const status = (input: HypercallInput): number => dispatcher.dispatch(hypercall(input)).status;

/** Puts an input into guest memory. */
function placed(input: Uint8Array, gpa = 0x2000): bigint {
  memory.bytes.set(input, gpa);
  return BigInt(gpa);
}

it.each(Object.entries(guestHypercalls))('answers the guest’s %s', (_, code) => {
  const retargetDeviceInterrupt = (): number => success;
  const all = new HypercallDispatcher({ portMap, memory, retargetDeviceInterrupt });
  const { status: answer } = all.dispatch(hypercall({ code, input: 0x2000n }));
  expect(answer).not.toBe(hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_CODE);
});

describe('HvSignalEvent', () => {
  const fast = (input: Uint8Array, others: Partial<HypercallInput> = {}): number =>
    status({ code: signalEvent, fast: true, input, ...others });

  it.each([32, 64] as const)('fast, from a %i-bit caller', (bits) => {
    expect(fast(signalEventInput(2, 0x123), { bits })).toBe(success);
    expect(events).toEqual([0x123]);
    expect(memory.reads).toBe(0);
  });

  it.each([32, 64] as const)('slow, from a %i-bit caller, reads memory once', (bits) => {
    const input = placed(signalEventInput(2, 0x7ff), 0x2ff8);
    expect(status({ code: signalEvent, input, bits })).toBe(success);
    expect(events).toEqual([0x7ff]);
    expect(memory.reads).toBe(1);
  });

  it('has the VTL of the caller', () => {
    expect(fast(signalEventInput(3, 0), { vtl: 1 })).toBe(operationDenied);
    expect(fast(signalEventInput(3, 0), { vtl: 2 })).toBe(success);
    expect(events).toEqual([0]);
  });

  it.each([
    ['an unknown connection', signalEventInput(4, 0), invalidConnectionId],
    ['a message connection', signalEventInput(1, 0), invalidConnectionId],
    ['reserved bits of the connection id', signalEventInput(0x0100_0002, 0), invalidConnectionId],
    ['all bits of the connection id', signalEventInput(0xffff_ffff, 0), invalidConnectionId],
    ['a flag that the port has not', signalEventInput(2, 2048), invalidParameter],
    ['a reserved field', signalEventInput(2, 0, 1), invalidParameter],
  ])('refuses %s', (_, input, refused) => {
    expect(fast(input)).toBe(refused);
    expect(status({ code: signalEvent, input: placed(input) })).toBe(refused);
    expect(events).toEqual([]);
  });
});

describe('HvPostMessage', () => {
  const payload = Uint8Array.from({ length: 240 }, (_, i) => i);

  it.each([32, 64] as const)('from a %i-bit caller, reads memory once', (bits) => {
    const input = placed(postMessageInput(1, payload, { type: 5 }), 0x2f00);
    expect(status({ code: postMessage, input, bits })).toBe(success);
    expect(messages).toEqual([[[...payload], false, 5]]);
    expect(memory.reads).toBe(1);
  });

  it.each([0, 1, 17, 239])('with %i bytes', (length) => {
    const part = payload.subarray(0, length);
    const input = placed(postMessageInput(1, payload, { size: length }));
    expect(status({ code: postMessage, input })).toBe(success);
    expect(messages).toEqual([[[...part], false, 1]]);
  });

  it('tells the guest to retry where the handler is not ready', () => {
    ready = false;
    const input = placed(postMessageInput(1, Uint8Array.of(1)));
    expect(status({ code: postMessage, input })).toBe(insufficientBuffers);
    ready = true;
    expect(status({ code: postMessage, input })).toBe(success);
  });

  it('may come from inside a handler', () => {
    const inner = placed(postMessageInput(1, Uint8Array.of(2)), 0x3000);
    portMap.addMessagePort(9, 0, {
      handleMessage: () => {
        expect(status({ code: postMessage, input: inner })).toBe(success);
        return Promise.resolve();
      },
    });
    const outer = placed(postMessageInput(9, Uint8Array.of(1)));
    expect(status({ code: postMessage, input: outer })).toBe(insufficientBuffers);
    // Known by its own bytes, not by those of the message that came in between.
    expect(status({ code: postMessage, input: outer })).toBe(insufficientBuffers);
    expect(messages).toEqual([[[2], false, 1]]);
  });

  it.each([
    ['an unknown connection', postMessageInput(7, payload), invalidConnectionId],
    ['an event connection', postMessageInput(2, payload), invalidConnectionId],
    [
      'reserved bits of the connection id',
      postMessageInput(0x8000_0001, payload),
      invalidConnectionId,
    ],
    ['241 bytes', postMessageInput(1, payload, { size: 241 }), invalidParameter],
    ['2^32 - 1 bytes', postMessageInput(1, payload, { size: 0xffff_ffff }), invalidParameter],
    ['type 0', postMessageInput(1, payload, { type: 0 }), invalidParameter],
    [
      "the hypervisor's types",
      postMessageInput(1, payload, { type: 0x8000_0001 }),
      invalidParameter,
    ],
    ['a reserved field', postMessageInput(1, payload, { reserved: 1 }), invalidParameter],
  ])('refuses %s', (_, input, refused) => {
    expect(status({ code: postMessage, input: placed(input) })).toBe(refused);
    expect(messages).toEqual([]);
  });

  it('is never fast', () => {
    const input = new Uint8Array(112);
    expect(status({ code: postMessage, fast: true, input })).toBe(invalidInput);
    expect(messages).toEqual([]);
  });
});

describe('any call', () => {
  it.each([0, 1, 0x5b, 0x5e, 0x7e, 0x8001, 0xffff])('0x%x that nobody defined', (code) => {
    expect(status({ code })).toBe(invalidCode);
    expect(status({ code, fast: true, control: 1n << 60n })).toBe(invalidCode);
  });

  it.each([27, 28, 29, 30, 44, 45, 46, 47, 60, 61, 62, 63])('with reserved bit %i', (bit) => {
    const input = signalEventInput(2, 0);
    const control = 1n << BigInt(bit);
    expect(status({ code: signalEvent, fast: true, input, control })).toBe(invalidInput);
    expect(events).toEqual([]);
  });

  it('may be meant for the hypervisor that runs this one', () => {
    const input = signalEventInput(2, 0);
    expect(status({ code: signalEvent, fast: true, input, control: 1n << 31n })).toBe(success);
  });

  it.each<Partial<HypercallInput>>([{ repCount: 1 }, { repStart: 1 }, { variableHeaderWords: 1 }])(
    'that is simple, with %j',
    (wrong) => {
      const input = signalEventInput(2, 0);
      expect(status({ code: signalEvent, fast: true, input, ...wrong })).toBe(invalidInput);
      expect(events).toEqual([]);
    },
  );

  it.each([
    ['not aligned', 0x2004n],
    ['across pages', 0x2f08n],
    ['outside of memory', 0x1_0000n],
    ['far outside of memory', 0xffff_ffff_ffff_f000n],
  ])('with an input that is %s', (_, input) => {
    expect(status({ code: postMessage, input })).toBe(invalidAlignment);
    expect(messages).toEqual([]);
  });
});

describe('what is thrown', () => {
  it('by the memory is reported, and the guest gets a status', () => {
    const unreadable = new HypercallDispatcher({
      portMap,
      memory: {
        read: () => {
          throw new Error('no memory today');
        },
      },
      onError: (error) => errors.push(error),
    });
    const done = unreadable.dispatch(hypercall({ code: postMessage, input: 0x2000n }));
    expect(done).toEqual({ status: 0x71, repsCompleted: 0 });
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER' }]);
  });

  it('later, by a handler that must not be asynchronous, is swallowed', async () => {
    const definition: object = {
      code: 0x4321,
      name: 'HvLate',
      inputSize: 0,
      handle: () => Promise.reject(new Error('too late')),
    };
    dispatcher.add(definition as HypercallDefinition);
    expect(dispatcher.dispatch(hypercall({ code: 0x4321 })).status).toBe(0x71);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER' }]);
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('a call that a VMM adds', () => {
  let seen: unknown[];
  const define = (others: Partial<HypercallDefinition> = {}): Disposable =>
    dispatcher.add({
      code: 0x1234,
      name: 'HvMine',
      inputSize: 12,
      handle: ({ vpIndex, vtl, isFast, input, inputSize, outputGpa, ...reps }: HypercallCall) => {
        const bytes = [...new Uint8Array(input.buffer, input.byteOffset, inputSize)];
        seen.push({ vpIndex, vtl, isFast, bytes, outputGpa, repStart: reps.repStart });
        return success;
      },
      ...others,
    });
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i + 1);

  beforeEach(() => {
    seen = [];
  });

  it('gets its input, padded to 8 bytes, from memory or registers', () => {
    define();
    const common = { code: 0x1234, vtl: 1, vpIndex: 6 };
    expect(status({ ...common, input: placed(bytes(16), 0x2ff0), output: 0x4000n })).toBe(success);
    expect(status({ ...common, input: bytes(16), fast: true })).toBe(success);
    expect(status({ ...common, input: bytes(16), fast: true, bits: 32 })).toBe(success);
    expect(status({ ...common, input: placed(bytes(16), 0x2ff8) })).toBe(invalidAlignment);
    const got = { vpIndex: 6, vtl: 1, bytes: [...bytes(12)], repStart: 0 };
    expect(seen).toMatchObject([
      { ...got, isFast: false, outputGpa: 0x4000n },
      { ...got, isFast: true },
      { ...got, isFast: true },
    ]);
  });

  it('may have 112 bytes in XMM registers of a 64-bit caller', () => {
    define({ inputSize: 112 });
    expect(status({ code: 0x1234, fast: true, input: bytes(112) })).toBe(success);
    expect(seen).toMatchObject([{ bytes: [...bytes(112)] }]);
    expect(status({ code: 0x1234, fast: true, input: bytes(16), bits: 32 })).toBe(invalidInput);
  });

  it.each([
    [16, 32, success],
    [17, 32, invalidInput],
    [112, 64, success],
    [113, 64, invalidInput],
  ] as const)('of %i bytes, fast, from a %i-bit caller', (inputSize, bits, expected) => {
    define({ inputSize });
    expect(status({ code: 0x1234, fast: true, bits })).toBe(expected);
  });

  it('may have no input at all, and then needs no memory', () => {
    define({ inputSize: 0 });
    expect(status({ code: 0x1234, input: 0xffff_ffff_ffff_ffffn })).toBe(success);
    expect(memory.reads).toBe(0);
  });

  it('may have a variable header', () => {
    define({ inputSize: 8, variableHeader: true });
    const input = placed(bytes(24));
    expect(status({ code: 0x1234, input, variableHeaderWords: 2 })).toBe(success);
    expect(seen).toMatchObject([{ bytes: [...bytes(24)] }]);
    expect(status({ code: 0x1234, input: 0n, variableHeaderWords: 0x3ff })).toBe(invalidInput);
  });

  it('may have reps', () => {
    let answer: (call: HypercallCall) => number = () => success;
    define({ inputSize: 8, repInputSize: 4, handle: (made) => answer(made) });
    const run = (repCount: number, repStart: number) => {
      const { status: code, repsCompleted } = dispatcher.dispatch(
        hypercall({ code: 0x1234, input: placed(bytes(64)), repCount, repStart }),
      );
      return { code, repsCompleted };
    };
    expect(run(5, 0)).toEqual({ code: success, repsCompleted: 5 });
    expect(run(5, 4)).toMatchObject({ code: success, repsCompleted: 5 });
    answer = (made) => {
      made.repsCompleted = 3;
      return invalidParameter;
    };
    expect(run(5, 2)).toEqual({ code: invalidParameter, repsCompleted: 3 });
    const slow = dispatcher.dispatch(
      hypercall({ code: 0x1234, input: 0x2000n, repCount: 5, repStart: 2, bits: 32 }),
    );
    expect(slow).toEqual({ status: invalidParameter, repsCompleted: 3 });
    expect(run(0, 0)).toMatchObject({ code: invalidInput, repsCompleted: 0 });
    expect(run(5, 5)).toMatchObject({ code: invalidInput, repsCompleted: 0 });
    expect(run(0xfff, 0)).toMatchObject({ code: invalidInput, repsCompleted: 0 });
    expect(errors).toEqual([]);
  });

  it('and throws is reported, and the guest gets a status', () => {
    const cause = new Error('broken');
    define({
      handle: () => {
        throw cause;
      },
    });
    expect(status({ code: 0x1234, fast: true })).toBe(operationFailed);
    expect(errors).toMatchObject([
      { code: 'ERR_MSHV_HYPERCALL_HANDLER', message: 'hypercall HvMine failed: broken', cause },
    ]);
  });

  it.each([NaN, -1, 0.5, 0x1_0000])('and returns %s has failed', (wrong) => {
    define({ handle: () => wrong });
    expect(status({ code: 0x1234, fast: true })).toBe(operationFailed);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER' }]);
  });

  it.each([-1, 6, 1.5])('and has done %s of 5 reps has failed', (wrong) => {
    define({
      repInputSize: 0,
      handle: (made) => {
        made.repsCompleted = wrong;
        return invalidParameter;
      },
    });
    const done = dispatcher.dispatch(hypercall({ code: 0x1234, fast: true, repCount: 5 }));
    expect(done).toMatchObject({ status: operationFailed, repsCompleted: 0 });
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER' }]);
  });

  it.each([-1, 6, NaN])('and throws after it has done %s of 5 reps has done none', (wrong) => {
    define({
      repInputSize: 0,
      handle: (made) => {
        made.repsCompleted = wrong;
        throw new Error('broken');
      },
    });
    const done = dispatcher.dispatch(
      hypercall({ code: 0x1234, fast: true, repCount: 5, repStart: 1 }),
    );
    expect(done).toEqual({ status: operationFailed, repsCompleted: 1 });
    expect(errors).toMatchObject([{ message: 'hypercall HvMine failed: broken' }]);
  });

  it('can be removed and added again, and has its code alone', () => {
    const definition = { code: 0x1234, name: 'HvMine', inputSize: 12, handle: () => success };
    const mine = dispatcher.add(definition);
    expect(() => define()).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_HYPERCALL_IN_USE',
        message: 'hypercall 0x1234 is HvMine already',
      }),
    );
    mine[Symbol.dispose]();
    expect(status({ code: 0x1234, fast: true })).toBe(invalidCode);
    dispatcher.add(definition);
    mine[Symbol.dispose]();
    expect(status({ code: 0x1234, fast: true })).toBe(success);
  });
});

describe('HvRetargetDeviceInterrupt', () => {
  const request = { ...retargetRequest, vpIndex: 3 };
  const handler = vi.fn<(request: object) => number>();

  beforeEach(() => {
    handler.mockReset().mockReturnValue(success);
    dispatcher = new HypercallDispatcher({ portMap, memory, retargetDeviceInterrupt: handler });
  });

  it.each([true, false])('with a mask of VPs (fast: %s)', (fast) => {
    const partitionId = 0x12_0000_0034n;
    const maskOrFormat = (1n << 63n) | (1n << 32n) | 5n;
    const input = retargetInput({ partitionId, flags: 1, maskOrFormat });
    expect(status({ code: retarget, vpIndex: 3, fast, input: fast ? input : placed(input) })).toBe(
      success,
    );
    expect(handler.mock.calls).toEqual([
      [
        {
          ...request,
          partitionId,
          multicast: true,
          processors: [0, 2, 32, 63],
        },
      ],
    ]);
  });

  it.each([true, false])('with a set of VPs (fast: %s)', (fast) => {
    const input = retargetInput({ flags: 6 }, (1n << 3n) | 1n, 0x21n, 1n << 63n);
    const common = { code: retarget, vpIndex: 3, variableHeaderWords: 3 };
    expect(status({ ...common, fast, input: fast ? input : placed(input) })).toBe(success);
    expect(handler.mock.calls).toEqual([
      [{ ...request, proxyRedirect: true, processors: [0, 5, 255] }],
    ]);
  });

  it('has the status of the handler', () => {
    handler.mockReturnValue(invalidDeviceId);
    const input = retargetInput({ maskOrFormat: 1n });
    expect(status({ code: retarget, fast: true, input })).toBe(invalidDeviceId);
  });

  it.each<[string, Parameters<typeof retargetInput>]>([
    ['another source', [{ source: 2, maskOrFormat: 1n }]],
    ['a reserved half of the source', [{ reservedSource: 1, maskOrFormat: 1n }]],
    ['a reserved word', [{ reserved: 1n, maskOrFormat: 1n }]],
    ['a reserved flag', [{ flags: 8, maskOrFormat: 1n }]],
    ['no VPs', [{}]],
    ['a mask with a header', [{ maskOrFormat: 1n }, 1n]],
    ['a set without a header', [{ flags: 2 }]],
    ['a set of all', [{ flags: 2, maskOrFormat: 1n }, 1n, 1n]],
    ['a set with a bank too few', [{ flags: 2 }, 3n, 1n]],
    ['a set with a bank too many', [{ flags: 2 }, 1n, 1n, 1n]],
    ['a set of empty banks', [{ flags: 2 }, 1n, 0n]],
    ['a set of no banks', [{ flags: 2 }, 0n]],
  ])('refuses %s', (_, args) => {
    const input = retargetInput(...args);
    const variableHeaderWords = args.length - 1;
    expect(status({ code: retarget, fast: true, input, variableHeaderWords })).toBe(
      invalidParameter,
    );
    expect(handler).not.toHaveBeenCalled();
  });
});
