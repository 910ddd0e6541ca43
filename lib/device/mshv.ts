import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import type { Architecture } from '../abi/architecture.js';
import { partitionFlags, partitionIsolation } from '../abi/partition.js';
import type { PartitionPropertyName, SyntheticProcessorFeature } from '../abi/properties.js';
import {
  booleanArgument,
  isArray,
  pathArgument,
  rangeError,
  typeError,
  uint64Argument,
  ours,
  ownConstructor,
} from '../arguments.js';
import { closeEach } from '../closing.js';
import { defaulting, flag, optional, takeOptions, uint64, type OptionTable } from '../options.js';
import { closedError, MshvError, systemError } from '../errors.js';
import { createEventOf, type EventFd, type NewEventOptions } from '../eventfd/eventfd.js';
import { inspected } from '../inspection.js';
import { allocateMemoryOf, type GuestMemory } from '../memory/guest-memory.js';
import type { NewMemoryOptions } from '../memory/guest-memory-options.js';
import { nativeOption, type Native } from '../native.js';
import { explainOpenFailure } from './availability.js';
import {
  assignableFeatures,
  readHostProperties,
  type HostProperties,
  type HostPropertySource,
} from './host-properties.js';
import { architectureOf } from '../hypercall/architecture-of.js';
import type { HypercallTarget } from '../hypercall/hypercall-pages.js';
import { performHypercall, type HypercallOptions } from '../hypercall/hypercall.js';
import { msrActionArgument, type MsrAction } from '../hypercall/intercept-result.js';
import { createPartition, type DriverGeneration, type Partition } from './partition.js';
import {
  getProperty,
  getPropertyEx,
  type PropertyExOptions,
} from '../hypercall/partition-property.js';
import { defaultSyntheticFeatures, syntheticFeaturesArgument } from './synthetic-features.js';

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

/** What partition is created. */
export interface PartitionOptions {
  /** The hypervisor emulates a local APIC for each VP; MSIs need it. Default true. */
  lapic?: boolean;
  /** The guest may put its local APICs into x2APIC mode; they begin in xAPIC mode. Default false. */
  x2apic?: boolean;
  /** The hypervisor may use large pages for guest memory. Default true. */
  gpaSuperPages?: boolean;
  /** The guest may run a hypervisor of its own. Default false. */
  nestedVirtualization?: boolean;
  /** The guest sees sibling threads as such. Default false. */
  smt?: boolean;
  /**
   * Processor features to take away from the guest, one bit each, in two banks. Default: none. A driver
   * that knows no banks (v1) cannot do it, so there is no fallback where this is given.
   */
  disabledCpuFeatures?: readonly [number | bigint, number | bigint];
  /** XSAVE features to take away, one bit each; as above. Not on arm64. Default 0. */
  disabledXsaveFeatures?: number | bigint;
  /**
   * What the hypervisor offers the guest beside a bare processor. Default: what Linux and Windows guests
   * look for, as far as the host says that it can be given (`hostProperties().assignableSyntheticFeatures`);
   * a hypervisor that refuses that too creates the partition without. An empty list: nothing, and the guest
   * sees no hypervisor.
   */
  syntheticFeatures?: readonly SyntheticProcessorFeature[];
  /**
   * What an MSR does that the hypervisor does not know, set at the end of `initialize()`. Default on x64
   * `'ignore-write-read-zero'`, where the hypervisor takes it. Not on arm64.
   */
  unimplementedMsrAction?: MsrAction;
}

const openOptions = {
  path: defaulting<string, string>(pathArgument, devicePath),
  native: nativeOption,
  fastInjection: optional<boolean, boolean>(booleanArgument),
} satisfies OptionTable<MshvOpenOptions>;

const creationOptions = {
  lapic: flag(true, partitionFlags.LAPIC),
  x2apic: flag(false, partitionFlags.X2APIC),
  gpaSuperPages: flag(true, partitionFlags.GPA_SUPER_PAGES),
  nestedVirtualization: flag(false, partitionFlags.NESTED_VIRTUALIZATION),
  smt: flag(false, partitionFlags.SMT_ENABLED_GUEST),
  disabledCpuFeatures: optional(banksArgument),
  disabledXsaveFeatures: optional(uint64),
  syntheticFeatures: optional(syntheticFeaturesArgument),
  unimplementedMsrAction: optional(msrActionArgument),
} satisfies OptionTable<PartitionOptions>;

function banksArgument(
  name: string,
  banks: readonly [number | bigint, number | bigint],
): [bigint, bigint] {
  if (!isArray(banks) || (banks as readonly unknown[]).length !== 2) {
    throw typeError(name, 'an array of two banks', banks);
  }
  return [uint64Argument(`${name}[0]`, banks[0]), uint64Argument(`${name}[1]`, banks[1])];
}

function x64Only(option: string, value: bigint | number | undefined): void {
  if (value !== undefined) {
    throw rangeError(`options.${option}`, 'absent on arm64', value);
  }
}

/** How often a creation that a signal interrupted is tried before it is an error. */
const creationAttempts = 5;

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
    const checked = takeOptions('options', options, creationOptions);
    const { disabledCpuFeatures, disabledXsaveFeatures } = checked;
    const { syntheticFeatures, unimplementedMsrAction } = checked;
    const flags =
      checked.lapic |
      checked.x2apic |
      checked.gpaSuperPages |
      checked.nestedVirtualization |
      checked.smt;
    if (this.architecture !== 'x64') {
      x64Only('disabledXsaveFeatures', disabledXsaveFeatures);
      x64Only('unimplementedMsrAction', unimplementedMsrAction);
    }
    const needsBanks = disabledCpuFeatures !== undefined || disabledXsaveFeatures !== undefined;
    const [bank0, bank1] = disabledCpuFeatures ?? [0n, 0n];
    this.#descriptor();

    let generation: DriverGeneration = 'v2';
    let fd = untilUninterrupted(() =>
      this.#native.createPartitionV2(
        this.#fd,
        flags | partitionFlags.CPU_AND_XSAVE_FEATURES,
        partitionIsolation.NONE,
        bank0,
        bank1,
        disabledXsaveFeatures ?? 0n,
      ),
    );
    if (fd === -constants.errno.EINVAL && !needsBanks) {
      generation = 'v1';
      fd = untilUninterrupted(() =>
        this.#native.createPartition(this.#fd, flags, partitionIsolation.NONE),
      );
    }
    if (fd < 0) {
      throw systemError(
        'create a partition',
        fd,
        { ioctl: 'MSHV_CREATE_PARTITION' },
        fd === -constants.errno.EINVAL && needsBanks
          ? 'the driver refused the features to disable, or is too old to disable any'
          : creationHints.get(fd),
      );
    }
    const partition = createPartition(
      this.#native,
      fd,
      generation,
      this.architecture,
      unimplementedMsrAction,
      this.#fastInjection,
      () => {
        this.#partitions.delete(partition);
      },
    );
    this.#partitions.add(partition);
    if (syntheticFeatures === undefined) {
      this.#giveDefaultFeatures(partition);
    } else if (syntheticFeatures !== 0n) {
      try {
        partition.setProperty('SYNTHETIC_PROC_FEATURES', syntheticFeatures);
      } catch (error) {
        partition.close();
        throw error;
      }
    }
    return partition;
  }

  /** Gives the partition the fullest of the default sets that the hypervisor takes, if it takes any. */
  #giveDefaultFeatures(partition: Partition): void {
    const assignable = assignableFeatures(this.#host);
    let refused = 0n;
    for (const features of defaultSyntheticFeatures[this.architecture]) {
      const given = assignable === undefined ? features : features & assignable;
      if (given === refused) {
        continue;
      }
      try {
        partition.setProperty('SYNTHETIC_PROC_FEATURES', given);
        return;
      } catch (error) {
        if (!(error instanceof MshvError)) {
          throw error;
        }
        refused = given;
      }
    }
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

const creationHints = new Map([
  [-constants.errno.EINTR, `signals interrupted it ${creationAttempts} times`],
  [-constants.errno.ENOTTY, 'this is not the mshv device'],
]);

function untilUninterrupted(attempt: () => number): number {
  let result = attempt();
  for (let tries = 1; result === -constants.errno.EINTR && tries < creationAttempts; tries++) {
    result = attempt();
  }
  return result;
}
