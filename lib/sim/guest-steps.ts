import type { Architecture } from '../abi/architecture.js';
import { commonRegisters } from '../abi/common-registers.js';
import { synicMsrs } from '../abi/synic.js';
import { integerArgument, rangeError, uint64Argument } from '../arguments.js';

/** What the addon calls what a guest can do. */
export const steps = {
  ioPort: 1,
  msr: 2,
  cpuid: 3,
  hypercall: 4,
  memory: 5,
  halt: 6,
  tripleFault: 7,
  setRegister: 8,
  reset: 9,
} as const;

/** Steps that a guest of one architecture alone can do. */
export const stepsOf = {
  x64: new Set<number>([steps.ioPort, steps.msr, steps.cpuid, steps.halt, steps.tripleFault]),
  arm64: new Set<number>([steps.setRegister, steps.reset]),
} as const;

/** One thing that a guest does: its kind, and up to four numbers that it is done with. */
export type Step = readonly [kind: number, ...operands: bigint[]];

const wordsOfStep = 5;

/** A processor that a guest can be scripted for. */
export interface GuestProcessor {
  /** A call of the hypervisor, by the instruction that it has for that. */
  readonly hypercall: (
    control: bigint | number,
    input: bigint | number,
    output: bigint | number,
  ) => Step;
  /** A write to a register of the SynIC. */
  readonly writeSynic: (register: keyof typeof synicMsrs, index: number, value: bigint) => Step;
}

/** As the addon takes them. */
export function packSteps(sequence: readonly Step[]): BigUint64Array {
  const words = new BigUint64Array(sequence.length * wordsOfStep);
  for (const [i, [kind, ...operands]] of sequence.entries()) {
    words.set([BigInt(kind), ...operands], i * wordsOfStep);
  }
  return words;
}

/** How many bytes an access has. */
export type AccessSize = 1 | 2 | 4 | 8;

export const largestUint16 = 0xffff;
export const largestUint32 = 0xffff_ffff;

const ioSizes = [1, 2, 4];
const memorySizes = [1, 2, 4, 8];

export function ioOperands(port: number, size: number): [bigint, bigint] {
  const number = BigInt(integerArgument('port', port, 0, largestUint16));
  return [number, sizeArgument(size, ioSizes)];
}

export function writeMsr(msr: number, value: bigint | number): Step {
  return [
    steps.msr,
    BigInt(integerArgument('msr', msr, 0, largestUint32)),
    1n,
    uint64Argument('value', value),
  ];
}

export function writeMemory(gpa: bigint | number, size: AccessSize, value: bigint | number): Step {
  const operands = memoryOperands(gpa, size);
  const most = 2n ** BigInt(8 * size) - 1n;
  return [steps.memory, ...operands, 1n, uint64Argument('value', value, 0n, most)];
}

function hypercallOperands(
  control: bigint | number,
  input: bigint | number,
  output: bigint | number,
): [bigint, bigint, bigint] {
  return [
    uint64Argument('control', control),
    uint64Argument('input', input),
    uint64Argument('output', output),
  ];
}

/** The immediate of HVC that announces the hypervisor's own convention. */
const ownConvention = 1n;

export const processors: Readonly<Record<Architecture, GuestProcessor>> = {
  x64: {
    hypercall: (...words) => [steps.hypercall, ...hypercallOperands(...words)],
    writeSynic: (register, index, value) => writeMsr(synicMsrs[register] + index, value),
  },
  arm64: {
    hypercall: (...words) => [steps.hypercall, ownConvention, ...hypercallOperands(...words)],
    writeSynic: (register, index, value) => [
      steps.setRegister,
      BigInt(commonRegisters[register] + index),
      value,
    ],
  },
};

export function memoryOperands(gpa: bigint | number, size: number): [bigint, bigint] {
  return [uint64Argument('gpa', gpa), sizeArgument(size, memorySizes)];
}

/** The number of bytes of an access. */
export function sizeArgument(size: number, sizes: readonly number[] = memorySizes): bigint {
  size = integerArgument('size', size, 1, 8);
  if (!sizes.includes(size)) {
    throw rangeError('size', `one of ${sizes.join(', ')}`, size);
  }
  return BigInt(size);
}
