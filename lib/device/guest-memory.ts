import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { inspect } from 'node:util';

import {
  booleanArgument,
  bytesArgument,
  integerArgument,
  nativeArgument,
  optionsArgument,
  rangeError,
  typeError,
} from '../arguments.js';
import { closedError, systemError } from '../errors.js';
import { linuxNative, type Native } from '../native.js';

/** What guest memory is mapped, shared and tracked in, in bytes. */
export const pageSize = 4096;

/** The most bytes that one GuestMemory has: the user half of an address space of 48 bits. */
const largestMemory = 2 ** 47;

export interface GuestMemoryOptions {
  /**
   * Of a memfd that cannot be resized, so that Workers and other processes can map it too: `share()`. Default
   * false: memory of this process alone, which is not inherited by children.
   */
  shared?: boolean;
  /**
   * Align it to 2 MiB and ask the kernel for pages of that size. A hint: shared memory gets none unless
   * `/sys/kernel/mm/transparent_hugepage/shmem_enabled` allows it. Default false.
   */
  hugePages?: boolean;
  /** The addon to use: for a simulated partition, that simulator's. Default: the one that makes system calls. */
  native?: Native;
}

export interface GuestMemoryFileOptions {
  /** Where in the file it begins, in bytes: a multiple of 4096. Default 0. */
  offset?: number;
  /** Bytes, a multiple of 4096. Default: the rest of the file. */
  size?: number;
  native?: Native;
}

/** What `view` can make of memory. */
export interface ViewConstructor<View extends ArrayBufferView> {
  new (buffer: ArrayBuffer, byteOffset: number, length: number): View;
  readonly BYTES_PER_ELEMENT: number;
}

interface Mapped {
  readonly native: Native;
  readonly handle: number;
  readonly shared: boolean;
  readonly size: number;
  /** In the file behind it. */
  readonly offset: number;
}

/** What a partition's memory map needs of a GuestMemory. */
export interface MemoryAccess {
  native(memory: GuestMemory): Native;
  /** Throws where it is closed. */
  handle(memory: GuestMemory): number;
  /** For who has retained it: also where it is closed. */
  retainedHandle(memory: GuestMemory): number;
  /** The mapping is kept until `release` was called as often. */
  retain(memory: GuestMemory): void;
  release(memory: GuestMemory): void;
}

let access: MemoryAccess;

/**
 * Memory that can be a guest's: one mapping in this process, zeroes at first where it is not a file's.
 *
 * It belongs to the environment that made it. `close()` detaches every view at once: their length is 0
 * from then on, and nothing of this process is read or written through them. The mapping itself goes when
 * no partition has it mapped any more, so the order in which memory and partition are closed does not matter.
 *
 * Guest and host access it at the same time without any ordering but that of the processor. Copy a value
 * once before checking it: the guest may change it between two reads.
 */
export class GuestMemory implements Disposable {
  readonly #mapped: Mapped;
  #closed = false;
  /** How many partition mappings keep it. */
  #uses = 0;
  /** Whether `share` can hand it on. */
  readonly shared: boolean;

  private constructor(mapped: Mapped) {
    this.#mapped = mapped;
    this.shared = mapped.shared;
  }

  static {
    access = {
      native: (memory) => memory.#mapped.native,
      handle: (memory) => memory.#handle(),
      retainedHandle: (memory) => memory.#mapped.handle,
      retain: (memory) => {
        memory.#uses++;
      },
      release: (memory) => {
        memory.#uses--;
        memory.#unmapUnused();
      },
    };
  }

  /**
   * Allocates memory of zeroes. Pages that nobody touches cost nothing.
   *
   * @param size - bytes, a multiple of 4096, up to 2^47
   * @throws MshvError `ENOMEM` where the address space or the memory limit has no room; with `shared` also
   *   `EMFILE`, `ENFILE`
   */
  static allocate(size: number, options: GuestMemoryOptions = {}): GuestMemory {
    sizeArgument('size', size);
    optionsArgument('options', options, ['shared', 'hugePages', 'native']);
    const { shared = false, hugePages = false, native = linuxNative() } = options;
    booleanArgument('options.shared', shared);
    booleanArgument('options.hugePages', hugePages);
    nativeArgument('options.native', native);
    const handle = native.memoryCreate(BigInt(size), shared, hugePages);
    if (handle < 0) {
      throw systemError(`allocate ${size} bytes of guest memory`, handle, {
        syscall: shared ? 'memfd_create' : 'mmap',
      });
    }
    return new GuestMemory({ native, handle, shared, size, offset: 0 });
  }

  /**
   * Maps a file: a memfd, a file of a hugetlbfs, a character device. The descriptor is borrowed: close it whenever
   * you like. Whoever truncates the file while it is mapped ends this process with SIGBUS at the next access
   * behind its end; a memfd can be sealed against it (`F_SEAL_SHRINK`).
   *
   * @param fd - open for reading and writing
   * @throws MshvError `EBADF`; `EACCES` where it is not open for both; `ENXIO` where the file ends
   *   before `offset + size`; `ENODEV` where it cannot be mapped; `EINVAL` where its own pages are larger and do
   *   not fit; `ENOMEM`
   */
  static fromFd(fd: number, options: GuestMemoryFileOptions = {}): GuestMemory {
    integerArgument('fd', fd, 0, 2 ** 31 - 1);
    optionsArgument('options', options, ['offset', 'size', 'native']);
    const { offset = 0, native = linuxNative() } = options;
    pageArgument('options.offset', offset, 0, Number.MAX_SAFE_INTEGER - largestMemory);
    nativeArgument('options.native', native);
    const { size = restOfFile(fd, offset) } = options;
    sizeArgument('options.size', size);
    return GuestMemory.#ofFile(native, fd, offset, size);
  }

  static #ofFile(native: Native, fd: number, offset: number, size: number): GuestMemory {
    const handle = native.memoryFromFd(fd, BigInt(offset), BigInt(size));
    if (handle < 0) {
      throw systemError(
        `map ${size} bytes of descriptor ${fd}`,
        handle,
        { syscall: 'mmap' },
        fileHints.get(handle),
      );
    }
    return new GuestMemory({ native, handle, shared: true, size, offset });
  }

  /** In bytes. */
  get size(): number {
    return this.#mapped.size;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * All of it, the same object until `close()`. It cannot be transferred or posted: with `share()` another
   * Worker maps the memory itself.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`; `ENOTSUP` where the runtime has no such buffers, or none of this size:
   *   `read` and `write` work there
   */
  get buffer(): ArrayBuffer {
    const buffer = this.#mapped.native.memoryBuffer(this.#handle());
    if (typeof buffer === 'number') {
      throw systemError('view guest memory', buffer, { syscall: 'napi' }, viewHints.get(buffer));
    }
    return buffer;
  }

  /**
   * A typed array over part of it, live.
   *
   * @param type - `Uint8Array`, `Uint32Array`, `BigUint64Array`, …
   * @param offset - in bytes, a multiple of the element's size. Default 0
   * @param length - in elements. Default: to the end
   */
  view<View extends ArrayBufferView>(
    type: ViewConstructor<View>,
    offset = 0,
    length?: number,
  ): View {
    const element = elementSize(type);
    this.#handle();
    integerArgument('offset', offset, 0, this.size);
    if (offset % element !== 0) {
      throw rangeError('offset', `a multiple of ${element}`, offset);
    }
    const most = Math.floor((this.size - offset) / element);
    const elements = length === undefined ? most : integerArgument('length', length, 0, most);
    return new type(this.buffer, offset, elements);
  }

  /** Copies `length` bytes out of it. */
  read(offset: number, length: number): Uint8Array {
    const handle = this.#handle();
    integerArgument('offset', offset, 0, this.size);
    integerArgument('length', length, 0, this.size - offset);
    const bytes = new Uint8Array(length);
    this.#copied('read', this.#mapped.native.memoryRead(handle, BigInt(offset), bytes));
    return bytes;
  }

  /** Copies bytes into it. */
  write(offset: number, bytes: Uint8Array): void {
    const handle = this.#handle();
    bytesArgument('bytes', bytes);
    integerArgument('offset', offset, 0, this.size);
    integerArgument('bytes.length', bytes.length, 0, this.size - offset);
    this.#copied('write', this.#mapped.native.memoryWrite(handle, BigInt(offset), bytes));
  }

  /**
   * Detaches the views. The memory is unmapped now, or with the last mapping of a partition. Harmless where
   * closed already.
   */
  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#mapped.native.memoryDetach(this.#mapped.handle);
      this.#unmapUnused();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](): string {
    const state = this.#closed ? ', closed' : this.shared ? ', shared' : '';
    return `GuestMemory { size: 0x${this.size.toString(16)}${state} }`;
  }

  #handle(): number {
    if (this.#closed) {
      throw closedError('GuestMemory');
    }
    return this.#mapped.handle;
  }

  #unmapUnused(): void {
    if (this.#closed && this.#uses === 0) {
      this.#mapped.native.memoryUnmap(this.#mapped.handle);
    }
  }

  #copied(attempt: string, result: number): void {
    if (result < 0) {
      throw systemError(`${attempt} guest memory`, result, { syscall: 'memcpy' });
    }
  }
}

export { access as memoryAccess };

function pageArgument(name: string, value: number, least: number, most: number): number {
  integerArgument(name, value, least, most);
  if (value % pageSize !== 0) {
    throw rangeError(name, `a multiple of ${pageSize}`, value);
  }
  return value;
}

function sizeArgument(name: string, value: number): number {
  return pageArgument(name, value, pageSize, largestMemory);
}

function elementSize(type: ViewConstructor<ArrayBufferView>): number {
  const given: unknown = type;
  if (typeof given !== 'function') {
    throw typeError('type', 'the constructor of a typed array', type);
  }
  return integerArgument('type.BYTES_PER_ELEMENT', type.BYTES_PER_ELEMENT, 1, 8);
}

/** How many bytes a file has after `offset`, in whole pages; a device must be told. */
function restOfFile(fd: number, offset: number): number {
  let size;
  try {
    ({ size } = fstatSync(fd));
  } catch {
    throw systemError(`map descriptor ${fd}`, -constants.errno.EBADF, { syscall: 'fstat' });
  }
  return Math.floor((size - offset) / pageSize) * pageSize;
}

const fileHints = new Map([
  [-constants.errno.EACCES, 'it must be open for reading and writing'],
  [-constants.errno.ENXIO, 'the file ends before that'],
]);

const viewHints = new Map([
  [-constants.errno.ENOTSUP, 'this runtime has no buffer of that size; use read() and write()'],
]);
