import fc from 'fast-check';
import { describe, expect } from 'vitest';

import { messageLayout, messageTypes } from '../../../lib/abi/message-types.js';
import { HypercallIntercept } from '../../../lib/abi/messages/hypercall-intercept.js';
import { guestHypercalls } from '../../../lib/abi/synic.js';
import { MshvError } from '../../../lib/errors.js';
import type { HypercallMemory } from '../../../lib/synic/guest-hypercall.js';
import { HypercallDispatcher } from '../../../lib/synic/hypercall-dispatcher.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import {
  hypercallMessage,
  postMessageInput,
  retargetInput,
  signalEventInput,
} from '../../guest-hypercall.js';
import { anyBytes, anyUint32, anyUint64, fuzz, mutated } from './fuzz.js';

const { HVCALL_POST_MESSAGE, HVCALL_SIGNAL_EVENT, HVCALL_RETARGET_INTERRUPT } = guestHypercalls;
const ownCode = 0x1234;
const connections = [0, 1, 2, 3, 4];

/**
 * Guest memory that other VPs write all the time: no two reads see the same bytes. The ranges that were read are
 * kept, and some are not mapped.
 */
class RacingMemory implements HypercallMemory {
  readonly ranges: { gpa: bigint; length: number }[] = [];
  readonly #contents: readonly Uint8Array[];
  readonly #mapped: boolean;

  constructor(contents: readonly Uint8Array[], mapped: boolean) {
    this.#contents = contents;
    this.#mapped = mapped;
  }

  read(gpa: bigint, into: Uint8Array): boolean {
    const contents = this.#contents[this.ranges.length % this.#contents.length];
    this.ranges.push({ gpa, length: into.length });
    into.set((contents ?? new Uint8Array(0)).subarray(0, into.length));
    return this.#mapped;
  }
}

const code = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.constantFrom(
      HVCALL_POST_MESSAGE,
      HVCALL_SIGNAL_EVENT,
      HVCALL_RETARGET_INTERRUPT,
      ownCode,
    ),
  },
  { weight: 1, arbitrary: fc.nat({ max: 0xffff }) },
);

const input = fc.oneof(
  anyBytes(112),
  mutated(
    fc
      .record({
        connection: fc.constantFrom(...connections),
        payload: fc.uint8Array({ maxLength: 240 }),
        type: anyUint32,
        size: fc.option(anyUint32, { nil: undefined }),
      })
      .map(({ connection, payload, type, size = payload.length }) =>
        postMessageInput(connection, payload, { type, size }),
      ),
    2,
  ),
  mutated(
    fc
      .tuple(fc.constantFrom(...connections), fc.nat({ max: 0xffff }))
      .map(([connection, flag]) => signalEventInput(connection, flag)),
    2,
  ),
  mutated(
    fc
      .record({
        flags: fc.nat({ max: 7 }),
        maskOrFormat: fc.oneof(anyUint64, fc.constant(1n)),
        header: fc.array(anyUint64, { maxLength: 20 }),
      })
      .map(({ flags, maskOrFormat, header }) => retargetInput({ flags, maskOrFormat }, ...header)),
    2,
  ),
);

/** Intercepts that a guest could make, and messages of which the type alone is right. */
const intercept = fc.oneof(
  fc
    .record({
      code,
      fast: fc.boolean(),
      variableHeaderWords: fc.oneof(fc.constant(0), fc.nat({ max: 20 }), fc.nat({ max: 0x3ff })),
      repCount: fc.oneof(fc.constant(0), fc.nat({ max: 20 }), fc.nat({ max: 0xfff })),
      repStart: fc.oneof(fc.constant(0), fc.nat({ max: 20 }), fc.nat({ max: 0xfff })),
      control: fc.oneof({ weight: 9, arbitrary: fc.constant(0n) }, anyUint64),
      gpa: fc.oneof(
        fc.nat({ max: 0x200 }).map((words) => BigInt(8 * words)),
        anyUint64,
      ),
      registers: input,
      bits: fc.constantFrom(32 as const, 64 as const),
      vtl: fc.nat({ max: 15 }),
    })
    .map(({ gpa, registers, ...call }) =>
      hypercallMessage({ ...call, input: call.fast ? registers.subarray(0, 112) : gpa }),
    ),
  fc.tuple(anyBytes(messageLayout.size), fc.option(code)).map(([bytes, known]) => {
    const view = new DataView(bytes.buffer);
    view.setUint32(messageLayout.type, messageTypes.HYPERCALL_INTERCEPT, true);
    // RCX, where a 64-bit caller has the control word.
    if (known !== null) view.setUint16(messageLayout.payload + 56, known, true);
    return bytes;
  }),
);

const result = fc.oneof(
  fc.constantFrom<unknown>(0, 0, 0, 5, 0xffff),
  fc.constantFrom<unknown>(-1, 0x1_0000, 0.5, NaN, Infinity, undefined, null, '0', 0n, {}),
  fc.constant(new Error('its fault')),
);

const definition = fc.record({
  inputSize: fc.oneof(fc.nat({ max: 32 }), fc.nat({ max: 4096 })),
  variableHeader: fc.boolean(),
  repInputSize: fc.option(fc.oneof(fc.nat({ max: 32 }), fc.nat({ max: 4096 })), { nil: undefined }),
});

/** Returns or throws what it has been told to. */
function answer(value: unknown): unknown {
  if (value instanceof Error) throw value;
  return value;
}

describe('the hypercall dispatcher', () => {
  fuzz(
    'answers whatever guests ask, handlers return and memory holds, and reads each byte once',
    1500,
    fc.property(
      intercept,
      fc.array(input, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      definition,
      result,
      fc.oneof(fc.nat({ max: 5000 }), fc.constantFrom(-1, 0.5, NaN)),
      (message, contents, mapped, { repInputSize, ...own }, returned, reps) => {
        const errors: unknown[] = [];
        const onError = (error: MshvError): void => void errors.push(error);
        const portMap = new SynicPortMap({ onError });
        for (const connection of connections) {
          if (connection % 2 === 0) {
            portMap.addMessagePort(connection, connection, {
              handleMessage: (payload) => {
                expect(payload.length).toBeLessThanOrEqual(240);
                return answer(returned);
              },
            });
          } else {
            portMap.addEventPort(connection, connection, {
              flagCount: 100,
              handleEvent: (flag) => {
                expect(flag).toBeLessThan(100);
                return answer(returned);
              },
            });
          }
        }
        const memory = new RacingMemory(contents, mapped);
        const dispatcher = new HypercallDispatcher({
          portMap,
          memory,
          onError,
          retargetDeviceInterrupt: ({ processors, vector }) => {
            expect(processors.length).toBeGreaterThan(0);
            expect(processors.every((vp) => Number.isInteger(vp) && vp >= 0 && vp < 4096)).toBe(
              true,
            );
            expect(vector).toBeGreaterThanOrEqual(0);
            return answer(returned) as number;
          },
        });
        dispatcher.add({
          code: ownCode,
          name: 'OwnCall',
          ...own,
          ...(repInputSize !== undefined && { repInputSize }),
          handle: (call) => {
            expect(call.inputSize).toBeLessThanOrEqual(4096);
            expect(call.inputSize).toBe(
              own.inputSize + call.variableHeaderSize + call.repCount * (repInputSize ?? 0),
            );
            for (let at = 0; at < call.inputSize; at++) call.input.getUint8(at);
            call.repsCompleted = reps;
            return answer(returned) as number;
          },
        });

        const hypercall = new HypercallIntercept(message);
        const { status, repsCompleted } = dispatcher.dispatch(hypercall);
        expect(Number.isInteger(status) && status >= 0 && status <= 0xffff).toBe(true);
        expect(Number.isInteger(repsCompleted) && repsCompleted >= 0).toBe(true);
        expect(repsCompleted).toBeLessThanOrEqual(hypercall.repCount);
        if (status === 0) expect(repsCompleted).toBe(hypercall.repCount);
        // One read in one page at most, and none for what is in registers: no byte is read twice.
        expect(memory.ranges.length).toBeLessThanOrEqual(hypercall.isFast ? 0 : 1);
        for (const { gpa, length } of memory.ranges) {
          expect(gpa % 8n).toBe(0n);
          expect(length).toBeGreaterThan(0);
          expect((gpa & 0xfffn) + BigInt(length)).toBeLessThanOrEqual(4096n);
        }
        for (const error of errors) {
          expect(error).toBeInstanceOf(MshvError);
          // Not what an expectation above has thrown.
          const { cause } = error as MshvError;
          expect(cause === returned || cause instanceof RangeError).toBe(true);
        }
        // Nothing of it is left for the next call.
        expect(dispatcher.dispatch(hypercall).repsCompleted).toBeLessThanOrEqual(
          hypercall.repCount,
        );
      },
    ),
  );
});
