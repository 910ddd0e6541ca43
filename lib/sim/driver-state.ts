import { memoryFlags } from '../abi/memory.js';

const pageShift = 12n;

/** One ioeventfd that the driver has. */
export interface DriverDoorbell {
  readonly gpa: bigint;
  /** In bytes; 0 is any. */
  readonly size: number;
  /** What has to be written; undefined for anything. */
  readonly match: bigint | undefined;
}

/** One mapping of guest memory that the driver has. */
export interface DriverMemory {
  readonly gpa: bigint;
  /** In bytes. */
  readonly size: bigint;
  readonly writable: boolean;
  readonly executable: boolean;
  /** Bytes that the guest can access without the driver: they were paged in. */
  readonly present: bigint;
}

/** One intercept that is installed. */
export interface InstalledIntercept {
  /** `interceptTypes`. */
  readonly type: number;
  /** A mask: 1 read, 2 write, 4 execute. */
  readonly access: number;
  /** What the type is for: a leaf, an MSR, a vector. */
  readonly parameter: bigint;
}

/** One result that the hypervisor is to answer a guest with. */
export interface RegisteredResult {
  /** 0xffff_ffff for every VP. */
  readonly vp: number;
  /** `interceptTypes`: CPUID or MSR. */
  readonly type: number;
  /** The 44 bytes of `hv_register_intercept_result_parameters`. */
  readonly parameters: Uint8Array;
}

/** Decodes what begins at `words[at]`. */
type Decode<Value> = (words: BigUint64Array, at: number) => Value;

const word = (words: BigUint64Array, at: number): bigint => words[at] ?? 0n;
const hasFlag = (flags: bigint, flag: number): boolean => (Number(flags) & flag) !== 0;

export const doorbellWords = 4;
export const decodeDoorbell: Decode<DriverDoorbell> = (words, at) => ({
  gpa: word(words, at),
  size: Number(word(words, at + 1)),
  match: word(words, at + 2) === 1n ? undefined : word(words, at + 3),
});

export const memoryWords = 4;
export const decodeMemory: Decode<DriverMemory> = (words, at) => ({
  gpa: word(words, at) << pageShift,
  size: word(words, at + 1) << pageShift,
  writable: hasFlag(word(words, at + 2), memoryFlags.WRITABLE),
  executable: hasFlag(word(words, at + 2), memoryFlags.EXECUTABLE),
  present: word(words, at + 3) << pageShift,
});

export const interceptWords = 3;
export const decodeIntercept: Decode<InstalledIntercept> = (words, at) => ({
  type: Number(word(words, at)),
  access: Number(word(words, at + 1)),
  parameter: word(words, at + 2),
});

export const resultWords = 8;
const parameterBytes = 44;
export const decodeResult: Decode<RegisteredResult> = (words, at) => ({
  vp: Number(word(words, at)),
  type: Number(word(words, at + 1)),
  parameters: new Uint8Array(words.slice(at + 2, at + resultWords).buffer).slice(0, parameterBytes),
});
