import { irqfdFlags } from '../abi/irqfd.js';
import { memoryFlags } from '../abi/memory.js';
import { msiRoutingWords } from '../abi/msi-routing.js';
import type { SimNative } from './sim-native.js';

const pageShift = 12n;

/** One entry of the driver's MSI routing table. */
export interface DriverRoute {
  /** 1 to 4095. */
  readonly gsi: number;
  /** Of the MSI. */
  readonly address: bigint;
  /** Of the MSI. */
  readonly data: number;
}

/** One irqfd that the driver has. */
export interface DriverIrqFd {
  /** 1 to 4095. */
  readonly gsi: number;
  /** Whether it is level-triggered, with an eventfd that is signalled at the end of the interrupt. */
  readonly resample: boolean;
}

/** One ioeventfd that the driver has. */
export interface DriverDoorbell {
  /** The guest physical address that rings it. */
  readonly gpa: bigint;
  /** In bytes; 0 is any. */
  readonly size: number;
  /** What has to be written; undefined for anything. */
  readonly match: bigint | undefined;
}

/** One mapping of guest memory that the driver has. */
export interface DriverMemory {
  /** The guest physical address of the first byte. */
  readonly gpa: bigint;
  /** In bytes. */
  readonly size: bigint;
  /** Whether the guest may write. */
  readonly writable: boolean;
  /** Whether the guest may execute. */
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

export type ListWords = Uint32Array | BigUint64Array;

/** Something that the driver has any number of. */
export interface DriverList<Value, Words extends ListWords> {
  /** What messages call looking at it. */
  readonly attempt: string;
  /** What the addon copies it into: the kind of words, and how many an entry has. */
  readonly array: new (length: number) => Words;
  readonly words: number;
  /** Copies the entries that there is room for, and returns how many there are. */
  readonly copy: (native: SimNative, partition: number, out: Words) => number;
  /** Decodes the entry that begins at `words[at]`. */
  readonly decode: (words: Words, at: number) => Value;
}

/** Reads a list of which nobody knows how long it is. */
export function readList<Value, Words extends ListWords>(
  { array, words, decode }: DriverList<Value, Words>,
  copy: (out: Words) => number,
): Value[] {
  const found = new array(words * copy(new array(0)));
  const length = Math.min(copy(found), found.length / words);
  return Array.from({ length }, (_, i) => decode(found, i * words));
}

const word = (words: BigUint64Array, at: number): bigint => words[at] ?? 0n;
const hasFlag = (flags: bigint, flag: number): boolean => (Number(flags) & flag) !== 0;

const attempt = 'look at the partition';
const parameterBytes = 44;

const routes: DriverList<DriverRoute, Uint32Array> = {
  attempt: 'read the routing table',
  array: Uint32Array,
  words: msiRoutingWords.entry,
  copy: (native, partition, out) => native.simRoutes(partition, out),
  decode: (words, at) => ({
    gsi: words[at + msiRoutingWords.gsi] ?? 0,
    address: BigInt(words[at + msiRoutingWords.addressLow] ?? 0),
    data: words[at + msiRoutingWords.data] ?? 0,
  }),
};

const irqFds: DriverList<DriverIrqFd, Uint32Array> = {
  attempt: 'read the irqfds',
  array: Uint32Array,
  words: 2,
  copy: (native, partition, out) => native.simIrqFds(partition, out),
  decode: (words, at) => ({
    gsi: words[at] ?? 0,
    resample: ((words[at + 1] ?? 0) & irqfdFlags.RESAMPLE) !== 0,
  }),
};

const doorbells: DriverList<DriverDoorbell, BigUint64Array> = {
  attempt,
  array: BigUint64Array,
  words: 4,
  copy: (native, partition, out) => native.simDoorbells(partition, out),
  decode: (words, at) => ({
    gpa: word(words, at),
    size: Number(word(words, at + 1)),
    match: word(words, at + 2) === 1n ? undefined : word(words, at + 3),
  }),
};

const memory: DriverList<DriverMemory, BigUint64Array> = {
  attempt,
  array: BigUint64Array,
  words: 4,
  copy: (native, partition, out) => native.simMemory(partition, out),
  decode: (words, at) => ({
    gpa: word(words, at) << pageShift,
    size: word(words, at + 1) << pageShift,
    writable: hasFlag(word(words, at + 2), memoryFlags.WRITABLE),
    executable: hasFlag(word(words, at + 2), memoryFlags.EXECUTABLE),
    present: word(words, at + 3) << pageShift,
  }),
};

const intercepts: DriverList<InstalledIntercept, BigUint64Array> = {
  attempt,
  array: BigUint64Array,
  words: 3,
  copy: (native, partition, out) => native.simIntercepts(partition, out),
  decode: (words, at) => ({
    type: Number(word(words, at)),
    access: Number(word(words, at + 1)),
    parameter: word(words, at + 2),
  }),
};

const interceptResults: DriverList<RegisteredResult, BigUint64Array> = {
  attempt,
  array: BigUint64Array,
  words: 8,
  copy: (native, partition, out) => native.simInterceptResults(partition, out),
  decode: (words, at) => ({
    vp: Number(word(words, at)),
    type: Number(word(words, at + 1)),
    parameters: new Uint8Array(words.slice(at + 2, at + 8).buffer).slice(0, parameterBytes),
  }),
};

/** All that can be listed of a partition. */
export const driverLists = { routes, irqFds, doorbells, memory, intercepts, interceptResults };
