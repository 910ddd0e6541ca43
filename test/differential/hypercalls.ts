import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import type { Choices } from './choices.js';
import { page } from './side.js';

/** Where memory can be mapped. Not where the driver would take huge pages, which the lab's hypervisor maps in its own way. */
export const gpas = [0x101000n, 0x103000n, 0x201000n, 0x407000n, 0x7fff_f000n] as const;

/** A page in, next to or far from what can be mapped. */
export function guestPage(choices: Choices): bigint {
  const base = choices.of(...gpas) / page;
  if (choices.onceIn(10)) return base + choices.of(100n, 255n, 256n, 511n, 512n, 519n, 520n, -1n);
  return base + choices.of(0n, 1n, 2n, 7n);
}

/** A hypercall as it is passed through. */
export interface Call {
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
const zeroes = (count: number): number[] => new Array<number>(count).fill(0);

/** One that there is in most sequences, or one that there cannot be. */
const vpIndex = (choices: Choices): number =>
  choices.onceIn(15) ? choices.of(200, 256, 0xffff_fffe) : choices.of(0, 1, 2);

/** Properties of the whole partition, one of each kind that the driver and its hypervisor tell apart. */
const properties = [
  0x60007, 0x60008, 0x6000b, 0x6000c, 0x10000, 0x10001, 0x20003, 0x50003, 0x50017, 0x5002a, 0x5002f,
  0x90007,
] as const;
const timeFreeze = 0x30003;
const clocks = [0x30005, 0x60009];

/** One of them or of `more`, or one that there cannot be. */
const property = (choices: Choices, ...more: number[]): number =>
  choices.onceIn(15) ? choices.of(5, 0xa0000) : choices.of<number>(...properties, ...more);

/** One that both answer alike: what a clock says, and how fast it runs, is each host's own. */
const readProperty = (choices: Choices): number => property(choices, timeFreeze);

/** One that leaves the guest its time: where that is frozen no run of a VP ends by itself. */
const writtenProperty = (choices: Choices): number => property(choices, ...clocks);

const apicIdNames = [x64Registers.INITIAL_APIC_ID, x64Registers.APIC_ID] as const;

const registerName = (choices: Choices): number =>
  choices.of(
    x64Registers.RIP,
    x64Registers.RAX,
    x64Registers.RFLAGS,
    x64Registers.CR0,
    0,
    1,
    0x30001,
    0x60001,
    0x90014,
    0xdead,
    x64Registers.SCONTROL,
    ...apicIdNames,
    x64Registers.SVERSION,
    x64Registers.SINT0,
    x64Registers.SINT0 + 15,
    x64Registers.EOM,
    x64Registers.APIC_BASE,
    x64Registers.DELIVERABILITY_NOTIFICATIONS,
  );

/** The 32-bit halves of a register's value. */
function registerValue(choices: Choices, name: number): [low: number, high: number] {
  // There are SINTs to ask for, but no page that they would have a slot on.
  return name === x64Registers.DELIVERABILITY_NOTIFICATIONS && !choices.onceIn(4)
    ? [choices.of(0, 2), choices.of(0, 0x1_0000, 0x8004_0000)]
    : [choices.upTo(0xffff), 1];
}

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

const simple = (code: number, bytes: Uint8Array, output = 0): Call => ({
  code,
  reps: 0,
  input: bytes,
  output,
});

/** Mostly few reps, sometimes as many as a page has room for. */
const list = <T>(choices: Choices, few: number, many: number, draw: () => T): T[] =>
  choices.onceIn(60) ? Array.from({ length: many }, draw) : choices.list(1, few, draw);

/** An APIC id that there is in most sequences, or any. */
const interruptTarget = (choices: Choices): number =>
  choices.onceIn(2) ? choices.upTo(4) : choices.upTo(300);

type Draw = (choices: Choices) => Call;

const calls: readonly Draw[] = [
  (choices) => simple(HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, choices.of(input(), input(1))),
  (choices) =>
    simple(
      choices.of<number>(HVCALL_GET_PARTITION_PROPERTY.code, HVCALL_GET_PARTITION_PROPERTY_EX.code),
      input(readProperty(choices), 0, 0, 0),
      8,
    ),
  (choices) =>
    simple(
      HVCALL_SET_PARTITION_PROPERTY.code,
      input(writtenProperty(choices), 0, choices.upTo(0xffff_ffff), 0),
    ),
  (choices) =>
    simple(
      HVCALL_INSTALL_INTERCEPT.code,
      input(choices.upTo(7), choices.upTo(20), choices.upTo(0xffff), 0),
    ),
  (choices) => {
    const index = vpIndex(choices);
    const names = list(choices, 4, 256, () => registerName(choices));
    return {
      code: HVCALL_GET_VP_REGISTERS.code,
      reps: names.length,
      input: input(index, 0, ...names),
      output: 16 * names.length,
    };
  },
  (choices) => {
    const index = vpIndex(choices);
    const values = list(choices, 4, 127, () => {
      const name = registerName(choices);
      return [name, 0, 0, 0, ...registerValue(choices, name), 2, 3];
    });
    return {
      code: HVCALL_SET_VP_REGISTERS.code,
      reps: values.length,
      input: input(index, 0, ...values.flat()),
      output: 0,
    };
  },
  // Ids that routes and requests name: of another VP, of nobody, of two.
  (choices) => ({
    code: HVCALL_SET_VP_REGISTERS.code,
    reps: 1,
    input: input(
      vpIndex(choices),
      0,
      choices.of(...apicIdNames),
      ...zeroes(3),
      choices.upTo(4),
      ...zeroes(3),
    ),
    output: 0,
  }),
  (choices) => {
    const index = vpIndex(choices);
    const where = guestPage(choices);
    return simple(
      HVCALL_TRANSLATE_VIRTUAL_ADDRESS.code,
      input(index, 0, 1, 0, low(where), high(where)),
      16,
    );
  },
  (choices) =>
    simple(
      HVCALL_REGISTER_INTERCEPT_RESULT.code,
      input(vpIndex(choices), choices.of(1, 2), choices.upTo(0xffff), ...zeroes(10)),
    ),
  (choices) =>
    simple(
      HVCALL_ASSERT_VIRTUAL_INTERRUPT.code,
      input(choices.upTo(9), choices.upTo(3), interruptTarget(choices), 0, choices.upTo(300), 0),
    ),
  // No such VP.
  () => simple(HVCALL_SIGNAL_EVENT_DIRECT.code, input(200, 0), 8),
  () => simple(HVCALL_POST_MESSAGE_DIRECT.code, input(200, ...zeroes(67))),
  (choices) => {
    const where = guestPage(choices);
    const flags = choices.upTo(15);
    const reps = choices.onceIn(10) ? choices.of(8, 256, 513) : choices.of(1, 2);
    return {
      code: HVCALL_GET_GPA_PAGES_ACCESS_STATES.code,
      reps,
      input: input(flags, 0, low(where), high(where)),
      output: reps,
    };
  },
  // Leaves that are the same on every processor.
  (choices) => {
    const index = vpIndex(choices);
    const leaves = list(choices, 3, 169, () => choices.of(0, 0x8000_0000, 0x8000_0002));
    return {
      code: HVCALL_GET_VP_CPUID_VALUES.code,
      reps: leaves.length,
      input: input(index, 0, 0, 0, ...leaves.flatMap((leaf) => [leaf, 0, 0, 0, 0, 0])),
      output: 16 * leaves.length,
    };
  },
];

/** Any of those that the driver passes through. */
export function drawCall(choices: Choices): Call {
  const draw = calls[choices.upTo(calls.length - 1)];
  if (draw === undefined) throw new Error('there are no hypercalls');
  return draw(choices);
}

/** The same made the wrong way round in one of the ways that there are. */
export function drawWrongCall(choices: Choices): Call {
  const call = drawCall(choices);
  switch (choices.of('kind', 'code', 'reps', 'short', 'output')) {
    case 'kind':
      return { ...call, reps: call.reps === 0 ? 1 : 0 };
    case 'code':
      return { ...call, code: choices.of(call.code + 0x1000, 0x40, 0x4b, 0x4e, 0xc2, 0xffff) };
    case 'reps':
      return { ...call, reps: 4096 + call.reps };
    case 'short':
      return { ...call, input: call.input.subarray(0, choices.of(7, 0)) };
    case 'output':
      return { ...call, output: 0 };
  }
}

export const statuses = [
  hvStatusCodes.HV_STATUS_INVALID_PARAMETER,
  hvStatusCodes.HV_STATUS_ACCESS_DENIED,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_MEMORY,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_ROOT_MEMORY,
  hvStatusCodes.HV_STATUS_INVALID_VP_INDEX,
  hvStatusCodes.HV_STATUS_INVALID_REGISTER_VALUE,
  0x1234,
] as const;
