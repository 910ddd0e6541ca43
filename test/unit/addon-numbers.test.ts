import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { linuxNative, type Native } from '../../lib/native.js';
import { type SimNative, simNative } from '../../lib/sim/sim-native.js';

// Every number that a function of the addons takes, given all that is none of its type: what is not exactly a value of the
// type is refused, and never taken for another one.

const { EINVAL } = constants.errno;

/** A number that a function takes, and what is none. */
class Numeric {
  readonly value: number | bigint;
  readonly wrong: readonly unknown[];

  constructor(value: number | bigint, wrong: readonly unknown[]) {
    this.value = value;
    this.wrong = wrong.filter((one) => one !== value);
  }
}

const ofAnotherType = (value: number | bigint): readonly unknown[] => [
  String(value),
  true,
  null,
  [value],
  Object(value) as unknown,
];

const integer = (value: number, least: number, most: number): Numeric =>
  new Numeric(value, [
    ...[NaN, Infinity, -Infinity, value + 0.5, value - 0.5, value + Number.EPSILON / 2 ** 30],
    ...[least - 1, most + 1, value + 2 ** 32, value - 2 ** 32, value + 2 ** 53, -(2 ** 53)],
    ...[Number.MIN_VALUE, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 63, 2 ** 64],
    ...[BigInt(value), undefined, ...ofAnotherType(value)],
  ]);

const int = (value: number): Numeric => integer(value, -(2 ** 31), 2 ** 31 - 1);
const uint = (value: number): Numeric => integer(value, 0, 2 ** 32 - 1);
const uint64 = (value: bigint): Numeric =>
  new Numeric(value, [
    ...[-1n, -(2n ** 63n), 2n ** 64n, value + 2n ** 64n, value - 2n ** 64n, value + 2n ** 128n],
    ...[Number(value), ...ofAnotherType(value)],
  ]);

/** What there is, all of this environment but `foreign`. */
interface Given {
  /** An eventfd, attached as if it were a VP. */
  event: Numeric;
  control: Numeric;
  /** An eventfd that is attached to nothing. */
  other: Numeric;
  foreign: Numeric;
  memory: Numeric;
  memoryFd: Numeric;
}

interface SimGiven extends Given {
  simulator: Numeric;
  partition: Numeric;
}

const bytes = new Uint8Array(4096);
const block = new Uint8Array(new SharedArrayBuffer(384));
const words = new BigUint64Array(64);
const words32 = new Uint32Array(64);
const nothing = (): void => undefined;

/** Arguments that each function takes, numbers with their type. */
const both: { [Name in keyof Native]: (given: Given) => readonly unknown[] } = {
  failedStep: () => [],
  open: () => ['/dev/null'],
  architecture: ({ event }) => [event],
  fastInjection: ({ event }) => [event],
  close: ({ event }) => [event],
  dup: ({ event }) => [event],
  release: ({ other }) => [other],
  createPartition: ({ event }) => [event, uint64(1n), uint64(0n)],
  createPartitionV2: ({ event }) => [event, uint64(8n), ...Array.from('1234', () => uint64(0n))],
  initializePartition: ({ event }) => [event],
  createVp: ({ event }) => [event, uint(0)],
  irqfd: ({ event, other }) => [event, other, int(-1), uint(1), uint(0)],
  setMsiRouting: ({ event }) => [event, words32],
  ioeventfd: ({ event, other }) => [event, other, uint64(0n), uint(4), uint64(0n), uint(0)],
  mapMemory: ({ event, memory }) => [
    ...[event, memory, uint64(0n), uint64(4096n), uint64(0n)],
    uint(3),
  ],
  accessBitmap: ({ event }) => [event, uint(0), uint(0), uint64(0n), uint(1), words],
  hypercall: ({ event }) => [event, uint(0x44), uint(0), bytes, bytes, words32],
  memoryCreate: () => [uint64(4096n), false, false],
  memoryFromFd: ({ memoryFd }) => [memoryFd, uint64(0n), uint64(4096n)],
  memoryFd: ({ memory }) => [memory],
  memoryBuffer: ({ memory }) => [memory],
  memoryRead: ({ memory }) => [memory, uint64(0n), bytes],
  memoryWrite: ({ memory }) => [memory, uint64(0n), bytes],
  memorySetBits: ({ memory }) => [memory, uint64(0n), uint(1)],
  memoryTakeBits: ({ memory }) => [memory, uint64(0n), uint(1)],
  memoryDetach: ({ memory }) => [memory],
  memoryUnmap: ({ memory }) => [memory],
  share: () => [new Int32Array(0), new Int32Array(2)],
  receive: () => [new Int32Array(2), new Uint32Array(0)],
  receiveMemory: () => [new Int32Array(3), uint64(0n), uint64(4096n)],
  receiveEventfd: () => [new Int32Array(3)],
  vpAttach: ({ other, control }) => [other, control],
  vpUseBlock: ({ event }) => [event, block],
  vpRun: ({ event }) => [event],
  vpCancel: ({ event }) => [event],
  vpLastRun: ({ event }) => [event],
  vpStart: ({ event }) => [event, nothing],
  vpResume: ({ event }) => [event],
  vpStop: ({ event }) => [event],
  vpHoldLoop: ({ event }) => [event, true],
  vpPage: ({ event }) => [event, uint(0)],
  vpReadRegisterPage: ({ event }) => [event, bytes, uint(0)],
  vpWriteRegisterPage: ({ event }) => [event, new Uint32Array(1), words, uint(0)],
  vpCompleteExit: ({ event }) => [event, uint(0), uint(0), uint(0)],
  vpGetState: ({ event }) => [event, uint(0), bytes],
  vpSetState: ({ event }) => [event, uint(0), bytes],
  eventfdCreate: () => [uint(0), false],
  eventfdAdopt: ({ foreign }) => [foreign],
  eventfdShow: ({ event }) => [event],
  eventfdSignal: ({ event }) => [event, uint64(1n)],
  eventfdSignalBounded: ({ event }) => [event, uint64(1n)],
  eventfdRead: ({ event }) => [event],
  eventfdPoll: ({ event }) => [event],
  watch: ({ event }) => [event, nothing],
  unwatch: ({ event }) => [event],
  holdLoop: ({ event }) => [event, true],
};

/** Likewise, of the simulator's addon only. */
const simOnly: Record<
  Exclude<keyof SimNative, keyof Native>,
  (given: SimGiven) => readonly unknown[]
> = {
  simCreate: () => [uint(3), false, false, true, true],
  simDestroy: ({ simulator }) => [simulator],
  simOf: ({ partition }) => [partition],
  simSettle: ({ simulator }) => [simulator],
  simInterrupts: ({ partition }) => [partition, words],
  simListen: ({ partition, event }) => [partition, event],
  simEndOfInterrupt: ({ partition }) => [partition, uint(0), uint(32)],
  simFailNext: ({ simulator }) => [simulator, uint(0xb800), int(5), uint(0), uint(1)],
  simFailSystemCall: () => [int(0), uint(0)],
  simSystemCalls: () => [],
  simCalls: ({ simulator }) => [simulator, uint(0xb800)],
  simRoutes: ({ partition }) => [partition, words32],
  simIrqFds: ({ partition }) => [partition, words32],
  simQueueMessage: ({ partition }) => [partition, uint(0), bytes.subarray(0, 256)],
  simGuestSteps: ({ partition }) => [partition, uint(0), BigUint64Array.of(6n, 0n, 0n, 0n, 0n)],
  simPendingSteps: ({ partition }) => [partition, uint(0)],
  simGuestAccess: ({ partition }) => [partition, uint64(0n), bytes, false],
  simWriteMmio: ({ partition }) => [partition, uint64(0n), uint(4), uint64(0n)],
  simRefuse: ({ simulator }) => [simulator, uint(0x44), uint(6), uint(0), uint(1), uint(0)],
  simDoorbells: ({ partition }) => [partition, words],
  simMemory: ({ partition }) => [partition, words],
  simIntercepts: ({ partition }) => [partition, words],
  simInterceptResults: ({ partition }) => [partition, words],
  simOops: ({ simulator }) => [simulator],
};

const rightOf = (argument: unknown): unknown =>
  argument instanceof Numeric ? argument.value : argument;

describe.each<[string, Native]>([
  ['mshv', linuxNative()],
  ['mshv_sim', simNative()],
])('the addon %s', (addon, native) => {
  const exported = Object.keys(native).filter(
    (name) => typeof Reflect.get(native, name) === 'function',
  );
  const table: Record<string, (given: SimGiven) => readonly unknown[]> = {
    ...both,
    ...(addon === 'mshv_sim' && simOnly),
  };
  const sim = simNative();
  let given: SimGiven;
  let close: () => void;

  const call = (name: string, args: readonly unknown[]): unknown => {
    const implementation: unknown = Reflect.get(native, name);
    if (typeof implementation !== 'function') throw new Error(`no ${name}()`);
    return Reflect.apply(implementation, native, args);
  };

  beforeEach(() => {
    const event = native.eventfdCreate(0, false);
    const control = native.vpAttach(event, -1);
    native.vpUseBlock(event, block);
    const other = native.eventfdCreate(0, false);
    const foreign = native.release(native.eventfdCreate(0, false));
    const memory = native.memoryCreate(4096n, true, false);
    const memoryFd = native.memoryFd(memory);
    const simulator = sim.simCreate(3, false, false);
    const device = sim.open(`sim:${simulator}`);
    const partition = sim.createPartition(device, 1n, 0n);
    sim.initializePartition(partition);
    const vp = sim.createVp(partition, 0);
    expect(vp).toBeGreaterThan(0);
    given = {
      event: int(event),
      control: int(control),
      other: int(other),
      foreign: int(foreign),
      memory: int(memory),
      memoryFd: int(memoryFd),
      simulator: int(simulator),
      partition: int(partition),
    };
    close = () => {
      native.eventfdAdopt(foreign);
      for (const fd of [event, control, other, foreign, memoryFd]) native.close(fd);
      native.memoryUnmap(memory);
      for (const fd of [vp, partition, device]) sim.close(fd);
      sim.simDestroy(simulator);
    };
  });

  afterEach(() => {
    close();
  });

  it('has no function that the table lacks', () => {
    expect(exported.sort()).toEqual(Object.keys(table).sort());
  });

  it.each(Object.entries(table))(
    'takes for a number of %s() what is one only',
    (name, argumentsOf) => {
      const args = argumentsOf(given);
      const right = args.map(rightOf);
      args.forEach((argument, position) => {
        for (const wrong of argument instanceof Numeric ? argument.wrong : []) {
          const result = call(name, right.with(position, wrong));
          expect([position, wrong, result]).toEqual([position, wrong, -EINVAL]);
        }
      });
      // Nothing else is wrong with what is refused above.
      if (args.some((argument) => argument instanceof Numeric)) {
        const result = call(name, right);
        expect(result).not.toBe(-EINVAL);
        if (name === 'simCreate') sim.simDestroy(Number(result));
        else if (['dup', 'eventfdCreate', 'memoryFd'].includes(name)) native.close(Number(result));
        else if (['memoryCreate', 'memoryFromFd'].includes(name))
          native.memoryUnmap(Number(result));
      }
    },
  );
});
