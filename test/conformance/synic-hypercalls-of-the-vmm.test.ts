import { beforeEach, describe, expect, it, vi } from 'vitest';

import {
  hvStatusCodes,
  type HypercallCall,
  type RetargetInterruptRequest,
} from '../../lib/index.js';
import { retargetRequest, retarget, retargetInput } from '../guest-hypercall.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  base,
  call,
  hypercallsForEachTest,
  memory,
  only,
  openSynic,
  payload,
  placed,
  success,
} from './hypercalls-for-tests.js';
import { partition } from './partition-for-tests.js';
import { errors, synic } from './synic-for-tests.js';

// Hypercalls that the VMM answers itself.

const guest = await guestSideForTests();
hypercallsForEachTest(guest);

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
