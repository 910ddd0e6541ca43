import { constants } from 'node:os';

import { memoryFlags, pageAccessOperations, pageAccessTypes } from '../abi/memory.js';
import {
  bytesArgument,
  instanceArgument,
  pageMultipleArgument,
  rangeError,
  typeError,
  uint64Argument,
} from '../arguments.js';
import { MshvError, systemError } from '../errors.js';
import type { Native } from '../native.js';
import { takeOptions } from '../options.js';
import { type GuestMemory, guestMemoryBrand, memoryPages } from './guest-memory.js';
import {
  addressLimit,
  gpaRange,
  mappingOptions,
  trackingOptions,
  writeOptions,
  type GpaRange,
  type MapMemoryOptions,
  type TrackedPagesOptions,
  type WriteMemoryOptions,
} from './memory-map-options.js';
import { createMappedMemory, type MappedMemory, type MemoryMapping } from './mapped-memory.js';
import { createPageBitmap, packBits, type PageBitmap } from './page-bitmap.js';

/** What the memory map needs of its partition. */
export interface MemoryMapPartition {
  readonly native: Native;
  /** The partition's descriptor. Throws where the partition is closed. */
  fd(): number;
  /** A byte a page: bit 0 accessed, bit 1 dirty. Changes nothing. */
  accessStates(gpa: bigint, pages: number): Uint8Array;
}

/** The driver takes a byte of kernel memory for each page while it works. */
const largestBitmap = 2n ** 40n;

/**
 * The guest memory of one partition, as the environment that opened it has mapped it. Everything that the driver
 * would refuse for what it holds is refused here first.
 */
export class MemoryMap {
  readonly #partition: MemoryMapPartition;
  /** Ascending by address; they do not overlap. */
  readonly #entries: Entry[] = [];

  constructor(partition: MemoryMapPartition) {
    this.#partition = partition;
  }

  get mappings(): MappedMemory[] {
    return this.#entries.map(({ mapped }) => mapped);
  }

  map(memory: GuestMemory, options: MapMemoryOptions): MappedMemory {
    const { native } = this.#partition;
    instanceArgument('memory', memory, guestMemoryBrand);
    const pages = memoryPages(memory);
    if (pages.native !== native) {
      throw typeError(
        'memory',
        "a GuestMemory of the partition's own addon, as partition.allocateMemory() makes them",
        memory,
      );
    }
    const checked = takeOptions('options', options, mappingOptions);
    const { gpa, offset: wantedOffset = 0, writable, executable, name } = checked;
    const offset = pageMultipleArgument(
      'options.offset',
      wantedOffset,
      0n,
      BigInt(memory.size - 4096),
    );
    const rest = BigInt(memory.size) - offset;
    const { size: wantedSize = rest } = checked;
    const size = pageMultipleArgument('options.size', wantedSize, 4096n, rest);
    if (size > addressLimit - gpa) {
      throw rangeError('options.gpa', `an address from which ${size} bytes end by 2^64`, gpa);
    }
    const fd = this.#partition.fd();
    const at = this.#firstEndingAfter(gpa);
    const holder = this.#entries[at];
    if (holder !== undefined && holder.mapping.gpa < gpa + size) {
      throw new MshvError(
        `cannot map ${rangeText(gpa, size)}: ${holderText(holder.mapping)} is there`,
        { code: 'ERR_MSHV_GPA_IN_USE' },
      );
    }

    const handle = pages.hold();
    const flags = (writable ? memoryFlags.WRITABLE : 0) | (executable ? memoryFlags.EXECUTABLE : 0);
    const result = native.mapMemory(fd, handle, offset, size, gpa, flags);
    if (result < 0) {
      pages.letGo();
      throw systemError(
        `map ${rangeText(gpa, size)}`,
        result,
        setGuestMemory,
        mapHints.get(result),
      );
    }
    const mapping: MemoryMapping = {
      memory,
      handle,
      gpa,
      offset: Number(offset),
      size: Number(size),
      writable,
      executable,
      name,
      mapped: true,
    };
    const mapped = createMappedMemory(mapping, () => {
      this.#unmap(mapping);
    });
    this.#entries.splice(at, 0, { mapping, mapped });
    return mapped;
  }

  unmap(range: GpaRange): void {
    const { gpa, size: given } = takeOptions('range', range, gpaRange);
    const size = pageMultipleArgument('range.size', given, 4096n, addressLimit - gpa);
    this.#partition.fd();
    const { mapping } = this.#entries[this.#firstEndingAfter(gpa)] ?? {};
    if (mapping === undefined || mapping.gpa >= gpa + size) {
      throw new MshvError(`cannot unmap ${rangeText(gpa, size)}: nothing is mapped there`, {
        code: 'ERR_MSHV_GPA_NOT_MAPPED',
      });
    }
    if (mapping.gpa !== gpa || BigInt(mapping.size) !== size) {
      throw new MshvError(
        `cannot unmap ${rangeText(gpa, size)}: it must be exactly one mapping, and ${holderText(mapping)} is there`,
        { code: 'ERR_MSHV_PARTIAL_UNMAP' },
      );
    }
    this.#unmap(mapping);
  }

  /** The mapping that an address is in. */
  at(gpa: number | bigint): MappedMemory | undefined {
    const address = uint64Argument('gpa', gpa);
    const entry = this.#entries[this.#firstEndingAfter(address)];
    return entry !== undefined && entry.mapping.gpa <= address ? entry.mapped : undefined;
  }

  /** Copies from what is mapped; false, and nothing, where some of the range is not. */
  read(gpa: number | bigint, into: Uint8Array): boolean {
    return this.#copy(gpa, bytesArgument('into', into), 'memoryRead', isMapped);
  }

  /** Copies the other way round, whether the guest may write there or not unless it has to. */
  write(gpa: number | bigint, bytes: Uint8Array, options: WriteMemoryOptions): boolean {
    bytesArgument('bytes', bytes);
    const { asGuest } = takeOptions('options', options, writeOptions);
    return this.#copy(gpa, bytes, 'memoryWrite', asGuest ? isWritable : isMapped);
  }

  #copy(
    gpa: number | bigint,
    bytes: Uint8Array,
    copy: 'memoryRead' | 'memoryWrite',
    counts: (mapping: MemoryMapping) => boolean,
  ): boolean {
    const begin = uint64Argument('gpa', gpa);
    this.#partition.fd();
    const end = begin + BigInt(bytes.length);
    const first = this.#firstEndingAfter(begin);
    if (this.#firstHole(first, begin, end, counts) !== undefined) {
      return false;
    }
    let address = begin;
    for (let at = first; address < end; at++) {
      const { mapping } = this.#entries[at] ?? {};
      if (mapping === undefined) {
        return false;
      }
      const offset = address - mapping.gpa;
      const done = Number(address - begin);
      const length = Math.min(mapping.size - Number(offset), bytes.length - done);
      const part = bytes.subarray(done, done + length);
      this.#partition.native[copy](mapping.handle, BigInt(mapping.offset) + offset, part);
      address += BigInt(length);
    }
    return true;
  }

  accessed(options: TrackedPagesOptions): PageBitmap {
    return this.#bitmap(options, 'ACCESSED');
  }

  dirty(options: TrackedPagesOptions): PageBitmap {
    return this.#bitmap(options, 'DIRTY');
  }

  /** Lets go of the memory. The partition's descriptor is closed by now, and with it what the driver had. */
  forget(): void {
    for (const { mapping } of this.#entries.splice(0)) {
      mapping.mapped = false;
      memoryPages(mapping.memory).letGo();
    }
  }

  #unmap(mapping: MemoryMapping): void {
    const { memory, handle, gpa, offset, size } = mapping;
    const result = this.#partition.native.mapMemory(
      this.#partition.fd(),
      handle,
      BigInt(offset),
      BigInt(size),
      gpa,
      memoryFlags.UNMAP,
    );
    if (result === 0 || result === -constants.errno.ENOENT) {
      mapping.mapped = false;
      this.#entries.splice(this.#firstEndingAfter(gpa), 1);
      memoryPages(memory).letGo();
    }
    if (result < 0) {
      throw systemError(
        `unmap ${rangeText(gpa, BigInt(size))}`,
        result,
        setGuestMemory,
        result === -constants.errno.ENOENT
          ? 'the driver has nothing mapped there: somebody else unmapped it'
          : 'it stays mapped',
      );
    }
  }

  #bitmap(options: TrackedPagesOptions, kind: keyof typeof pageAccessTypes): PageBitmap {
    const { gpa, size: given, clear } = takeOptions('options', options, trackingOptions);
    const left = addressLimit - gpa;
    const most = left < largestBitmap ? left : largestBitmap;
    const size = pageMultipleArgument('options.size', given, 4096n, most);
    const fd = this.#partition.fd();
    this.#refuseUnmapped(gpa, size, kind);

    const pages = Number(size / 4096n);
    const words = new BigUint64Array(Math.ceil(pages / 64));
    if (clear) {
      const result = this.#partition.native.accessBitmap(
        fd,
        pageAccessTypes[kind],
        pageAccessOperations.CLEAR,
        gpa / 4096n,
        pages,
        words,
      );
      if (result < 0) {
        throw systemError(
          `get and clear ${kind.toLowerCase()} pages of ${rangeText(gpa, size)}`,
          result,
          { ioctl: 'MSHV_GET_GPAP_ACCESS_BITMAP' },
          bitmapHints.get(result),
        );
      }
    } else {
      const states = this.#partition.accessStates(gpa, pages);
      packBits(states, 1 << pageAccessTypes[kind], words);
    }
    return createPageBitmap(gpa, pages, words);
  }

  /** The hypervisor would stop at the first such page, having cleared the bits before it. */
  #refuseUnmapped(gpa: bigint, size: bigint, kind: string): void {
    const hole = this.#firstHole(this.#firstEndingAfter(gpa), gpa, gpa + size);
    if (hole !== undefined) {
      throw new MshvError(
        `cannot get ${kind.toLowerCase()} pages of ${rangeText(gpa, size)}: nothing is mapped at 0x${hole.toString(16)}`,
        { code: 'ERR_MSHV_GPA_NOT_MAPPED' },
      );
    }
  }

  /**
   * The first address in a range where nothing is mapped that counts. `at` is the index of the first mapping that ends
   * after its begin.
   */
  #firstHole(
    at: number,
    begin: bigint,
    end: bigint,
    counts: (mapping: MemoryMapping) => boolean = isMapped,
  ): bigint | undefined {
    let next = begin;
    for (let i = at; next < end; i++) {
      const { mapping } = this.#entries[i] ?? {};
      if (mapping === undefined || mapping.gpa > next || !counts(mapping)) {
        return next;
      }
      next = mapping.gpa + BigInt(mapping.size);
    }
    return undefined;
  }

  /** The index of the first mapping that ends after an address. */
  #firstEndingAfter(gpa: bigint): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { mapping } = this.#entries[middle] ?? {};
      if (mapping !== undefined && mapping.gpa + BigInt(mapping.size) <= gpa) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

interface Entry {
  readonly mapping: MemoryMapping;
  readonly mapped: MappedMemory;
}

const isMapped = (): boolean => true;
const isWritable = ({ writable }: MemoryMapping): boolean => writable;

const setGuestMemory = { ioctl: 'MSHV_SET_GUEST_MEMORY' } as const;

const mapHints = new Map([
  [-constants.errno.EEXIST, 'somebody else has mapped something there'],
  [-constants.errno.ENOMEM, 'the host cannot spare the memory that the hypervisor asks for'],
  [-constants.errno.EIO, 'the hypervisor refused; perhaps it has no such guest physical address'],
]);

const bitmapHints = new Map([
  [-constants.errno.ENOMEM, 'the driver needs a byte of kernel memory for each page: ask for less'],
  [-constants.errno.EINVAL, 'the hypervisor has no memory at some page: somebody else unmapped it'],
]);

function rangeText(gpa: bigint, size: bigint): string {
  return `guest memory 0x${gpa.toString(16)} to 0x${(gpa + size - 1n).toString(16)}`;
}

function holderText({ gpa, size, name }: MemoryMapping): string {
  const range = `0x${gpa.toString(16)} to 0x${(gpa + BigInt(size) - 1n).toString(16)}`;
  return name === undefined ? `the mapping of ${range}` : `'${name}' (${range})`;
}
