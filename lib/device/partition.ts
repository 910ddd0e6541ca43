import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import { vpArgument } from '../abi/arguments.js';
import type { Architecture } from '../abi/architecture.js';
import { unimplementedMsrActions } from '../abi/properties.js';
import { x64Registers } from '../abi/x64-registers.js';
import { closeEach } from '../closing.js';
import { closedError, MshvError, systemError } from '../errors.js';
import { inspected } from '../inspection.js';
import { highestApicId, type ApicIds } from '../irq/apic-ids.js';
import type { Doorbell } from '../irq/doorbell.js';
import { DoorbellTable, type DoorbellOptions } from '../irq/doorbell-table.js';
import { closeIrqFd, createIrqFd, type IrqFd } from '../irq/irqfd.js';
import type { Native } from '../native.js';
import { integer, optional, takeOptions, type Option } from '../options.js';
import { type Brand, ours, ownConstructor } from '../arguments.js';
import { allocateMemoryOf, type GuestMemory } from '../memory/guest-memory.js';
import type { NewMemoryOptions } from '../memory/guest-memory-options.js';
import type { MappedMemory } from '../memory/mapped-memory.js';
import { announceMapping } from '../memory/mapping-listeners.js';
import { MemoryMap } from '../memory/memory-map.js';
import type {
  GpaRange,
  MapMemoryOptions,
  TrackedPagesOptions,
  WriteMemoryOptions,
} from '../memory/memory-map-options.js';
import type { PageBitmap } from '../memory/page-bitmap.js';
import { apicIdsOf, lookUpRegisters, PartitionCalls } from '../hypercall/partition-calls.js';
import { sharePartition } from '../hypercall/shared-partition.js';
import type { PartitionToken } from '../share-token.js';
import { createVp, pagedRegisters, type Vp } from '../vp/vp.js';

/** Which argument of `MSHV_CREATE_PARTITION` the driver took: with feature banks (v2) or without. */
export type DriverGeneration = 'v1' | 'v2';

let create: (
  native: Native,
  fd: number,
  generation: DriverGeneration,
  architecture: Architecture,
  unimplementedMsrAction: number | undefined,
  fastInjection: boolean,
  ended: () => void,
) => Partition;

/** What VP is created. */
export interface VpOptions {
  /**
   * The APIC id, 0 to 0xfffffffe: what physical destinations of interrupts name. An MSI has room for 0 to 254. Default:
   * the index. On x64 only.
   */
  apicId?: number;
}

const vpOptions: Readonly<
  Record<Architecture, { apicId?: Option<number | undefined, number | undefined> }>
> = { x64: { apicId: optional(integer(0, highestApicId)) }, arm64: {} };

let brand: Brand<Partition>;

/**
 * A partition: a virtual machine as the hypervisor sees it.
 *
 * It belongs to the environment that created it. Closing it closes its routes, doorbells and VPs.
 *
 * @example
 * ```ts
 * using one = device.createPartition();
 * one.initialize();
 * const ram = one.allocateMemory(2 * 2 ** 20);
 * one.mapMemory(ram, { gpa: 0, name: 'RAM' });
 * const boot = one.createVp(0);
 * console.log(boot.index, one.mappingAt(0)?.name); // 0 RAM
 * ```
 */
export class Partition extends PartitionCalls implements Disposable {
  readonly #native: Native;
  #fd: number;
  readonly #ended: () => void;
  readonly #vps = new Map<number, Vp>();
  readonly #apicIds: ApicIds;
  /** Descriptors of VPs that the driver has made and that could not be given their APIC ids, by index. */
  readonly #begunVps = new Map<number, number>();
  readonly #memory: MemoryMap;
  readonly #doorbells: DoorbellTable;
  /** What to tell the hypervisor at the end of `initialize()`; undefined where it may refuse. */
  readonly #msrAction: number | undefined;
  #initialized = false;
  /** The interrupt routes. */
  readonly irqfd: IrqFd;
  /** How the driver creates partitions: `'v2'` takes feature banks, `'v1'` does not. */
  readonly generation: DriverGeneration;

  private constructor(
    key: symbol,
    native: Native,
    fd: number,
    generation: DriverGeneration,
    architecture: Architecture,
    unimplementedMsrAction: number | undefined,
    fastInjection: boolean,
    ended: () => void,
  ) {
    ownConstructor('Partition', key);
    super(native, architecture);
    lookUpRegisters(this, (index) => {
      const vp = this.#vps.get(index);
      return vp === undefined ? undefined : pagedRegisters(vp);
    });
    const apicIds = apicIdsOf(this);
    this.#apicIds = apicIds;
    this.#native = native;
    this.#fd = fd;
    this.#ended = ended;
    this.generation = generation;
    this.#msrAction = unimplementedMsrAction;
    this.irqfd = createIrqFd({
      native,
      architecture,
      fd: () => this.fd,
      vpOf: (apicId) => apicIds.vpOf(apicId),
      fastInjection,
    });
    this.#doorbells = new DoorbellTable({ native, fd: () => this.fd });
    this.#memory = new MemoryMap({
      native,
      fd: () => this.fd,
      accessStates: (gpa, pages) => super.accessStates({ gpa, pages }),
    });
  }

  static {
    brand = { name: 'Partition', has: (value): value is Partition => #native in value };
    create = (...args) => new Partition(ours, ...args);
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

  /** Whether `close()` was called, here or by the device. */
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
   *
   * @example
   * ```ts
   * using one = device.createPartition();
   * one.setProperty('TIME_FREEZE', 0); // some properties have to be set before
   * one.initialize();
   * ```
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
    const byDefault =
      this.architecture === 'x64' ? unimplementedMsrActions.IGNORE_WRITE_READ_ZERO : undefined;
    const action = this.#msrAction ?? byDefault;
    if (action === undefined) {
      return;
    }
    try {
      this.setProperty('UNIMPLEMENTED_MSR_ACTION', action);
    } catch (error) {
      if (this.#msrAction !== undefined || !(error instanceof MshvError)) {
        throw error;
      }
    }
  }

  /**
   * Creates a VP, and gives it its APIC id (the register INITIAL_APIC_ID) before it can run.
   *
   * Where the hypervisor refuses the id there is no VP here, but the driver has one that it cannot take back: another
   * call with this index goes on with that. The same as `setRegisters({ INITIAL_APIC_ID })` afterwards, but for that.
   *
   * @param index - 0 to 255
   * @throws MshvError `EEXIST` where the partition has that VP, closed or not; `EIO` before
   *   `initialize()`; `ERR_MSHV_APIC_ID_IN_USE` where the id was given to another VP; with `hvStatus` where the
   *   hypervisor refuses the id
   *
   * @example
   * ```ts
   * const second = partition.createVp(1, { apicId: 4 });
   * console.log(second.index, second.apicId); // 1 4
   * ```
   */
  createVp(index: number, options: VpOptions = {}): Vp {
    index = vpArgument('index', index);
    const checked: VpOptions = takeOptions('options', options, vpOptions[this.architecture]);
    const { apicId } = checked;
    if (apicId !== undefined) {
      this.#apicIds.check(index, apicId);
    }
    const fd = this.#begunVps.get(index) ?? this.#native.createVp(this.fd, index);
    if (fd < 0) {
      throw systemError(`create VP ${index}`, fd, { ioctl: 'MSHV_CREATE_VP' }, vpHints.get(fd));
    }
    this.#apicIds.add(index);
    if (apicId !== undefined) {
      this.#begunVps.set(index, fd);
      super.setRegisters(
        index,
        Uint32Array.of(x64Registers.INITIAL_APIC_ID),
        BigUint64Array.of(BigInt(apicId), 0n),
      );
    }
    this.#begunVps.delete(index);
    const vp = createVp(this.#native, fd, index, this);
    this.#vps.set(index, vp);
    return vp;
  }

  /**
   * Makes a token for another environment of this process: post it to a Worker, or pass it as `workerData`,
   * and call `SharedPartition.receive()` there. It holds a duplicate of the descriptor, and with it the
   * partition: the hypervisor's partition lives on until that is closed too.
   *
   * A token that nobody receives keeps the descriptor open until this environment ends, and is of no use after that:
   * `SharedPartition.receive(token).close()` takes it back.
   *
   * @throws MshvError `EMFILE`
   *
   * @example
   * ```ts
   * const { type } = partition.share(); // a Worker gets it, and calls SharedPartition.receive()
   * console.log(type); // mshv-partition
   * ```
   */
  share(): PartitionToken {
    return sharePartition(this.#native, this.fd, this.#apicIds);
  }

  /**
   * Allocates memory with the partition's own addon, to be mapped; also where it is a simulator's. It belongs to whoever asks for
   * it, and outlives the partition.
   *
   * @param size - in bytes, a multiple of 4096 from 4096 to 2^47
   * @throws MshvError as `GuestMemory.allocate()`; `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * using ram = partition.allocateMemory(4096);
   * ram.fill(0xff);
   * console.log(ram.read(0, 2)); // Uint8Array(2) [ 255, 255 ]
   * ```
   */
  allocateMemory(size: number | bigint, options: NewMemoryOptions = {}): GuestMemory {
    return allocateMemoryOf({ native: this.#native, fd: () => this.fd }, size, options);
  }

  /**
   * Shows memory to the guest at an address of its own. Before or after `initialize()`, while VPs run or not. The
   * guest gets nothing at once: its first access to some pages costs an intercept that the driver resolves itself.
   *
   * The memory may be closed afterwards: its pages stay for the guest until they are unmapped everywhere.
   *
   * @throws MshvError `ERR_MSHV_GPA_IN_USE` where something is mapped there already, naming it; `ERR_MSHV_CLOSED`
   *   where the memory is closed; `ENOMEM`; `EIO` where the hypervisor refuses, an address beyond what it has, say
   *
   * @example
   * ```ts
   * using ram = partition.allocateMemory(4096);
   * const rom = partition.mapMemory(ram, { gpa: 0xfffff000, writable: false, name: 'ROM' });
   * console.log(rom.mapped); // true
   * ```
   */
  mapMemory(memory: GuestMemory, options: MapMemoryOptions): MappedMemory {
    const mapped = this.#memory.map(memory, options);
    announceMapping(this);
    return mapped;
  }

  /**
   * Takes memory away from the guest: exactly one mapping. The same as its `unmap()`, and fails like that.
   *
   * @throws MshvError `ERR_MSHV_GPA_NOT_MAPPED` where there is none; `ERR_MSHV_PARTIAL_UNMAP` where there is one, but not
   *   exactly of that range
   *
   * @example
   * ```ts
   * partition.unmapMemory({ gpa: 0, size: memory.size });
   * console.log(mapped.mapped); // false
   * ```
   */
  unmapMemory(range: GpaRange): void {
    this.#memory.unmap(range);
  }

  /** What is mapped, ascending by address. */
  get mappings(): MappedMemory[] {
    return this.#memory.mappings;
  }

  /**
   * The mapping that an address is in, or undefined where nothing is mapped.
   *
   * @example
   * ```ts
   * console.log(partition.mappingAt(0x1000) === mapped); // true
   * ```
   */
  mappingAt(gpa: number | bigint): MappedMemory | undefined {
    return this.#memory.at(gpa);
  }

  /**
   * Copies guest memory, once: the guest may change it at any moment, so check the copy and not the memory.
   *
   * This is the memory that is mapped, from however many mappings, whether its GuestMemory is open still or closed.
   * Pages that the hypervisor lays over it for the guest (a VP's SIMP, say) are not seen here.
   *
   * @param into - as many bytes as are to be read
   * @returns false, with nothing copied, where some of them are not mapped
   * @throws MshvError `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * memory.write(0x1000, Uint8Array.of(7));
   * const byte = new Uint8Array(1);
   * partition.readMemory(0x1000, byte);
   * console.log(byte); // Uint8Array(1) [ 7 ]
   * ```
   */
  readMemory(gpa: number | bigint, into: Uint8Array): boolean {
    return this.#memory.read(gpa, into);
  }

  /**
   * Copies to guest memory, likewise; where the guest may only read too, unless `asGuest` is set.
   *
   * @returns false, with nothing copied, where some of it is not mapped, or with `asGuest` not writable for the guest
   * @throws MshvError `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * partition.writeMemory(0x1000, Uint8Array.of(7)); // as the host; { asGuest: true } respects what the guest may write
   * console.log(memory.read(0x1000, 1)); // Uint8Array(1) [ 7 ]
   * ```
   */
  writeMemory(gpa: number | bigint, bytes: Uint8Array, options: WriteMemoryOptions = {}): boolean {
    return this.#memory.write(gpa, bytes, options);
  }

  /**
   * The pages that the guest has written since they were mapped, or cleared last. What the host writes does not count.
   * Mapping counts anew after the driver has let go of pages by itself (the host unmapped, migrated or swapped them).
   *
   * Looking without `clear` takes a hypercall for each 16 MiB of the range, with `clear` the driver makes them; this
   * thread waits for all of them.
   *
   * @throws MshvError `ERR_MSHV_GPA_NOT_MAPPED` where some page of the range is not mapped, with nothing cleared; what the
   *   driver refuses. With `clear`, where the hypervisor refuses some page, the bits before it may be lost.
   *
   * @example
   * ```ts
   * const dirty = partition.dirtyPages({ gpa: 0, size: memory.size, clear: true });
   * console.log(dirty.has(0)); // false
   * ```
   */
  dirtyPages(options: TrackedPagesOptions): PageBitmap {
    return this.#memory.dirty(options);
  }

  /**
   * The pages that the guest has read or written, likewise. With `clear` the dirty bits of the range are cleared too:
   * a page that was not accessed cannot be dirty.
   *
   * @throws MshvError as `dirtyPages` does
   *
   * @example
   * ```ts
   * const accessed = partition.accessedPages({ gpa: 0, size: memory.size });
   * console.log(accessed.has(0)); // false
   * ```
   */
  accessedPages(options: TrackedPagesOptions): PageBitmap {
    return this.#memory.accessed(options);
  }

  /**
   * Has the guest's writes to an address signal an eventfd, without an intercept. The driver
   * has no limit that matters: 20 000 on one eventfd were seen to work.
   *
   * @throws MshvError `ERR_MSHV_DOORBELL_IN_USE` where a doorbell of the same address and size rings for some of the same
   *   values, naming it; `EMFILE`; `ENOMEM`; `EIO` where the hypervisor refuses
   *
   * @example
   * ```ts
   * using doorbell = partition.registerDoorbell({ gpa: 0xfe000000, size: 4 });
   * console.log(simulator.writeMmio(partition, 0xfe000000, 4, 1)); // 1
   * console.log(doorbell.event.tryRead()); // 1n
   * ```
   */
  registerDoorbell(options: DoorbellOptions): Doorbell {
    return this.#doorbells.register(options);
  }

  /** The doorbells that are open, in no order. */
  get doorbells(): Doorbell[] {
    return this.#doorbells.doorbells;
  }

  /**
   * Closes the routes, the doorbells and the VPs, then the partition, then lets go of its memory. Harmless
   * where closed already. The partition is closed whatever the driver says: an error reports that a route or
   * doorbell could not be taken away first, which matters where another process holds the descriptor too. One
   * error is thrown as it is, several as the `AggregateError` that is the `cause` of an `ERR_MSHV_UNCLEAN_CLOSE`. Inside
   * a batch, the batch applies nothing and throws `ERR_MSHV_CLOSED`.
   */
  close(): void {
    if (this.#fd < 0) {
      return;
    }
    closeEach('Partition', [
      () => {
        closeIrqFd(this.irqfd);
      },
      ...this.#doorbells.closings(),
      ...this.vps.reverse().map((vp) => () => {
        vp.close();
      }),
      ...[...this.#begunVps.values()].map((fd) => () => {
        this.#native.close(fd);
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

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { closed } = this;
    const open = { fd: this.#fd, vps: this.#vps.size, routes: this.irqfd.size, closed };
    return inspected('Partition', closed ? { closed } : open, depth, options);
  }
}

export { create as createPartition };

const vpHints = new Map([
  [-constants.errno.EEXIST, 'the partition has it already; a closed VP keeps its index'],
  [-constants.errno.EIO, 'the hypervisor refused; was the partition initialized?'],
]);

export { brand as partitionBrand };
