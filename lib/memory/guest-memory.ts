import { constants as bufferConstants } from 'node:buffer';
import { inspect, type InspectOptions } from 'node:util';

import {
  type Brand,
  bytesArgument,
  integerArgument,
  pageMultipleArgument,
  rangeError,
  typeError,
  uint64Argument,
  ours,
  ownConstructor,
} from '../arguments.js';
import { hexadecimal, inspected } from '../inspection.js';
import type { Native } from '../native.js';
import { takeOptions } from '../options.js';
import {
  makeToken,
  receiveError,
  receivingNative,
  tokenArgument,
  type GuestMemoryToken,
  type ReceiveOptions,
} from '../share-token.js';
import { stepError } from '../step-error.js';
import {
  creationOptions,
  fileOptions,
  largestFileOffset,
  newMemoryOptions,
  type GuestMemoryFileOptions,
  type GuestMemoryOptions,
  type NewMemoryOptions,
} from './guest-memory-options.js';
import { fileHints, restOfFile } from './memory-file.js';
import { MemoryPages } from './memory-pages.js';
import { viewTypes, type MemoryView, type ViewConstructor } from './memory-view.js';

/** More than a process on x86-64 or arm64 has addresses for, and every offset is a safe integer. */
const largestMemory = 2n ** 47n;
const fillChunk = 1 << 20;

let pagesOf: (memory: GuestMemory) => MemoryPages;
let brand: Brand<GuestMemory>;

/**
 * Memory of this process that can be a guest's: zeroed pages or a part of a file, mapped once for this environment.
 *
 * `partition.mapMemory` shows it to a guest, at as many addresses and in as many partitions as wanted. What host
 * and guest write is seen by the other side at once; neither is told. `buffer`, `view` and `bytes` are live,
 * `read` and `write` copy.
 *
 * The environment owns the memory until `close()`, after which every buffer and view of it has length 0. While a
 * partition has it mapped the pages stay for the guest, and go with the last unmap. The environment's end (a terminated
 * Worker, the end of the process) frees it too: a guest that still runs then gets intercepts for what it has lost.
 *
 * @example
 * ```ts
 * import { GuestMemory } from 'mshv';
 *
 * using ram = GuestMemory.allocate(64 * 1024);
 * const counters = ram.view(Uint32Array, 0x1000, 4); // live
 * ram.write(0x1000, Uint8Array.of(7, 0, 0, 0)); // a copy
 * console.log(counters[0]); // 7
 * ```
 */
export class GuestMemory implements Disposable {
  readonly #pages: MemoryPages;
  /** In bytes, a multiple of 4096. */
  readonly size: number;
  /** Whether there is a file behind it, which `share()`, `window()` and `fd` need. */
  readonly shared: boolean;
  /** Where it begins in its file, in bytes; 0 where it has none. */
  readonly fileOffset: number;

  private constructor(key: symbol, pages: MemoryPages) {
    ownConstructor('GuestMemory', key);
    this.#pages = pages;
    this.fileOffset = pages.fileOffset ?? 0;
    this.size = pages.size;
    this.shared = pages.fileOffset !== undefined;
  }

  static {
    brand = { name: 'GuestMemory', has: (value): value is GuestMemory => #pages in value };
    pagesOf = (memory) => memory.#pages;
  }

  /**
   * Maps zeroed pages. The host gives them out as they are touched, not now.
   *
   * @param size - in bytes, a multiple of 4096 from 4096 to 2^47
   * @throws MshvError `ENOMEM` where the process has no room for them; `EMFILE` for `shared` memory
   *
   * @example
   * ```ts
   * import { GuestMemory } from 'mshv';
   *
   * using ram = GuestMemory.allocate(4096, { shared: true });
   * console.log(ram.fd !== undefined); // true
   * ```
   */
  static allocate(size: number | bigint, options: GuestMemoryOptions = {}): GuestMemory {
    const checked = pageMultipleArgument('size', size, 4096n, largestMemory);
    const { shared, hugePages, native } = takeOptions('options', options, creationOptions);
    const handle = native.memoryCreate(checked, shared, hugePages);
    if (handle < 0) {
      throw stepError(native, `allocate ${checked} bytes of guest memory`, handle);
    }
    const pages = new MemoryPages(native, handle, checked, shared ? 0n : undefined);
    return new GuestMemory(ours, pages);
  }

  /**
   * Maps a part of a file of this process, to be read and written: a file, a `memfd`, a device. The descriptor is
   * borrowed: it may be closed afterwards.
   *
   * Nobody may shorten the file while this memory is open: an access behind its end kills the process (`SIGBUS`).
   *
   * @throws MshvError `EBADF` where `fd` is not open, `EACCES` where not for reading and writing, `ENXIO` where the file
   *   ends before the memory does, `ENODEV` where it is nothing that can be mapped, `EINVAL` where it has huge pages that
   *   `offset` or `size` would split; `ENOMEM`, `EMFILE`
   *
   * @example
   * ```ts
   * import { GuestMemory } from 'mshv';
   *
   * using ram = GuestMemory.allocate(8192, { shared: true });
   * using half = GuestMemory.fromFd(ram.fd ?? -1, { offset: 4096, size: 4096 });
   * half.fill(7);
   * console.log(ram.read(4096, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  static fromFd(fd: number, options: GuestMemoryFileOptions = {}): GuestMemory {
    fd = integerArgument('fd', fd, 0, 2 ** 31 - 1);
    const checked = takeOptions('options', options, fileOptions);
    const { offset, native } = checked;
    const size =
      checked.size === undefined
        ? restOfFile(fd, offset, largestMemory)
        : pageMultipleArgument('options.size', checked.size, 4096n, largestMemory);
    return new GuestMemory(ours, MemoryPages.ofFile(native, fd, offset, size));
  }

  /**
   * Maps what `share()` of another environment returned, which nobody else can receive then.
   *
   * @throws MshvError `ERR_MSHV_TOKEN_TAKEN` where it was received before, or the environment that made it has ended; otherwise as `fromFd` does
   * @throws TypeError `ERR_INVALID_ARG_VALUE` where `native` is not the sender's addon
   *
   * @example
   * ```ts
   * import { GuestMemory } from 'mshv';
   *
   * using ram = GuestMemory.allocate(4096, { shared: true });
   * using received = GuestMemory.receive(ram.share()); // in a Worker
   * received.fill(7);
   * console.log(ram.read(0, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  static receive(token: GuestMemoryToken, options: ReceiveOptions = {}): GuestMemory {
    const checked = tokenArgument('memory', token);
    const offset = pageMultipleArgument('token.offset', token.offset, 0n, largestFileOffset);
    const size = pageMultipleArgument('token.size', token.size, 4096n, largestMemory);
    const native = receivingNative(checked, options);
    const handle = native.receiveMemory(checked.offer, offset, size);
    if (handle < 0) {
      throw receiveError(native, handle, fileHints);
    }
    return new GuestMemory(ours, new MemoryPages(native, handle, size, offset));
  }

  /**
   * A descriptor of the file behind it, for others: to be sent to a vhost-user back end with `fileOffset` and `size`, or inherited.
   * It is made when it is read first, is the same from then on, and is closed by `close()`; nobody else has to close it. Who does
   * so all the same ends that number only: reading `fd` gives another one then.
   *
   * @throws MshvError `ERR_MSHV_NOT_SHARED` for memory without a file; `ERR_MSHV_CLOSED`; `EMFILE`
   */
  get fd(): number {
    return this.#pages.shownFd;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#pages.closed;
  }

  /** How many mappings of partitions it has. */
  get mappings(): number {
    return this.#pages.holders;
  }

  /**
   * All of the memory, live: the same object each time, with length 0 once the memory is closed. It can be
   * copied to a Worker but not transferred; `share()` is the way to look at the same memory there.
   *
   * Do not call `ArrayBuffer.prototype.transfer` on it (Node 22): `buffer` is another one from then on, and what it was
   * moved to, which is not known here, has zeroes after `close()` and its addresses until the process ends. Nor
   * `markAsUntransferable`: from Node 24 on nobody can detach a buffer that is marked so, `close()` refuses, and the
   * end of the environment ends the process.
   *
   * @throws MshvError `ENOTSUP` where this Node has no buffer of that size: above 4 GiB with Node 20. `read`,
   *   `write`, `fill` and a `window()` of it are there for that.
   */
  get buffer(): ArrayBuffer {
    return this.#pages.buffer;
  }

  /** A DataView of all of the memory, live. Fails like `buffer`. */
  get dataView(): DataView<ArrayBuffer> {
    return new DataView(this.buffer);
  }

  /**
   * A live typed array. Fails like `buffer`.
   *
   * Host and guest are two processors: what has to be seen in an order needs `Atomics`, on an integer type.
   *
   * @param type - `Uint8Array`, `Uint32Array`, `BigUint64Array`, …: a built-in one
   * @param offset - in bytes, a multiple of the size of an element
   * @param length - in elements. Default: up to the end, as many as there are.
   *
   * @example
   * ```ts
   * const words = memory.view(BigUint64Array, 0x1000, 2);
   * words[1] = 7n;
   * console.log(memory.read(0x1008, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  view<View extends MemoryView>(
    type: ViewConstructor<View>,
    offset: number | bigint = 0,
    length?: number,
  ): View {
    if (!viewTypes.has(type)) {
      throw typeError('type', 'the constructor of typed arrays of one kind', type);
    }
    const { BYTES_PER_ELEMENT: elementSize } = type;
    const begin = this.#offsetArgument(offset);
    if (begin % elementSize !== 0) {
      throw rangeError('offset', `a multiple of ${elementSize}, for ${type.name}`, offset);
    }
    const most = Math.floor((this.size - begin) / elementSize);
    const elements = length === undefined ? most : integerArgument('length', length, 0, most);
    return new type(this.buffer, begin, elements);
  }

  /**
   * A live `Uint8Array`: `view(Uint8Array, …)`.
   *
   * @example
   * ```ts
   * const page = memory.bytes(0x1000, 4096); // live
   * page[0] = 7;
   * console.log(memory.read(0x1000, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  bytes(offset: number | bigint = 0, length?: number): Uint8Array<ArrayBuffer> {
    return this.view<Uint8Array<ArrayBuffer>>(Uint8Array, offset, length);
  }

  /**
   * Copies out of the memory, of any size.
   *
   * @param offset - in bytes, any
   * @param length - in bytes; with `offset` within the memory
   *
   * @example
   * ```ts
   * console.log(memory.read(0x1000, 2)); // Uint8Array(2) [ 0, 0 ]
   * ```
   */
  read(offset: number | bigint, length: number): Uint8Array<ArrayBuffer> {
    const begin = this.#offsetArgument(offset);
    const most = Math.min(this.size - begin, bufferConstants.MAX_LENGTH);
    length = integerArgument('length', length, 0, most);
    const { native, handle } = this.#pages;
    const bytes = new Uint8Array(length);
    native.memoryRead(handle, BigInt(begin), bytes);
    return bytes;
  }

  /**
   * Copies into the memory, of any size.
   *
   * @example
   * ```ts
   * memory.write(0x1000, Uint8Array.of(1, 2));
   * console.log(memory.read(0x1001, 1)); // Uint8Array(1) [ 2 ]
   * ```
   */
  write(offset: number | bigint, bytes: Uint8Array): void {
    const begin = this.#offsetArgument(offset);
    bytesArgument('bytes', bytes);
    if (bytes.length > this.size - begin) {
      throw rangeError(
        'bytes',
        `at most ${this.size - begin} bytes at offset ${begin}`,
        `${bytes.length} bytes`,
      );
    }
    const { native, handle } = this.#pages;
    native.memoryWrite(handle, BigInt(begin), bytes);
  }

  /**
   * Sets bytes to one value. Gives out every page that it touches.
   *
   * @param value - 0 to 255
   * @param length - in bytes. Default: up to the end.
   *
   * @example
   * ```ts
   * memory.fill(0xcc, 0x1000, 16);
   * console.log(memory.read(0x100f, 2)); // Uint8Array(2) [ 204, 0 ]
   * ```
   */
  fill(value: number, offset: number | bigint = 0, length?: number): void {
    value = integerArgument('value', value, 0, 255);
    const begin = this.#offsetArgument(offset);
    const count =
      length === undefined
        ? this.size - begin
        : integerArgument('length', length, 0, this.size - begin);
    const { native, handle } = this.#pages;
    const chunk = new Uint8Array(Math.min(count, fillChunk)).fill(value);
    for (let done = 0; done < count; done += chunk.length) {
      const part = chunk.subarray(0, count - done);
      native.memoryWrite(handle, BigInt(begin + done), part);
    }
  }

  /**
   * A part of the memory as a GuestMemory of its own: the same pages, mapped once more, closed on its own. This is how
   * a Node that has no buffer for all of the memory gets one for a part.
   *
   * @param offset - a multiple of 4096
   * @param size - a multiple of 4096; with `offset` within the memory
   * @throws MshvError `ERR_MSHV_NOT_SHARED` for memory without a file; as `fromFd` does
   *
   * @example
   * ```ts
   * using ram = partition.allocateMemory(8192, { shared: true });
   * using half = ram.window(4096, 4096); // the same pages, mapped once more
   * half.fill(7);
   * console.log(ram.read(4096, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  window(offset: number | bigint, size: number | bigint): GuestMemory {
    const begin = pageMultipleArgument('offset', offset, 0n, BigInt(this.size - 4096));
    const length = pageMultipleArgument('size', size, 4096n, BigInt(this.size) - begin);
    const { native } = this.#pages;
    const fd = this.#pages.file('open a window of');
    try {
      const from = BigInt(this.fileOffset) + begin;
      return new GuestMemory(ours, MemoryPages.ofFile(native, fd, from, length));
    } finally {
      native.close(fd);
    }
  }

  /**
   * Makes a token for another environment of this process: post it to a Worker, or pass it as `workerData`,
   * and call `GuestMemory.receive()` there. Both map the same pages, and close their mapping on their own.
   *
   * A token that nobody receives keeps a descriptor open, and with it the pages, until this environment ends, and is of
   * no use after that:
   * `GuestMemory.receive(token).close()` takes it back.
   *
   * @throws MshvError `ERR_MSHV_NOT_SHARED` for memory without a file; `EMFILE`
   *
   * @example
   * ```ts
   * using ram = partition.allocateMemory(4096, { shared: true });
   * console.log(ram.share().type); // mshv-memory
   * ```
   */
  share(): GuestMemoryToken {
    const { native } = this.#pages;
    const fd = this.#pages.file('share');
    try {
      const token = makeToken(native, 'memory', 'guest memory', [fd]);
      return { ...token, offset: this.fileOffset, size: this.size };
    } finally {
      native.close(fd);
    }
  }

  /**
   * Ends every buffer and view: their length is 0, but for buffers that were transferred. The pages go now, or with the
   * last mapping of a partition. Harmless where closed already.
   *
   * What still uses the memory by its address, on a thread of Node's pool (`fs`, `zlib`, `crypto`, a stream), may go
   * on: it reads zeroes once the pages are gone, and what it writes is nobody's. The addresses stay taken until the buffer
   * is garbage; those of a buffer that was transferred until the process ends.
   *
   * @throws MshvError `ERR_MSHV_UNTRANSFERABLE` where `markAsUntransferable` was called for the buffer (Node 24): the
   *   memory stays open then
   */
  close(): void {
    this.#pages.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { size, shared, mappings, closed } = this;
    return inspected(
      'GuestMemory',
      { size: hexadecimal(size), shared, mappings, closed },
      depth,
      options,
    );
  }

  #offsetArgument(offset: number | bigint): number {
    return Number(uint64Argument('offset', offset, 0n, BigInt(this.size)));
  }
}

/** Allocates memory with the addon of what it is made from, likewise as `createEventOf()`. */
export function allocateMemoryOf(
  { native, fd }: { readonly native: Native; readonly fd: () => number },
  size: number | bigint,
  options: NewMemoryOptions,
): GuestMemory {
  const checked = takeOptions('options', options, newMemoryOptions);
  fd();
  return GuestMemory.allocate(size, { ...checked, native });
}

export { brand as guestMemoryBrand, pagesOf as memoryPages };
