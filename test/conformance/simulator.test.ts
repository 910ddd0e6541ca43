import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { inspect } from 'node:util';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { ioeventfdFlags } from '../../lib/abi/ioeventfd.js';
import { irqfdFlags } from '../../lib/abi/irqfd.js';
import { memoryFlags } from '../../lib/abi/memory.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import type { Partition, Vp } from '../../lib/index.js';
import { insideLab, openGuestSide, type GuestSide } from '../guest-side.js';
import { SimulatorGuestSide } from '../simulator-guest-side.js';

// The same calls to the real driver and to the simulator, side by side: every result, every output,
// every counter and every interrupt must be the same after each call.
//
// Left out is what a driver leaves undefined (bytes that nobody writes) and what the lab's hypervisor does
// not do where no guest code runs: results for any VP, registered CPUID results, a SynIC. It takes messages and events
// of every VP, stores SIMP and SIEFP without showing pages, notifies of no free slot, and its SINTs start as 0.

const { DEASSIGN, RESAMPLE } = irqfdFlags;
const counters = 4;
const semaphores = 2;
const vps = 2;

const page = 4096n;
const memories = 2;
/** More than the driver pages in at a time. */
const memoryPages = 520;
/** Not where the driver would take huge pages, which the lab's hypervisor maps in its own way. */
const gpas = [0x101000n, 0x201000n, 0x400000n + 0x7000n] as const;

/** Two partitions on one of the drivers, and what there is to arm. */
class Side {
  readonly guest: GuestSide;
  readonly device: number;
  readonly partitions: readonly Partition[];
  readonly vps: readonly Vp[][];
  readonly memories: readonly number[];
  readonly events: number[];
  readonly resample: readonly number[];

  constructor(guest: GuestSide) {
    this.guest = guest;
    const { native } = guest;
    this.device = native.open(
      guest instanceof SimulatorGuestSide ? guest.simulator.path : '/dev/mshv',
    );
    this.partitions = [guest.createPartition(0), guest.createPartition(0)];
    this.vps = this.partitions.map((partition) =>
      Array.from({ length: vps }, (_, index) => partition.createVp(index)),
    );
    for (const vp of this.vps.flat()) {
      native.vpAttach(vp.fd, -1);
    }
    this.memories = Array.from({ length: memories }, () =>
      native.memoryCreate(BigInt(memoryPages) * page, false, false),
    );
    this.events = Array.from({ length: counters + semaphores }, (_, i) =>
      native.eventfdCreate(0, i >= counters),
    );
    this.resample = [native.eventfdCreate(0, false), native.eventfdCreate(0, false)];
  }

  partition(index: number): Partition {
    return this.partitions[index] ?? expect.fail('no such partition');
  }

  vp(partition: number, index: number): Vp {
    return this.vps[partition]?.[index] ?? expect.fail('no such VP');
  }

  memory(index: number): number {
    return this.memories[index] ?? expect.fail('no such memory');
  }

  event(index: number): number {
    return this.events[index] ?? expect.fail('no such eventfd');
  }

  /** What can be seen from outside; takes the interrupts and what was resampled. */
  seen(): unknown {
    const { native } = this.guest;
    return {
      signalled: this.events.map((fd) => native.eventfdPoll(fd)),
      resampled: this.resample.map((fd) => native.eventfdRead(fd)),
      interrupts: this.partitions.map((partition) => this.guest.interrupts(partition)),
    };
  }

  close(): void {
    for (const fd of [...this.events, ...this.resample, this.device]) {
      this.guest.native.close(fd);
    }
    for (const vp of this.vps.flat()) {
      vp.close();
    }
    for (const partition of this.partitions) {
      partition.close();
    }
    for (const memory of this.memories) {
      this.guest.native.memoryUnmap(memory);
    }
  }
}

/** One call, made to both. */
interface Step {
  readonly toString: () => string;
  readonly perform: (side: Side) => unknown;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Bytes as what one can read. */
function shown(given: unknown): unknown {
  if (given instanceof Uint8Array) {
    return hex(given);
  }
  return typeof given !== 'object' || given === null || Array.isArray(given)
    ? given
    : Object.fromEntries(Object.entries(given).map(([key, value]) => [key, shown(value)]));
}

function step<Arguments extends object>(
  name: string,
  record: fc.Arbitrary<Arguments>,
  perform: (side: Side, step: Arguments) => unknown,
): fc.Arbitrary<Step> {
  return record.map((given) => ({
    toString: () => `${name} ${inspect(shown(given), { breakLength: Infinity, depth: 9 })}`,
    perform: (side) => perform(side, given),
  }));
}

const rarely = <T>(usual: T, odd: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 20, arbitrary: fc.constant(usual) }, fc.constant(odd));
const partition = fc.nat({ max: 1 });
const event = fc.nat({ max: counters + semaphores - 1 });
/** Few, so that they meet; the last cannot be routed. */
const gsi = fc.constantFrom(0, 1, 2, 0x30, 0x31, 100_000);

const entry = fc
  .record({
    gsi: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(0, 1, 2, 0x30) }, fc.constant(4096)),
    low: fc.nat({ max: 0xfffff }),
    high: rarely(0, 1),
    data: fc.nat({ max: 0xffff }),
  })
  .map(({ gsi, low, high, data }) => [gsi, 0xfee00000 + low, high, data]);

const vp = fc.nat({ max: vps - 1 });
const memory = fc.nat({ max: memories - 1 });
const gpa = fc.constantFrom(...gpas);
/** A page in, next to or far from what can be mapped. */
const guestPage = fc
  .oneof(
    { weight: 10, arbitrary: fc.tuple(gpa, fc.constantFrom(0, 1, 2, 100, 511, 512, 519)) },
    fc.tuple(gpa, fc.constantFrom(-1, 520)),
  )
  .map(([base, pages]) => base / page + BigInt(pages));

/** The code of what a call throws. */
function attempt(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

interface Call {
  readonly code: number;
  readonly reps: number;
  readonly input: Uint8Array;
  /** How many bytes the hypervisor writes. */
  readonly output: number;
}

/** The input of a hypercall: 8 bytes for the partition id, then 32-bit words. */
function input(...words: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.of(0, 0, ...words).buffer);
}
const low = (value: bigint): number => Number(value & 0xffff_ffffn);
const high = (value: bigint): number => Number(value >> 32n);

const vpIndex = rarely(0, 7).chain((odd) => (odd === 7 ? fc.constant(7) : vp));
const property = fc.constantFrom(
  0x10000,
  0x10001,
  0x50017,
  0x60007,
  0x60008,
  0x60009,
  0x90007,
  5,
  0xa0000,
);
const registerName = fc.constantFrom(
  0,
  1,
  0x20000,
  0x20010,
  0x20011,
  0x30001,
  0x40000,
  0x60001,
  0x90014,
  0xdead,
  x64Registers.SCONTROL,
  // Asks for no SINT: the upper half is 1.
  x64Registers.DELIVERABILITY_NOTIFICATIONS,
);
const list = <T>(element: fc.Arbitrary<T>, few: number, many: number): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 10, arbitrary: fc.array(element, { minLength: 1, maxLength: few }) },
    fc.array(element, { minLength: many, maxLength: many }),
  );

const {
  HVCALL_GET_PARTITION_PROPERTY,
  HVCALL_GET_PARTITION_PROPERTY_EX,
  HVCALL_SET_PARTITION_PROPERTY,
  HVCALL_INSTALL_INTERCEPT,
  HVCALL_GET_VP_REGISTERS,
  HVCALL_SET_VP_REGISTERS,
  HVCALL_TRANSLATE_VIRTUAL_ADDRESS,
  HVCALL_CLEAR_VIRTUAL_INTERRUPT,
  HVCALL_REGISTER_INTERCEPT_RESULT,
  HVCALL_ASSERT_VIRTUAL_INTERRUPT,
  HVCALL_SIGNAL_EVENT_DIRECT,
  HVCALL_POST_MESSAGE_DIRECT,
  HVCALL_GET_GPA_PAGES_ACCESS_STATES,
  HVCALL_GET_VP_CPUID_VALUES,
} = hypercalls;

const simple = (code: number, bytes: Uint8Array, output: number): Call => ({
  code,
  reps: 0,
  input: bytes,
  output,
});

const validCall: fc.Arbitrary<Call> = fc.oneof(
  fc.tuple(fc.boolean(), property).map(([ex, code]) => ({
    ...simple(HVCALL_GET_PARTITION_PROPERTY.code, input(code, 0, 0, 0), 8),
    ...(ex ? { code: HVCALL_GET_PARTITION_PROPERTY_EX.code } : {}),
  })),
  fc
    .tuple(property, fc.nat())
    .map(([code, value]) =>
      simple(HVCALL_SET_PARTITION_PROPERTY.code, input(code, 0, value, 0), 0),
    ),
  fc
    .tuple(fc.nat({ max: 7 }), fc.nat({ max: 20 }), fc.nat())
    .map(([access, type, parameter]) =>
      simple(HVCALL_INSTALL_INTERCEPT.code, input(access, type, parameter, 0), 0),
    ),
  // A page has room for 256 values and for 127 elements.
  fc.tuple(vpIndex, list(registerName, 4, 256)).map(([index, names]) => ({
    code: HVCALL_GET_VP_REGISTERS.code,
    reps: names.length,
    input: input(index, 0, ...names),
    output: 16 * names.length,
  })),
  fc.tuple(vpIndex, list(fc.tuple(registerName, fc.nat()), 4, 127)).map(([index, values]) => ({
    code: HVCALL_SET_VP_REGISTERS.code,
    reps: values.length,
    input: input(index, 0, ...values.flatMap(([name, value]) => [name, 0, 0, 0, value, 1, 2, 3])),
    output: 0,
  })),
  fc
    .tuple(vpIndex, guestPage)
    .map(([index, where]) =>
      simple(
        HVCALL_TRANSLATE_VIRTUAL_ADDRESS.code,
        input(index, 0, 1, 0, low(where), high(where)),
        16,
      ),
    ),
  fc.constant(simple(HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, input(), 0)),
  fc
    .tuple(vpIndex, fc.constantFrom(1, 2), fc.nat())
    .map(([index, type, value]) =>
      simple(
        HVCALL_REGISTER_INTERCEPT_RESULT.code,
        input(index, type, value, ...new Array<number>(10).fill(0)),
        0,
      ),
    ),
  fc
    .tuple(fc.nat({ max: 9 }), fc.nat({ max: 3 }), fc.nat({ max: 300 }), fc.nat({ max: 300 }))
    .map(([type, control, destination, vector]) =>
      simple(
        HVCALL_ASSERT_VIRTUAL_INTERRUPT.code,
        input(type, control, destination, 0, vector, 0),
        0,
      ),
    ),
  // No such VP.
  fc.constant(simple(HVCALL_SIGNAL_EVENT_DIRECT.code, input(7, 0), 8)),
  fc.constant(
    simple(HVCALL_POST_MESSAGE_DIRECT.code, input(7, ...new Array<number>(67).fill(0)), 0),
  ),
  fc
    .tuple(guestPage, fc.nat({ max: 15 }), fc.constantFrom(1, 2, 8, 513))
    .map(([where, flags, pages]) => ({
      code: HVCALL_GET_GPA_PAGES_ACCESS_STATES.code,
      reps: pages,
      input: input(flags, 0, low(where), high(where)),
      output: pages,
    })),
  // Leaves that are the same on every processor.
  fc
    .tuple(vpIndex, list(fc.constantFrom(0, 0x8000_0000, 0x8000_0002), 3, 169))
    .map(([index, leaves]) => ({
      code: HVCALL_GET_VP_CPUID_VALUES.code,
      reps: leaves.length,
      input: input(index, 0, 0, 0, ...leaves.flatMap((leaf) => [leaf, 0, 0, 0, 0, 0])),
      output: 16 * leaves.length,
    })),
);

/** Makes it the wrong way round in one of the ways that there are. */
const wrongCall = fc
  .tuple(validCall, fc.constantFrom('kind', 'code', 'reps', 'short', 'output'))
  .map(([call, wrong]): Call => {
    switch (wrong) {
      case 'kind':
        return { ...call, reps: call.reps === 0 ? 1 : 0 };
      case 'code':
        return { ...call, code: call.code + 0x1000 };
      case 'reps':
        return { ...call, reps: 4096 + call.reps };
      case 'short':
        return { ...call, input: call.input.subarray(0, 7) };
      default:
        return { ...call, output: 0 };
    }
  });

function perform(side: Side, fd: number, { code, reps, input, output }: Call): unknown {
  const bytes = new Uint8Array(output);
  const result = new Uint32Array(2);
  const error = side.guest.native.hypercall(fd, code, reps, input, bytes, result);
  return { error, status: result[0], reps: result[1], output: error === 0 ? hex(bytes) : '' };
}

const file = fc.constantFrom('device', 'partition', 'partition', 'partition', 'vp');

function fdOf(side: Side, which: 'device' | 'partition' | 'vp', partition: number): number {
  switch (which) {
    case 'device':
      return side.device;
    case 'partition':
      return side.partition(partition).fd;
    case 'vp':
      return side.vp(partition, 1).fd;
  }
}

/** Neither a pending call, which the driver would wait for, nor success. */
const status = fc.constantFrom(
  hvStatusCodes.HV_STATUS_INVALID_PARAMETER,
  hvStatusCodes.HV_STATUS_ACCESS_DENIED,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_MEMORY,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_ROOT_MEMORY,
  hvStatusCodes.HV_STATUS_INVALID_VP_INDEX,
  hvStatusCodes.HV_STATUS_INVALID_REGISTER_VALUE,
  0x1234,
);

const halt = 0x8001_0007;
const gpaIntercept = 0x8000_0001;

/** A message of any type with a memory intercept's payload. */
function message(type: number, access: number, where: bigint): Uint8Array {
  const bytes = new Uint8Array(96);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint8(4, 80);
  view.setUint8(16 + 5, access);
  view.setBigUint64(16 + 56, where, true);
  return bytes;
}

/** Runs a VP until it has halted, and says what it exited with. */
function run(side: Side, partition: number, index: number): unknown {
  const { native } = side.guest;
  const bytes = new Uint8Array(256);
  const exits: string[] = [];
  let type = 0;
  while (type !== halt) {
    const result = native.vpRun(side.vp(partition, index).fd, bytes);
    if (result === 0) {
      exits.push(hex(bytes));
      type = new DataView(bytes.buffer).getUint32(0, true);
    } else if (result !== -constants.errno.EINTR) {
      return { result, exits };
    }
  }
  return exits;
}

const memorySteps = [
  {
    weight: 3,
    arbitrary: step(
      'map',
      fc.record({
        partition,
        memory,
        gpa,
        offset: fc.constantFrom(0, 1, 519, 520),
        pages: fc.constantFrom(1, 2, 519, 520, 0),
        flags: fc.oneof(
          { weight: 20, arbitrary: fc.constantFrom(0, 1, 2, 3, 3, 3) },
          fc.constant(8),
        ),
      }),
      (side, { partition, memory, gpa, offset, pages, flags }) =>
        side.guest.native.mapMemory(
          side.partition(partition).fd,
          side.memory(memory),
          BigInt(offset) * page,
          BigInt(pages) * page,
          gpa,
          flags,
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'unmap',
      fc.record({ partition, memory, guestPage, pages: fc.constantFrom(1, 2, 519, 520) }),
      (side, { partition, memory, guestPage, pages }) =>
        side.guest.native.mapMemory(
          side.partition(partition).fd,
          side.memory(memory),
          0n,
          BigInt(pages) * page,
          guestPage * page,
          memoryFlags.UNMAP,
        ),
    ),
  },
  {
    weight: 4,
    arbitrary: step(
      'run',
      fc.record({
        partition,
        vp,
        messages: fc.array(
          fc.record({
            type: fc.constantFrom(gpaIntercept, gpaIntercept, 0x8000_0000, 0x8001_0000, 0xbad),
            access: fc.nat({ max: 3 }),
            guestPage,
          }),
          { maxLength: 3 },
        ),
      }),
      (side, { partition, vp, messages }) => {
        for (const { type, access, guestPage } of messages) {
          side.guest.queueMessage(
            side.partition(partition),
            vp,
            message(type, access, guestPage * page + 8n),
          );
        }
        side.guest.queueMessage(side.partition(partition), vp, message(halt, 0, 0n));
        return run(side, partition, vp);
      },
    ),
  },
  {
    weight: 4,
    arbitrary: step(
      'guest access',
      fc.record({
        partition,
        guestPage,
        at: fc.nat({ max: 4000 }),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
        write: fc.boolean(),
      }),
      (side, { partition, guestPage, at, bytes, write }) => {
        const where = guestPage * page + BigInt(at);
        return attempt(() => {
          if (!write) {
            return hex(side.guest.readMemory(side.partition(partition), where, bytes.length));
          }
          side.guest.writeMemory(side.partition(partition), where, bytes);
          return undefined;
        });
      },
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'access bitmap',
      fc.record({
        partition,
        guestPage,
        type: rarely(0, 2).chain((odd) => (odd === 2 ? fc.constant(2) : fc.nat({ max: 1 }))),
        operation: rarely(0, 3).chain((odd) => (odd === 3 ? fc.constant(3) : fc.nat({ max: 2 }))),
        pages: fc.constantFrom(0, 1, 2, 9, 65, 520),
      }),
      (side, { partition, guestPage, type, operation, pages }) => {
        const bitmap = new BigUint64Array(9).fill(~0n);
        const result = side.guest.native.accessBitmap(
          side.partition(partition).fd,
          type,
          operation,
          guestPage,
          pages,
          bitmap,
        );
        return { result, bitmap };
      },
    ),
  },
];

const doorbellGpa = fc.constantFrom(0xfee0_0000n, 0xfee0_0004n, 2n ** 64n - 1n);
const match = fc.constantFrom(0n, 1n, 2n ** 63n);

const doorbellSteps = [
  {
    weight: 3,
    arbitrary: step(
      'ioeventfd',
      fc.record({
        partition,
        event,
        gpa: doorbellGpa,
        size: fc.constantFrom(0, 1, 4, 8, 3),
        match,
        flags: fc.oneof(
          {
            weight: 20,
            arbitrary: fc.subarray([
              ioeventfdFlags.DATAMATCH,
              ioeventfdFlags.DEASSIGN,
              ioeventfdFlags.DATAMATCH,
            ]),
          },
          fc.constantFrom([ioeventfdFlags.PIO], [8]),
        ),
      }),
      (side, { partition, event, gpa, size, match, flags }) =>
        side.guest.native.ioeventfd(
          side.partition(partition).fd,
          side.event(event),
          gpa,
          size,
          match,
          flags.reduce((all, flag) => all | flag, 0),
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'MMIO',
      fc.record({
        partition,
        gpa: doorbellGpa,
        size: fc.constantFrom(1, 2, 4, 8),
        match: fc.constantFrom(0n, 1n),
      }),
      (side, { partition, gpa, size, match }) =>
        side.guest.writeMmio(side.partition(partition), gpa, size, match),
    ),
  },
];

const callSteps = [
  {
    weight: 8,
    arbitrary: step('hypercall', fc.record({ file, partition, call: validCall }), (side, given) =>
      perform(side, fdOf(side, given.file, given.partition), given.call),
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'wrong hypercall',
      fc.record({ file, partition, call: wrongCall }),
      (side, given) => perform(side, fdOf(side, given.file, given.partition), given.call),
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'refused hypercall',
      fc.record({ partition, call: validCall, status, count: fc.constantFrom(1, 2) }),
      (side, { partition, call, status, count }) => {
        const fd = side.partition(partition).fd;
        side.guest.refuse(call.code, status, count);
        return Array.from({ length: count }, () => perform(side, fd, call));
      },
    ),
  },
  step('unknown pending hypercall', fc.record({ partition }), (side, { partition }) => {
    side.guest.refuse(HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, hvStatusCodes.HV_STATUS_CALL_PENDING);
    return perform(
      side,
      side.partition(partition).fd,
      simple(HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, input(), 0),
    );
  }),
  {
    weight: 2,
    arbitrary: step(
      'get state',
      fc.record({
        partition,
        vp,
        type: fc.nat({ max: 5 }),
        size: fc.constantFrom(100, 4096, 8192),
      }),
      (side, { partition, vp, type, size }) => {
        const state = new Uint8Array(size).fill(0xee);
        const result = side.guest.native.vpGetState(side.vp(partition, vp).fd, type, state);
        return { result, state: hex(state) };
      },
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'set state',
      fc.record({
        partition,
        vp,
        type: fc.nat({ max: 5 }),
        size: fc.constantFrom(4096, 8192),
        fill: fc.nat({ max: 255 }),
      }),
      (side, { partition, vp, type, size, fill }) =>
        side.guest.native.vpSetState(
          side.vp(partition, vp).fd,
          type,
          new Uint8Array(size).fill(fill),
        ),
    ),
  },
];

const steps = fc.oneof(
  ...memorySteps,
  ...doorbellSteps,
  ...callSteps,
  {
    weight: 3,
    arbitrary: step(
      'assign',
      fc.record({
        partition,
        event,
        gsi,
        resample: fc.option(fc.nat({ max: 1 })),
        flags: fc.oneof({ weight: 10, arbitrary: fc.constantFrom(0, RESAMPLE) }, fc.constant(4)),
      }),
      (side, { partition, event, gsi, resample, flags }) =>
        side.guest.native.irqfd(
          side.partition(partition).fd,
          side.event(event),
          resample === null ? -1 : (side.resample[resample] ?? -1),
          gsi,
          flags,
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'deassign',
      fc.record({ partition, event, gsi, flags: fc.constantFrom(0, RESAMPLE) }),
      (side, { partition, event, gsi, flags }) =>
        side.guest.native.irqfd(
          side.partition(partition).fd,
          side.event(event),
          -1,
          gsi,
          DEASSIGN | flags,
        ),
    ),
  },
  {
    weight: 4,
    arbitrary: step(
      'signal',
      fc.record({ event, count: fc.constantFrom(0n, 1n, 1n, 3n) }),
      (side, { event, count }) => side.guest.native.eventfdSignal(side.event(event), count),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'route',
      fc.record({ partition, reserved: rarely(0, 1), entries: fc.array(entry, { maxLength: 3 }) }),
      (side, { partition, reserved, entries }) =>
        side.guest.native.setMsiRouting(
          side.partition(partition).fd,
          Uint32Array.from([entries.length, reserved, ...entries.flat()]),
        ),
    ),
  },
  step('read', fc.record({ event }), (side, { event }) =>
    side.guest.native.eventfdRead(side.event(event)),
  ),
  step('replace', fc.record({ event, initial: fc.nat({ max: 2 }) }), (side, { event, initial }) => {
    side.guest.native.close(side.event(event));
    side.events[event] = side.guest.native.eventfdCreate(initial, event >= counters);
  }),
  step('move', fc.record({ event }), (side, { event }) => {
    const copy = side.guest.native.dup(side.event(event));
    side.guest.native.close(side.event(event));
    side.events[event] = copy;
  }),
  step(
    'end of interrupt',
    fc.record({
      partition,
      vp: fc.nat({ max: 1 }),
      vector: fc.constantFrom(0, 1, 2, 0x30, 0x31),
    }),
    (side, { partition, vp, vector }) => {
      side.guest.endOfInterrupt(side.partition(partition), vp, vector);
    },
  ),
);

/** Who schedules VPs in the lab's VM. */
function labScheduler(): 'hypervisor' | 'root' {
  return readFileSync('/proc/cmdline', 'latin1').includes('fakehv.sched=4') ? 'root' : 'hypervisor';
}

const why = insideLab ? '' : ' (skipped: runs in the lab only, where the real driver is)';
describe.skipIf(!insideLab)(`the simulator${why}`, () => {
  let real: GuestSide;
  let simulated: GuestSide;
  beforeAll(async () => {
    real = await openGuestSide();
    simulated = new SimulatorGuestSide({ registerPage: false, scheduler: labScheduler() });
  });
  afterAll(() => {
    simulated[Symbol.dispose]();
    real[Symbol.dispose]();
  });

  it('does what the real driver does', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 100, size: 'max' }), (sequence) => {
        const sides = [new Side(real), new Side(simulated)] as const;
        try {
          for (const { perform } of sequence) {
            const [expected, got] = sides.map((side) => ({
              result: perform(side),
              ...(side.seen() as object),
            }));
            expect(got).toEqual(expected);
          }
        } finally {
          for (const side of sides) {
            side.close();
          }
        }
      }),
      {
        seed: Number(process.env['MSHV_TEST_SEED'] ?? 20_261_121),
        numRuns: 40,
        interruptAfterTimeLimit: 120_000,
      },
    );
  });
});
