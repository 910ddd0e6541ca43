import { constants } from 'node:os';
import { inspect } from 'node:util';

import { memoryFlags } from '../abi/memory.js';
import {
  booleanArgument,
  instanceArgument,
  integerArgument,
  optionsArgument,
  rangeError,
  stringArgument,
  typeError,
  uint64Argument,
} from '../arguments.js';
import { MshvError, systemError } from '../errors.js';
import type { Native } from '../native.js';
import { GuestMemory, memoryAccess, pageSize } from './guest-memory.js';

/** Where, how and with what rights memory appears in a guest. */
export interface MapMemoryOptions {
  /** Guest physical address, a multiple of 4096. */
  gpa: number | bigint;
  /** Where in the memory it begins, in bytes: a multiple of 4096. Default 0. */
  offset?: number;
  /** Bytes, a multiple of 4096. Default: the rest of the memory. */
  size?: number;
  /** Whether the guest may write. It may always read. Default true. */
  writable?: boolean;
  /** Whether the guest may execute it. Default true. */
  executable?: boolean;
  /** What it is, for error messages. */
  name?: string;
}

/** Guest physical addresses from `gpa` up to, but without, `gpa + size`. */
export interface GpaRange {
  /** A multiple of 4096. */
  gpa: number | bigint;
  /** Bytes, a multiple of 4096. */
  size: number | bigint;
}

/** What a memory map needs of its partition. */
export interface MemoryMapPartition {
  readonly native: Native;
  /** The partition's descriptor. Throws where the partition is closed. */
  fd(): number;
}

interface Settings {
  readonly memory: GuestMemory;
  readonly gpa: bigint;
  readonly offset: number;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly name: string | undefined;
}

let createMapping: (settings: Settings, unmap: (mapping: MappedMemory) => void) => MappedMemory;
let endMapping: (mapping: MappedMemory) => void;

/**
 * Memory that a partition has mapped: made by `partition.mapMemory()`, ended by `unmap()`, by
 * `partition.unmapMemory()` and with the partition.
 */
export class MappedMemory implements Disposable {
  readonly #unmap: (mapping: MappedMemory) => void;
  #mapped = true;
  readonly memory: GuestMemory;
  readonly gpa: bigint;
  /** In the memory, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly name: string | undefined;

  private constructor(settings: Settings, unmap: (mapping: MappedMemory) => void) {
    this.memory = settings.memory;
    this.gpa = settings.gpa;
    this.offset = settings.offset;
    this.size = settings.size;
    this.writable = settings.writable;
    this.executable = settings.executable;
    this.name = settings.name;
    this.#unmap = unmap;
  }

  static {
    createMapping = (settings, unmap) => new MappedMemory(settings, unmap);
    endMapping = (mapping) => {
      mapping.#mapped = false;
    };
  }

  /** Whether the guest has it. */
  get mapped(): boolean {
    return this.#mapped;
  }

  /**
   * Takes it away from the guest, whose next access exits with an `unmapped-gpa` intercept. Harmless
   * where it is gone already.
   *
   * @throws MshvError where the driver refused: the guest has it still
   */
  unmap(): void {
    if (this.#mapped) {
      this.#unmap(this);
    }
  }

  [Symbol.dispose](): void {
    this.unmap();
  }

  [inspect.custom](): string {
    const rights = `r${this.writable ? 'w' : '-'}${this.executable ? 'x' : '-'}`;
    const state = this.#mapped ? rights : 'unmapped';
    return `MappedMemory { ${gpaRangeText(this.gpa, this.size)}, ${state} }`;
  }
}

/** The guest memory of one partition, as the driver has it (`mshv_map_user_memory`). */
export class MemoryMap {
  readonly #partition: MemoryMapPartition;
  /** Ascending by address. */
  readonly #mappings: MappedMemory[] = [];

  constructor(partition: MemoryMapPartition) {
    this.#partition = partition;
  }

  /** Ascending by address. */
  get mappings(): MappedMemory[] {
    return [...this.#mappings];
  }

  map(memory: GuestMemory, options: MapMemoryOptions): MappedMemory {
    const settings = this.#settings(memory, options);
    const fd = this.#partition.fd();
    const handle = memoryAccess.handle(memory);
    const at = this.#firstEndingAfter(settings.gpa);
    const next = this.#mappings[at];
    if (next !== undefined && next.gpa < settings.gpa + BigInt(settings.size)) {
      throw new MshvError(
        `cannot map memory at ${gpaRangeText(settings.gpa, settings.size)}: ${describe(next)} is there`,
        { code: 'ERR_MSHV_GPA_IN_USE' },
      );
    }
    const flags =
      (settings.writable ? memoryFlags.WRITABLE : 0) |
      (settings.executable ? memoryFlags.EXECUTABLE : 0);
    const { gpa, offset, size } = settings;
    const { native } = this.#partition;
    const result = native.mapMemory(fd, handle, BigInt(offset), BigInt(size), gpa, flags);
    if (result < 0) {
      throw refused(`map memory at ${gpaRangeText(gpa, size)}`, result, mapHints.get(result));
    }
    const mapping = createMapping(settings, (one) => {
      this.#unmap(one);
    });
    memoryAccess.retain(memory);
    this.#mappings.splice(at, 0, mapping);
    return mapping;
  }

  unmap(range: GpaRange): void {
    const { gpa, size } = gpaRangeArgument('range', range);
    this.#partition.fd();
    const end = gpa + size;
    const found = this.#mappings[this.#firstEndingAfter(gpa)];
    if (found === undefined || found.gpa >= end) {
      throw new MshvError(`cannot unmap ${gpaRangeText(gpa, size)}: no memory is mapped there`, {
        code: 'ERR_MSHV_GPA_NOT_MAPPED',
      });
    }
    if (found.gpa !== gpa || BigInt(found.size) !== size) {
      throw new MshvError(
        `cannot unmap ${gpaRangeText(gpa, size)}: ${describe(found)} is there, and the driver unmaps it as a whole only`,
        { code: 'ERR_MSHV_PARTIAL_UNMAP' },
      );
    }
    this.#unmap(found);
  }

  /** The partition's descriptor is closed: the driver has forgotten everything. */
  forget(): void {
    for (const mapping of this.#mappings.splice(0).reverse()) {
      this.#ended(mapping);
    }
  }

  #unmap(mapping: MappedMemory): void {
    const { gpa, offset, size, memory } = mapping;
    const { native } = this.#partition;
    const result = native.mapMemory(
      this.#partition.fd(),
      memoryAccess.retainedHandle(memory),
      BigInt(offset),
      BigInt(size),
      gpa,
      memoryFlags.UNMAP,
    );
    if (result < 0) {
      throw refused(`unmap ${describe(mapping)}`, result, 'the guest has it still');
    }
    this.#mappings.splice(this.#mappings.indexOf(mapping), 1);
    this.#ended(mapping);
  }

  #ended(mapping: MappedMemory): void {
    endMapping(mapping);
    memoryAccess.release(mapping.memory);
  }

  #settings(memory: GuestMemory, options: MapMemoryOptions): Settings {
    instanceArgument('memory', memory, GuestMemory);
    if (memoryAccess.native(memory) !== this.#partition.native) {
      throw typeError('memory', "a GuestMemory of the partition's own addon", memory);
    }
    optionsArgument('options', options, [
      'gpa',
      'offset',
      'size',
      'writable',
      'executable',
      'name',
    ]);
    const { offset = 0, writable = true, executable = true, name } = options;
    pageAligned(
      'options.offset',
      integerArgument('options.offset', offset, 0, memory.size - pageSize),
    );
    const { size = memory.size - offset } = options;
    pageAligned(
      'options.size',
      integerArgument('options.size', size, pageSize, memory.size - offset),
    );
    const gpa = uint64Argument('options.gpa', options.gpa, 0n, lastGpa + 1n - BigInt(size));
    pageAligned('options.gpa', options.gpa);
    booleanArgument('options.writable', writable);
    booleanArgument('options.executable', executable);
    if (name !== undefined) {
      stringArgument('options.name', name);
    }
    return { memory, gpa, offset, size, writable, executable, name };
  }

  /** The index of the first mapping that ends behind `gpa`. */
  #firstEndingAfter(gpa: bigint): number {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const mapping = this.#mappings[middle];
      if (mapping !== undefined && mapping.gpa + BigInt(mapping.size) <= gpa) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** The highest guest physical address that x64 and arm64 have. */
const lastGpa = 2n ** 52n - 1n;

/** Whole pages of guest physical memory, with their address and size as bigints. */
export function gpaRangeArgument(name: string, range: GpaRange): { gpa: bigint; size: bigint } {
  optionsArgument(name, range, ['gpa', 'size']);
  const gpa = uint64Argument(`${name}.gpa`, range.gpa, 0n, lastGpa);
  pageAligned(`${name}.gpa`, range.gpa);
  const size = uint64Argument(`${name}.size`, range.size, BigInt(pageSize), lastGpa + 1n - gpa);
  pageAligned(`${name}.size`, range.size);
  return { gpa, size };
}

function pageAligned(name: string, value: number | bigint): void {
  const aligned =
    typeof value === 'bigint' ? value % BigInt(pageSize) === 0n : value % pageSize === 0;
  if (!aligned) {
    throw rangeError(name, `a multiple of ${pageSize}`, value);
  }
}

export function gpaRangeText(gpa: bigint, size: number | bigint): string {
  return `GPA 0x${gpa.toString(16)} to 0x${(gpa + BigInt(size) - 1n).toString(16)}`;
}

function describe({ gpa, size, name }: MappedMemory): string {
  const range = `the memory at ${gpaRangeText(gpa, size)}`;
  return name === undefined ? range : `${name}, ${range},`;
}

function refused(attempt: string, result: number, hint: string | undefined): MshvError {
  return systemError(attempt, result, { ioctl: 'MSHV_SET_GUEST_MEMORY' }, hint);
}

const mapHints = new Map([
  [-constants.errno.EEXIST, 'somebody else mapped memory of this partition there'],
  [-constants.errno.EIO, 'the hypervisor refused'],
]);
