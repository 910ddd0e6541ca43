import { closedError, MshvError } from '../errors.js';
import type { Native } from '../native.js';
import { stepError } from '../step-error.js';
import type { MemoryBits } from './memory-bits.js';
import { fileHints, ShownDescriptor } from './memory-file.js';
import { bufferHints } from './memory-view.js';

/** The pages of a GuestMemory: mapped in this process until it is closed and no partition has them. */
export class MemoryPages {
  readonly native: Native;
  readonly size: number;
  /** Where they begin in their file; undefined where they have none. */
  readonly fileOffset: number | undefined;
  readonly #handle: number;
  #shown: ShownDescriptor | undefined;
  #closed = false;
  #holders = 0;
  #buffer: ArrayBuffer | undefined;

  /** Takes ownership of `handle`. */
  constructor(native: Native, handle: number, size: bigint, fileOffset: bigint | undefined) {
    this.native = native;
    this.#handle = handle;
    this.size = Number(size);
    this.fileOffset = fileOffset === undefined ? undefined : Number(fileOffset);
  }

  /** Maps a part of a file. */
  static ofFile(native: Native, fd: number, offset: bigint, size: bigint): MemoryPages {
    const handle = native.memoryFromFd(fd, offset, size);
    if (handle < 0) {
      const attempt = `map ${size} bytes of descriptor ${fd} from ${offset} on`;
      throw stepError(native, attempt, handle, fileHints);
    }
    return new MemoryPages(native, handle, size, offset);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** How many mappings of partitions have them. */
  get holders(): number {
    return this.#holders;
  }

  /**
   * What the addon calls them.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get handle(): number {
    if (this.#closed) {
      throw closedError('GuestMemory');
    }
    return this.#handle;
  }

  /** One holder more. */
  hold(): number {
    const { handle } = this;
    this.#holders++;
    return handle;
  }

  /** One less. */
  letGo(): void {
    this.#holders--;
    if (this.#closed && this.#holders === 0) {
      this.native.memoryUnmap(this.#handle);
    }
  }

  /** All of them in one buffer. */
  get buffer(): ArrayBuffer {
    const { handle } = this;
    // A transfer leaves it empty.
    if (this.#buffer === undefined || this.#buffer.byteLength === 0) {
      const buffer = this.native.memoryBuffer(handle);
      if (typeof buffer === 'number') {
        const attempt = `make one buffer of ${this.size} bytes of guest memory`;
        throw stepError(this.native, attempt, buffer, bufferHints);
      }
      this.#buffer = buffer;
    }
    return this.#buffer;
  }

  /** Bits of them, where there is no buffer. */
  bitsFrom(begin: bigint): MemoryBits {
    return {
      setBits: (offset, bits) => {
        this.native.memorySetBits(this.handle, begin + BigInt(offset), bits >>> 0);
      },
      takeBits: (offset, bits) =>
        Number(this.native.memoryTakeBits(this.handle, begin + BigInt(offset), bits >>> 0)),
    };
  }

  /** A new descriptor of the file, which this environment owns. */
  file(verb: string): number {
    const { handle } = this;
    if (this.fileOffset === undefined) {
      throw new MshvError(
        `cannot ${verb} this GuestMemory: it has no file; allocate it with shared: true`,
        { code: 'ERR_MSHV_NOT_SHARED' },
      );
    }
    const fd = this.native.memoryFd(handle);
    if (fd < 0) {
      throw stepError(this.native, `${verb} guest memory`, fd);
    }
    return fd;
  }

  /** The descriptor of the file that others know. */
  get shownFd(): number {
    const present = this.#shown?.fd;
    if (present !== undefined) {
      return present;
    }
    const fd = this.file('give out a descriptor of');
    this.#shown?.close();
    this.#shown = new ShownDescriptor(this.native, fd);
    return fd;
  }

  close(): void {
    if (this.#closed) {
      return;
    }
    const result =
      this.#holders === 0
        ? this.native.memoryUnmap(this.#handle)
        : this.native.memoryDetach(this.#handle);
    if (result < 0) {
      throw new MshvError(
        'cannot close this GuestMemory: its buffer was marked as untransferable, so that nobody can end it',
        { code: 'ERR_MSHV_UNTRANSFERABLE' },
      );
    }
    this.#closed = true;
    this.#buffer = undefined;
    this.#shown?.close();
    this.#shown = undefined;
  }
}
