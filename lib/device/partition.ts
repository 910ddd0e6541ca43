import { constants } from 'node:os';
import { inspect } from 'node:util';

import { limits } from '../abi/limits.js';
import { integerArgument } from '../arguments.js';
import { closeEach } from '../closing.js';
import { closedError, MshvError, systemError } from '../errors.js';
import { Doorbells, type Doorbell, type DoorbellOptions } from '../irq/doorbell.js';
import { closeIrqFd, createIrqFd, type IrqFd } from '../irq/irqfd.js';
import type { Native } from '../native.js';
import type { GuestMemory } from './guest-memory.js';
import { msrActionArgument, type MsrAction } from './intercept-result.js';
import {
  MemoryMap,
  type GpaRange,
  type MapMemoryOptions,
  type MappedMemory,
} from './memory-map.js';
import { trackedPages, type PageBitmap, type TrackedPagesOptions } from './page-bitmap.js';
import { PartitionCalls } from './partition-calls.js';
import type { PartitionToken } from './share-token.js';
import { sharePartition } from './shared-partition.js';
import { createVp, type Vp } from './vp.js';

/** Which argument of `MSHV_CREATE_PARTITION` the driver took: with feature banks (v2) or without. */
export type DriverGeneration = 'v1' | 'v2';

let create: (
  native: Native,
  fd: number,
  generation: DriverGeneration,
  unimplementedMsrAction: MsrAction | undefined,
  ended: () => void,
) => Partition;

/**
 * A partition: a virtual machine as the hypervisor sees it.
 *
 * It belongs to the environment that created it. Closing it closes its routes and VPs.
 */
export class Partition extends PartitionCalls implements Disposable {
  readonly #native: Native;
  #fd: number;
  readonly #ended: () => void;
  readonly #vps = new Map<number, Vp>();
  readonly #memory: MemoryMap;
  readonly #doorbells: Doorbells;
  /** What to tell the hypervisor at the end of `initialize()`; undefined where it may refuse. */
  readonly #msrAction: MsrAction | undefined;
  #initialized = false;
  /** The interrupt routes. */
  readonly irqfd: IrqFd;
  readonly generation: DriverGeneration;

  private constructor(
    native: Native,
    fd: number,
    generation: DriverGeneration,
    unimplementedMsrAction: MsrAction | undefined,
    ended: () => void,
  ) {
    super(native, (index) => this.#vps.has(index));
    this.#native = native;
    this.#fd = fd;
    this.#ended = ended;
    this.generation = generation;
    this.#msrAction = unimplementedMsrAction;
    const descriptor = { native, fd: () => this.fd };
    this.#memory = new MemoryMap(descriptor);
    this.#doorbells = new Doorbells(descriptor);
    this.irqfd = createIrqFd({ ...descriptor, hasVp: (index) => this.#vps.has(index) });
  }

  static {
    create = (...args) => new Partition(...args);
  }

  /**
   * The descriptor, borrowed: to be inherited by a child process, say.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get fd(): number {
    if (this.#fd < 0) {
      throw closedError('Partition');
    }
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The VPs created so far, ascending by index, closed ones included. */
  get vps(): Vp[] {
    return [...this.#vps.values()].sort((one, other) => one.index - other.index);
  }

  /**
   * Lets the hypervisor set the partition up with the properties it has now, then tells it what an MSR
   * does that it does not know. VPs can be created afterwards. A second call does nothing.
   *
   * @throws MshvError `ENOMEM` where the host cannot spare the memory that the hypervisor asks for; with
   *   `hvStatus` where the hypervisor refuses the `unimplementedMsrAction` that `createPartition` was
   *   given: the partition is initialized all the same, and another call tries that again
   */
  initialize(): void {
    const result = this.#native.initializePartition(this.fd);
    if (result < 0) {
      throw systemError('initialize the partition', result, { ioctl: 'MSHV_INITIALIZE_PARTITION' });
    }
    if (!this.#initialized) {
      this.#setMsrAction();
      this.#initialized = true;
    }
  }

  // After initialization, as every other VMM for this driver does it.
  #setMsrAction(): void {
    const byDefault = process.arch === 'x64' ? 'ignore-write-read-zero' : undefined;
    const action = this.#msrAction ?? byDefault;
    if (action === undefined) {
      return;
    }
    try {
      this.setProperty('UNIMPLEMENTED_MSR_ACTION', msrActionArgument('action', action));
    } catch (error) {
      if (this.#msrAction !== undefined || !(error instanceof MshvError)) {
        throw error;
      }
    }
  }

  /**
   * Creates a VP.
   *
   * @param index - 0 to 255
   * @throws MshvError `EEXIST` where the partition has that VP, closed or not; `EIO` before
   *   `initialize()`
   */
  createVp(index: number): Vp {
    integerArgument('index', index, 0, limits.MSHV_MAX_VPS - 1);
    const fd = this.#native.createVp(this.fd, index);
    if (fd < 0) {
      throw systemError(`create VP ${index}`, fd, { ioctl: 'MSHV_CREATE_VP' }, vpHints.get(fd));
    }
    const vp = createVp(this.#native, fd, index, this);
    this.#vps.set(index, vp);
    return vp;
  }

  /** What `mapMemory` mapped and nobody has unmapped, ascending by address. */
  get mappings(): MappedMemory[] {
    return this.#memory.mappings;
  }

  /**
   * Makes a token for another environment of this process: post it to a Worker, or pass it as `workerData`,
   * and call `SharedPartition.receive()` there. It holds a duplicate of the descriptor, and with it the
   * partition: the hypervisor's partition lives on until that is closed too.
   *
   * A token that nobody receives keeps the descriptor open until the process ends:
   * `SharedPartition.receive(token).close()` takes it back.
   *
   * @throws MshvError `EMFILE`
   */
  share(): PartitionToken {
    return sharePartition(this.#native, this.fd);
  }

  /**
   * Maps memory into the guest. The driver populates pages when the guest touches them first, inside the
   * VP's run. The memory may be mapped more than once, at several addresses or in several partitions, and closed
   * at any time: the guest keeps it until it is unmapped.
   *
   * @throws MshvError `ERR_MSHV_GPA_IN_USE` where some of it has memory already, naming it; `ERR_MSHV_CLOSED`;
   *   `ENOMEM`; `EIO` where the hypervisor refuses
   * @throws RangeError for addresses and sizes that are no multiples of 4096, or beyond the memory
   */
  mapMemory(memory: GuestMemory, options: MapMemoryOptions): MappedMemory {
    return this.#memory.map(memory, options);
  }

  /**
   * Unmaps what one `mapMemory` mapped, as a whole. The guest's next access exits with an `unmapped-gpa` intercept.
   *
   * @throws MshvError `ERR_MSHV_GPA_NOT_MAPPED`; `ERR_MSHV_PARTIAL_UNMAP` where it is part of a mapping, or more than one:
   *   the driver cannot split them (`mshv_unmap_user_memory`)
   */
  unmapMemory(range: GpaRange): void {
    this.#memory.unmap(range);
  }

  /**
   * The pages of a range that were written since their dirty bits were cleared; those of the host do not
   * count. Without `clear` nothing changes.
   *
   * @throws MshvError where the hypervisor refuses: all of the range must be mapped
   */
  dirtyPages(options: TrackedPagesOptions): PageBitmap {
    return trackedPages(this.#native, this, 'dirty', options);
  }

  /** Likewise the pages that were accessed. `clear` clears the dirty bits too: the driver does both. */
  accessedPages(options: TrackedPagesOptions): PageBitmap {
    return trackedPages(this.#native, this, 'accessed', options);
  }

  /** What `registerDoorbell` made and nobody has closed. */
  get doorbells(): Doorbell[] {
    return this.#doorbells.all;
  }

  /**
   * Makes the guest's writes to an address signal an eventfd, without an exit of the VP.
   *
   * @throws MshvError `ERR_MSHV_DOORBELL_IN_USE` where another doorbell of the same address and size has the same
   *   value, or either takes any (a size of 0 is a size of its own), naming it; `ERR_MSHV_CLOSED`; `EMFILE`
   * @throws RangeError for another size, a value that does not fit it, an address whose write would not end
   *   below 2^64
   */
  registerDoorbell(options: DoorbellOptions): Doorbell {
    return this.#doorbells.register(options);
  }

  /**
   * Closes the routes and doorbells, then the VPs, then the partition, and lets go of its memory. Harmless where closed already. The partition
   * is closed whatever the driver says: an error reports that a route or doorbell could not be taken back first,
   * which matters where another process holds the descriptor too. One error is thrown as it is,
   * several as the `AggregateError` that is the `cause` of an `ERR_MSHV_CLOSE`. Inside a batch, the batch
   * applies nothing and throws `ERR_MSHV_CLOSED`.
   */
  close(): void {
    if (this.#fd < 0) {
      return;
    }
    closeEach('Partition', [
      () => {
        closeIrqFd(this.irqfd);
      },
      () => {
        this.#doorbells.close();
      },
      ...this.vps.reverse().map((vp) => () => {
        vp.close();
      }),
      () => {
        const fd = this.#fd;
        this.#fd = -1;
        this.#native.close(fd);
        this.#memory.forget();
        this.#ended();
      },
    ]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](): string {
    return this.closed
      ? 'Partition { closed }'
      : `Partition { fd: ${this.#fd}, vps: ${this.#vps.size}, routes: ${this.irqfd.size} }`;
  }
}

export { create as createPartition };

const vpHints = new Map([
  [-constants.errno.EEXIST, 'the partition has it already; a closed VP keeps its index'],
  [-constants.errno.EIO, 'the hypervisor refused; was the partition initialized?'],
]);
