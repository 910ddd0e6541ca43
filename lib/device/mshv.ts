import { inspect, type InspectOptions } from 'node:util';

import type { Architecture } from '../abi/architecture.js';
import type { PartitionPropertyName } from '../abi/properties.js';
import { booleanArgument, pathArgument, ours, ownConstructor } from '../arguments.js';
import { closeEach } from '../closing.js';
import { defaulting, optional, takeOptions, type OptionTable } from '../options.js';
import { closedError, systemError } from '../errors.js';
import { createEventOf, type EventFd, type NewEventOptions } from '../eventfd/eventfd.js';
import { inspected } from '../inspection.js';
import { allocateMemoryOf, type GuestMemory } from '../memory/guest-memory.js';
import type { NewMemoryOptions } from '../memory/guest-memory-options.js';
import { nativeOption, type Native } from '../native.js';
import { explainOpenFailure } from './availability.js';
import {
  readHostProperties,
  type HostProperties,
  type HostPropertySource,
} from './host-properties.js';
import { architectureOf } from '../hypercall/architecture-of.js';
import type { HypercallTarget } from '../hypercall/hypercall-pages.js';
import { performHypercall, type HypercallOptions } from '../hypercall/hypercall.js';
import { createPartitionFd } from './partition-creation.js';
import { takePartitionOptions, type PartitionOptions } from './partition-options.js';
import { createPartition, type Partition } from './partition.js';
import {
  getProperty,
  getPropertyEx,
  type PropertyExOptions,
} from '../hypercall/partition-property.js';
import { giveSyntheticFeatures } from './synthetic-features.js';

/** Where the driver's node is unless somebody moved it. */
export const devicePath = '/dev/mshv';

/** What device is opened, and how. */
export interface MshvOpenOptions {
  /** Default `/dev/mshv`. */
  path?: string;
  /** The addon to use. Default: the one that makes system calls. */
  native?: Native;
  /**
   * Whether the driver injects through the VPs' register pages, where it takes an APIC id for a VP's index and any
   * physical MSI for a fixed, edge-triggered one: with the root scheduler, where the hypervisor offers it. Routes refuse
   * then what would go wrong, see docs/routes.md. Default: what CPUID says that the hypervisor offers, since the driver does not tell its
   * scheduler. False for a host that is known to have another one.
   */
  fastInjection?: boolean;
}

const openOptions = {
  path: defaulting<string, string>(pathArgument, devicePath),
  native: nativeOption,
  fastInjection: optional<boolean, boolean>(booleanArgument),
} satisfies OptionTable<MshvOpenOptions>;

let openDevice: (native: Native, fd: number, path: string, fastInjection: boolean) => Mshv;

/**
 * The open device. It belongs to the environment that opened it; closing it closes its partitions.
 *
 * @example
 * ```ts
 * import { Mshv, MshvError } from 'mshv';
 * import { Simulator } from 'mshv/sim';
 *
 * function open(): Mshv {
 *   try {
 *     return Mshv.open();
 *   } catch (error) {
 *     if (!(error instanceof MshvError)) throw error;
 *     return new Simulator().open(); // error.message says why there is no device
 *   }
 * }
 *
 * using device = open();
 * using partition = device.createPartition();
 * partition.initialize();
 * console.log(partition.vps.length); // 0
 * ```
 */
export class Mshv implements Disposable {
  readonly #native: Native;
  #fd: number;
  readonly #partitions = new Set<Partition>();
  /** What was opened. */
  readonly path: string;
  /**
   * What the hypervisor and its guests run on: the same as this process, or what the simulator was made with. Registers,
   * exits and interrupts follow it.
   */
  readonly architecture: Architecture;
  readonly #fastInjection: boolean;
  readonly #target: HypercallTarget;
  /** @throws MshvError `ERR_MSHV_CLOSED` */
  readonly #descriptor = (): number => {
    if (this.#fd < 0) {
      throw closedError('Mshv');
    }
    return this.#fd;
  };
  // Not this object: hooks into its public methods must not see the library's own questions.
  readonly #host: HostPropertySource = {
    property: (property) => getProperty(this.#target, property),
    propertyEx: (property, options) => getPropertyEx(this.#target, property, options),
  };

  private constructor(
    key: symbol,
    native: Native,
    fd: number,
    path: string,
    fastInjection: boolean,
  ) {
    ownConstructor('Mshv', key);
    this.#fastInjection = fastInjection;
    this.#native = native;
    this.#fd = fd;
    this.path = path;
    this.#target = { native, fd: this.#descriptor };
    this.architecture = architectureOf(native, fd);
  }

  static {
    openDevice = (...args) => new Mshv(ours, ...args);
  }

  /**
   * Opens the device.
   *
   * @throws MshvError `ENOENT`, `EACCES`, `ENODEV`, … The message says why there is no device on this
   *   machine, as far as it shows, and what to do about it; `cause` says the same to programs, as an
   *   `OpenFailure`.
   *
   * @example
   * ```ts
   * import { Mshv, MshvError } from 'mshv';
   *
   * try {
   *   using device = Mshv.open({ path: '/nowhere' });
   * } catch (error) {
   *   if (!(error instanceof MshvError)) throw error;
   *   console.log(error.code, error.syscall); // ENOENT open
   * }
   * ```
   */
  static open(options: MshvOpenOptions = {}): Mshv {
    const { path, native, fastInjection } = takeOptions('options', options, openOptions);
    const fd = native.open(path);
    if (fd < 0) {
      const failure = explainOpenFailure(path, fd);
      const { reason, remedy } = failure;
      const error = systemError(`open ${path}`, fd, { syscall: 'open' }, `${reason}; ${remedy}`);
      error.cause = failure;
      throw error;
    }
    return openDevice(native, fd, path, fastInjection ?? native.fastInjection(fd) !== 0);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Any hypercall that the driver passes through on the device, for the host's own partition: one that
   * reads properties, with its input packed by the caller.
   *
   * @returns the output
   *
   * @example
   * ```ts
   * import { partitionProperties } from 'mshv';
   *
   * const input = new Uint8Array(16);
   * new DataView(input.buffer).setUint32(8, partitionProperties.PRIVILEGE_FLAGS, true);
   * const output = device.hypercall({ code: 'HVCALL_GET_PARTITION_PROPERTY', input });
   * console.log(output.length); // 8
   * ```
   */
  hypercall(options: HypercallOptions): Uint8Array {
    return performHypercall(this.#target, 'device', options);
  }

  /**
   * The value of a property of the host's own partition.
   *
   * @param property - by name or code
   * @throws MshvError `EIO` with `HV_STATUS_UNKNOWN_PROPERTY` where the hypervisor has none, with
   *   `HV_STATUS_ACCESS_DENIED` where it is not for this host; `ENOTTY` where the driver cannot ask
   *
   * @example
   * ```ts
   * console.log(typeof device.property('PRIVILEGE_FLAGS')); // bigint
   * ```
   */
  property(property: PartitionPropertyName | number): bigint {
    return getProperty(this.#target, property);
  }

  /**
   * A property of the host's own partition that is no single word. What the hypervisor did not write of
   * the bytes is undefined.
   *
   * @throws MshvError as `property` does
   *
   * @example
   * ```ts
   * console.log(device.propertyEx('PRIVILEGE_FLAGS', { size: 8 }).length); // 8
   * ```
   */
  propertyEx(
    property: PartitionPropertyName | number,
    options: PropertyExOptions = {},
  ): Uint8Array {
    return getPropertyEx(this.#target, property, options);
  }

  /**
   * What the host can do. Asks anew with each call, and never throws because something is not known.
   *
   * @example
   * ```ts
   * const { physicalAddressWidth } = device.hostProperties();
   * console.log(typeof physicalAddressWidth); // number
   * ```
   */
  hostProperties(): HostProperties {
    return readHostProperties(this.#host, this.architecture);
  }

  /**
   * Creates an eventfd of the device's own addon: for routes and doorbells of its partitions, also where it is a simulator's. It
   * belongs to whoever asks for it, and outlives the device.
   *
   * @throws MshvError as `EventFd.create()`; `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * using event = device.createEvent({ initial: 1 });
   * console.log(event.tryRead()); // 1n
   * ```
   */
  createEvent(options: NewEventOptions = {}): EventFd {
    return createEventOf(this.#target, options);
  }

  /**
   * Allocates memory with the device's own addon, likewise, to be mapped by any of its partitions, or several.
   *
   * @param size - in bytes, a multiple of 4096 from 4096 to 2^47
   * @throws MshvError as `GuestMemory.allocate()`; `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * using ram = device.allocateMemory(4096);
   * console.log(ram.size); // 4096
   * ```
   */
  allocateMemory(size: number | bigint, options: NewMemoryOptions = {}): GuestMemory {
    return allocateMemoryOf(this.#target, size, options);
  }

  /**
   * Creates a partition. Where the driver is too old for feature banks (v2), it is created without
   * (v1); `generation` of the result says which it was. Where a step fails there is no partition.
   *
   * @throws MshvError `EINVAL` where the driver refused the options; `ENOMEM`; `EINTR` where signals
   *   interrupted it five times; `ENOTTY` where `path` is another kind of device; with `hvStatus` where the
   *   hypervisor refused `syntheticFeatures`
   *
   * @example
   * ```ts
   * using other = device.createPartition({ nestedVirtualization: false });
   * other.initialize();
   * console.log(other.generation); // v2
   * ```
   */
  createPartition(options: PartitionOptions = {}): Partition {
    const checked = takePartitionOptions(options, this.architecture);
    const { fd, generation } = createPartitionFd(this.#native, this.#descriptor(), checked);
    const partition = createPartition(
      this.#native,
      fd,
      generation,
      this.architecture,
      checked.unimplementedMsrAction,
      this.#fastInjection,
      () => {
        this.#partitions.delete(partition);
      },
    );
    this.#partitions.add(partition);
    try {
      giveSyntheticFeatures(partition, checked.syntheticFeatures, this.#host);
    } catch (error) {
      partition.close();
      throw error;
    }
    return partition;
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { path, closed } = this;
    return inspected('Mshv', { path, partitions: this.#partitions.size, closed }, depth, options);
  }

  /**
   * Closes the partitions, last created first, then the device. Harmless where closed already. All of
   * them are closed whatever happens. Afterwards one error is thrown as it is, several as the
   * `AggregateError` that is the `cause` of an `ERR_MSHV_UNCLEAN_CLOSE`.
   */
  close(): void {
    if (this.#fd < 0) {
      return;
    }
    closeEach('Mshv', [
      ...[...this.#partitions].reverse().map((partition) => () => {
        partition.close();
      }),
      () => {
        const fd = this.#fd;
        this.#fd = -1;
        this.#native.close(fd);
      },
    ]);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
