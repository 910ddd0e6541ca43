import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import { vpArgument } from '../abi/arguments.js';
import type { WaitOptions } from '../abort-signal.js';
import { ioctls } from '../abi/ioctls.js';
import { bytesArgument, integerArgument, rangeError, uint64Argument } from '../arguments.js';
import { Mshv } from '../device/mshv.js';
import type { Partition } from '../device/partition.js';
import { inspected } from '../inspection.js';
import type { Native } from '../native.js';
import { simNative } from './sim-native.js';
import { takeOptions, waitOptions } from '../options.js';
import {
  driverLists,
  type DriverDoorbell,
  type DriverIrqFd,
  type DriverMemory,
  type DriverRoute,
  type InstalledIntercept,
  type RegisteredResult,
} from './driver-state.js';
import type { GuestInterrupt } from './guest-interrupt.js';
import { sizeArgument, type AccessSize } from './guest-steps.js';
import {
  errnoArgument,
  failNextOptions,
  refuseOptions,
  requestArgument,
  type FailNextOptions,
  type RefuseOptions,
  type SimulatedIoctl,
} from './planned-failures.js';
import { ScriptedGuest } from './scripted-guest.js';
import { noVp, SimulatedMachine } from './simulated-machine.js';
import { simulatorOptions, type SimulatorOptions } from './simulator-options.js';

/** What the driver did at an end of interrupt. */
export interface EndOfInterrupt {
  /** How many resample eventfds it signalled. */
  readonly resampled: number;
  /** For how many of them it cleared the virtual interrupt first: those with an ExtINT route. */
  readonly cleared: number;
}

const largestMessage = 256;
/** What one guest access may transfer, so that nobody waits for one for long. */
const largestTransfer = 1 << 30;

/**
 * A simulated machine: a hypervisor, Linux' mshv driver and the guests in its partitions, in this
 * process. `open()` gives an ordinary `Mshv`; the other methods are the guest's side and the controls.
 *
 * The driver's checks, their order and their errno are those of Linux 7.2, the surprising ones
 * included. Eventfds are real, so any thread or process can signal: a thread of the simulator waits
 * for signals. What the real driver does inside the signalling write, that thread does a little later,
 * but every call that could show the difference (an ioctl, a read or poll of an armed eventfd, any
 * method here) first processes all signals sent before it. Signals through `EventFd` of this addon are
 * one interrupt each; writes by other means (another process, `fs.write`) that come faster than the
 * simulator looks may become one.
 *
 * No guest code runs: a VP does what `guest()` or `queueMessage()` has queued for it, and an interrupt is recorded
 * when the driver, a hypercall or a VP's SynIC asserts it. A vector that comes by fast injection counts as taken at once, as by a VP
 * that is dispatched immediately.
 *
 * A simulator belongs to the environment that made it and ends with it. It needs `/proc`.
 *
 * @example
 * ```ts
 * import { Simulator } from 'mshv/sim';
 *
 * using simulator = new Simulator({ scheduler: 'root', driver: 'v1' });
 * const partition = simulator.open().createPartition();
 * partition.initialize();
 * partition.createVp(0);
 * partition.irqfd.newRoute({ msi: { address: 0xfee00000, data: 0x41 } }).event.signal();
 * console.log(simulator.interrupts(partition)[0]?.vector); // 65
 * ```
 */
export class Simulator implements Disposable {
  readonly #machine: SimulatedMachine;
  #devices: Mshv[] = [];

  constructor(options: SimulatorOptions = {}) {
    this.#machine = new SimulatedMachine(takeOptions('options', options, simulatorOptions));
  }

  /**
   * The addon that ends in the simulated driver, one for all simulators: for `EventFd.create`, and for
   * `Mshv.open({ path: simulator.path, native: Simulator.native })` in another Worker.
   */
  static get native(): Native {
    return simNative();
  }

  /** The path under which `Simulator.native` opens this simulator's device. */
  get path(): string {
    return `sim:${this.#machine.id}`;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#machine.closed;
  }

  /**
   * Opens the device. It is closed with the simulator.
   *
   * @example
   * ```ts
   * using other = simulator.open();
   * console.log(other.path === simulator.path); // true
   * ```
   */
  open(): Mshv {
    this.#machine.usable();
    const device = Mshv.open({ path: this.path, native: this.#machine.native });
    this.#devices = this.#devices.filter(({ closed }) => !closed);
    this.#devices.push(device);
    return device;
  }

  /**
   * Takes the interrupts that the partition's guest got since the last call, oldest first; every signal
   * sent before counts. Until they are taken they are kept: the newest 262 144 of them.
   *
   * @throws MshvError `ERR_MSHV_INTERRUPTS_LOST` where older ones were dropped since the last call, with their number as
   *   `lost`; those that were kept are the next call's
   *
   * @example
   * ```ts
   * route.event.signal();
   * console.log(simulator.interrupts(partition).length, simulator.interrupts(partition).length); // 1 0
   * ```
   */
  interrupts(partition: Partition): GuestInterrupt[] {
    return this.#machine.interruptsOf(partition).takeAll();
  }

  /**
   * Interrupts as they come, those not taken yet first. Ends when the partition or the simulator is closed, with which
   * what was not taken is gone. Where `signal` aborts, one `next()` rejects with its reason; where interrupts were dropped,
   * as `interrupts()` throws.
   *
   * Each interrupt goes to one taker: with two iterators, or `interrupts()` in between, nobody sees them all. Calls of
   * `next()` that overlap take one after the other, in their order. An interrupt is taken when `next()` asks for it, so one
   * that was not delivered when the loop is left, or `signal` aborts, is there for `interrupts()` and the next iterator.
   *
   * Waiting keeps the process alive. Who does not iterate to the end calls `return()`, as leaving a loop does: else an
   * eventfd stays open until the partition's end is noticed.
   */
  watchInterrupts(
    partition: Partition,
    options: WaitOptions = {},
  ): AsyncGenerator<GuestInterrupt, void, undefined> {
    const recorded = this.#machine.interruptsOf(partition);
    const { signal } = takeOptions('options', options, waitOptions);
    return recorded.watch(signal);
  }

  /**
   * The guest's VP ends an interrupt. The driver signals the resample eventfds of irqfds whose GSI is
   * the vector (`mshv_notify_acked_gsi`), whether or not the vector was ever injected; nothing where it
   * came by fast injection, since the hypervisor takes that for edge-triggered and reports no end.
   *
   * @param vp - an existing VP
   * @param vector - 0 to 255
   */
  endOfInterrupt(partition: Partition, vp: number, vector: number): EndOfInterrupt {
    const fd = this.#machine.fdOf(partition);
    vp = vpArgument('vp', vp);
    vector = integerArgument('vector', vector, 0, 255);
    const result = this.#machine.native.simEndOfInterrupt(fd, vp, vector);
    if (result === -constants.errno.EINVAL) {
      throw noVp(vp);
    }
    this.#machine.checked('end an interrupt', result);
    return { resampled: result & 0xffff, cleared: result >>> 16 };
  }

  /**
   * Makes calls of an ioctl fail before they have any effect: `after` calls pass, then `count` fail.
   * Replaces what an earlier plan for the same ioctl has left.
   *
   * @param ioctl - its name, such as `'MSHV_IRQFD'`
   * @param error - what it fails with: `'ENOMEM'` or the positive number
   *
   * @example
   * ```ts
   * simulator.failNext('MSHV_CREATE_VP', 'ENOMEM');
   * try {
   *   partition.createVp(1);
   * } catch (error) {
   *   console.log(error instanceof Error && 'code' in error && error.code); // ENOMEM
   * }
   * ```
   */
  failNext(ioctl: SimulatedIoctl, error: string | number, options: FailNextOptions = {}): void {
    this.#machine.usable();
    const request = requestArgument('ioctl', ioctl);
    const errno = errnoArgument('error', error);
    const { after, count } = takeOptions('options', options, failNextOptions);
    this.#machine.checked(
      'plan a failure',
      this.#machine.native.simFailNext(this.#machine.id, request, errno, after, count),
    );
  }

  /**
   * Makes the hypervisor refuse hypercalls of a code, those included that the driver makes by itself
   * (such as 0x4b, `HVCALL_MAP_GPA_PAGES`): `after` calls pass, then `count` are refused. Replaces what an
   * earlier plan for the same code has left.
   *
   * For a lack of memory (`HV_STATUS_INSUFFICIENT_MEMORY` and the like) the driver deposits some and calls again,
   * which counts; what comes of the others is up to who called.
   */
  refuse(options: RefuseOptions): void {
    this.#machine.usable();
    const { hypercall, status, after, count, reps } = takeOptions(
      'options',
      options,
      refuseOptions,
    );
    this.#machine.checked(
      'plan a refusal',
      this.#machine.native.simRefuse(this.#machine.id, hypercall, status, after, count, reps),
    );
  }

  /**
   * The guest of a VP, to tell it what to do. Where there are several for one VP, each queues behind
   * the others. At most 65 536 steps of a VP wait to be done, messages included: one more is `ENOBUFS`.
   *
   * @param vp - an existing VP
   *
   * @example
   * ```ts
   * simulator.guest(partition, 0).out(0x3f8, 1, 0x41);
   * console.log(vp.run()?.type); // io-port
   * ```
   */
  guest(partition: Partition, vp: number): ScriptedGuest {
    const fd = this.#machine.fdOfVp(partition, vp);
    return new ScriptedGuest(
      (steps) => {
        this.#machine.usable();
        this.#machine.checked(
          'queue steps of the guest',
          this.#machine.native.simGuestSteps(fd(), vp, steps),
        );
      },
      () =>
        this.#machine.checked(
          'count the steps of the guest',
          this.#machine.native.simPendingSteps(fd(), vp),
        ),
      partition.architecture,
    );
  }

  /**
   * Queues a message for a VP as it is: the run that comes to it returns it. A GPA intercept goes to the driver
   * first, which returns it only where it cannot page the memory in.
   *
   * @param vp - an existing VP
   * @param message - header and payload, at most 256 bytes; what is missing is 0. See `encodeMessage`.
   */
  queueMessage(partition: Partition, vp: number, message: Uint8Array): void {
    const fd = this.#machine.fdOfVp(partition, vp);
    bytesArgument('message', message);
    if (message.length > largestMessage) {
      throw rangeError('message', `at most ${largestMessage} bytes`, message.length);
    }
    this.#machine.checked(
      'queue a message',
      this.#machine.native.simQueueMessage(fd(), vp, message),
    );
  }

  /**
   * The guest reads memory by physical address, which sets the pages' accessed bits. Where a VP has enabled a page of its
   * SynIC, it reads that: message slots begin at the value of SIMP, 256 bytes for each SINT, event flags at that of SIEFP.
   *
   * @throws MshvError `ENXIO` where no memory is mapped, `EACCES` where the guest may not read: the driver has
   *   not paged it in yet, or the host has unmapped it
   *
   * @example
   * ```ts
   * memory.write(0x1000, Uint8Array.of(7));
   * try {
   *   simulator.readMemory(partition, 0x1000, 1); // no VP has accessed it
   * } catch (error) {
   *   console.log(error instanceof Error && 'code' in error && error.code); // EACCES
   * }
   * ```
   */
  readMemory(partition: Partition, gpa: bigint | number, length: number): Uint8Array {
    const fd = this.#machine.fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    const bytes = new Uint8Array(integerArgument('length', length, 0, largestTransfer));
    this.#machine.access('read', fd, address, bytes);
    return bytes;
  }

  /**
   * The guest writes memory, or pages of a SynIC as `readMemory` reads them, which sets the accessed and dirty bits of
   * memory. All is written or nothing.
   *
   * @throws MshvError like `readMemory`, and `EACCES` where the memory was not mapped writable
   */
  writeMemory(partition: Partition, gpa: bigint | number, bytes: Uint8Array): void {
    const fd = this.#machine.fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    bytesArgument('bytes', bytes);
    this.#machine.access('write', fd, address, bytes);
  }

  /**
   * The guest writes where no memory is; no VP has to run for it. Returns how many doorbells rang: with 0 a
   * guest's VP would have exited.
   *
   * @param size - 1, 2, 4 or 8 bytes
   * @param value - as many bits as `size` has
   *
   * @example
   * ```ts
   * using doorbell = partition.registerDoorbell({ gpa: 0xfe000000, size: 4 });
   * console.log(simulator.writeMmio(partition, 0xfe000000, 4, 1)); // 1
   * ```
   */
  writeMmio(
    partition: Partition,
    gpa: bigint | number,
    size: AccessSize,
    value: bigint | number,
  ): number {
    const fd = this.#machine.fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    const bits = 8n * sizeArgument(size);
    const written = uint64Argument('value', value, 0n, (1n << bits) - 1n);
    return this.#machine.checked(
      'write MMIO',
      this.#machine.native.simWriteMmio(fd, address, size, written),
    );
  }

  /**
   * How often an ioctl was issued so far on this simulator's descriptors, failed calls included.
   *
   * @example
   * ```ts
   * console.log(simulator.calls('MSHV_CREATE_PARTITION')); // 1
   * ```
   */
  calls(ioctl: SimulatedIoctl): number {
    this.#machine.usable();
    return this.#machine.checked(
      'count calls',
      Number(this.#machine.native.simCalls(this.#machine.id, requestArgument('ioctl', ioctl))),
    );
  }

  /** Returns once every signal sent before has been processed. Nothing else here needs it first. */
  settle(): void {
    this.#machine.usable();
    this.#machine.checked('settle', this.#machine.native.simSettle(this.#machine.id));
  }

  /**
   * The MSI routing table that the driver has, ascending by GSI.
   *
   * @example
   * ```ts
   * console.log(simulator.routes(partition).length); // 1
   * ```
   */
  routes(partition: Partition): DriverRoute[] {
    return this.#machine.list(partition, driverLists.routes);
  }

  /** The irqfds that the driver has, ascending by GSI. */
  irqFds(partition: Partition): DriverIrqFd[] {
    return this.#machine.list(partition, driverLists.irqFds);
  }

  /** The doorbells that the driver has, in the order they were registered. */
  doorbells(partition: Partition): DriverDoorbell[] {
    return this.#machine.list(partition, driverLists.doorbells);
  }

  /** The mappings of guest memory that the driver has, ascending by address. */
  memory(partition: Partition): DriverMemory[] {
    return this.#machine.list(partition, driverLists.memory);
  }

  /** The intercepts that are installed, in the order they were. */
  intercepts(partition: Partition): InstalledIntercept[] {
    return this.#machine.list(partition, driverLists.intercepts);
  }

  /** The intercept results that are registered, in the order they were. */
  interceptResults(partition: Partition): RegisteredResult[] {
    return this.#machine.list(partition, driverLists.interceptResults);
  }

  /**
   * What would have crashed the real host by now; undefined where nothing did. From then on every ioctl
   * is `EIO` and no interrupt comes.
   *
   * With the root scheduler and fast injection, a signal for a physical destination without a VP does it
   * (`mshv_try_assert_irq_fast`). `IrqFdRoute.setMsi` refuses such an MSI.
   */
  get oops(): string | undefined {
    return this.#machine.oops;
  }

  /**
   * Takes back what `failNext` has left, closes the devices that `open()` gave, last opened first, then ends the
   * simulated machine: on descriptors that are open still, opened by another Worker say, every ioctl is `EIO`.
   * Harmless where closed already.
   */
  close(): void {
    if (this.closed) {
      return;
    }
    const crashed = this.oops !== undefined;
    for (const ioctl of Object.keys(ioctls) as SimulatedIoctl[]) {
      this.failNext(ioctl, 'EIO', { count: 0 });
    }
    this.#machine.close();
    try {
      for (const device of this.#devices.reverse()) {
        closeDevice(device, crashed);
      }
    } finally {
      this.#machine.native.simDestroy(this.#machine.id);
    }
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { path, closed } = this;
    const devices = this.#devices.filter((device) => !device.closed).length;
    return inspected('Simulator', { path, devices, closed }, depth, options);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** On a crashed host nothing closes cleanly, which is no news. */
function closeDevice(device: Mshv, crashed: boolean): void {
  try {
    device.close();
  } catch (error) {
    if (!crashed) {
      throw error;
    }
  }
}
