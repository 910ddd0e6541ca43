import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import { vpArgument } from '../abi/arguments.js';
import { hvStatusCodes, type HvStatusName } from '../abi/hv-status.js';
import { hypercalls, type HypercallName } from '../abi/hypercalls.js';
import { irqfdFlags } from '../abi/irqfd.js';
import { ioctls } from '../abi/ioctls.js';
import { limits } from '../abi/limits.js';
import {
  bytesArgument,
  choiceArgument,
  instanceArgument,
  integerArgument,
  rangeError,
  uint64Argument,
} from '../arguments.js';
import {
  boolean,
  choice,
  defaulting,
  integer,
  optionalSignal,
  takeOptions,
  uint32,
  type OptionTable,
} from '../options.js';
import { Mshv } from '../device/mshv.js';
import { Partition, type DriverGeneration } from '../device/partition.js';
import { closedError, MshvError, systemError } from '../errors.js';
import { EventFd, eventFdNumber } from '../eventfd.js';
import { inspected } from '../inspection.js';
import { simNative, type Native, type SimNative } from '../native.js';
import { TakingIterator } from '../taking-iterator.js';
import {
  decodeDoorbell,
  decodeIntercept,
  decodeMemory,
  decodeResult,
  doorbellWords,
  interceptWords,
  memoryWords,
  resultWords,
  type DriverDoorbell,
  type DriverMemory,
  type InstalledIntercept,
  type RegisteredResult,
} from './driver-state.js';
import {
  decodeInterrupt,
  decodeLost,
  interruptWords,
  type GuestInterrupt,
} from './guest-interrupt.js';
import { ScriptedGuest, sizeArgument, type AccessSize } from './scripted-guest.js';

/** The driver's `hv_scheduler_type` for each kind of scheduler that makes a difference to it. */
const schedulers = { hypervisor: 3, root: 4 } as const;

export interface SimulatorOptions {
  /** Who schedules VPs: the hypervisor, or the root partition's kernel. Default `'hypervisor'`. */
  scheduler?: keyof typeof schedulers;
  /**
   * The hypervisor takes vectors from the VP's register page. The driver uses it with the root
   * scheduler, on x64, for physical destinations. Default false.
   */
  fastInjection?: boolean;
  /** `'v1'`: a driver that refuses the flag for feature banks, as older ones do. Default `'v2'`. */
  driver?: DriverGeneration;
  /**
   * The hypervisor shows registers on the VPs' register pages and takes what is marked dirty there.
   * Without it the pages never become valid: registers go by hypercall. Default true.
   */
  registerPage?: boolean;
  /**
   * What the driver does where the hypervisor lacks memory for a passed-through hypercall:
   * `'continue'` deposits and goes on by itself, `'again'` deposits and returns `EAGAIN`, as older ones
   * do. Default `'continue'`.
   */
  deposits?: 'continue' | 'again';
}

/** What the addon is told, in its terms. */
const simulatorOptions = {
  scheduler: defaulting(choice(schedulers), schedulers.hypervisor),
  fastInjection: boolean(false),
  driver: defaulting(choice({ v1: true, v2: false }), false),
  registerPage: boolean(true),
  deposits: defaulting(choice({ continue: true, again: false }), true),
} satisfies OptionTable<SimulatorOptions>;

const simulatedIoctls = [
  'MSHV_CREATE_PARTITION',
  'MSHV_INITIALIZE_PARTITION',
  'MSHV_CREATE_VP',
  'MSHV_SET_GUEST_MEMORY',
  'MSHV_IRQFD',
  'MSHV_IOEVENTFD',
  'MSHV_SET_MSI_ROUTING',
  'MSHV_GET_GPAP_ACCESS_BITMAP',
  'MSHV_ROOT_HVCALL',
  'MSHV_RUN_VP',
  'MSHV_GET_VP_STATE',
  'MSHV_SET_VP_STATE',
] as const;

/** The driver's requests. */
export type SimulatedIoctl = (typeof simulatedIoctls)[number];

export interface FailNextOptions {
  /** How many calls pass first. Default 0. */
  after?: number;
  /** How many fail then. 0 only takes back an earlier plan. Default 1. */
  count?: number;
}

/** What the driver did at an end of interrupt. */
export interface EndOfInterrupt {
  /** How many resample eventfds it signalled. */
  readonly resampled: number;
  /** For how many of them it cleared the virtual interrupt first: those with an ExtINT route. */
  readonly cleared: number;
}

/** One entry of the driver's MSI routing table. */
export interface DriverRoute {
  readonly gsi: number;
  readonly address: bigint;
  readonly data: number;
}

export interface RefuseOptions {
  /** A hypercall that the driver passes through, by its name, or the code of any that it makes. */
  hypercall: HypercallName | number;
  /** What it is refused with: the name, or the code, 1 to 65535. */
  status: HvStatusName | number;
  /** How many calls pass first. Default 0. */
  after?: number;
  /** How many are refused then. 0 only takes back an earlier plan. Default 1. */
  count?: number;
  /** How many reps of a rep call are completed before it is refused. Default 0. */
  reps?: number;
}

/** One irqfd that the driver has. */
export interface DriverIrqFd {
  readonly gsi: number;
  readonly resample: boolean;
}

const largestUint16 = 0xffff;
const largestMessage = 256;
/** The driver's `reps` has 16 bits, the hypervisor's 12. */
const largestReps = 4095;
/** What one guest access may transfer, so that nobody waits for one for long. */
const largestTransfer = 1 << 30;
const largestErrno = 4095;

const failNextOptions = {
  after: defaulting(uint32, 0),
  count: defaulting(uint32, 1),
} satisfies OptionTable<FailNextOptions>;

const refuseOptions = {
  hypercall: hypercallArgument,
  status: statusArgument,
  ...failNextOptions,
  reps: defaulting(integer(0, largestReps), 0),
} satisfies OptionTable<RefuseOptions>;

const watchOptions = { signal: optionalSignal } satisfies OptionTable<{ signal?: AbortSignal }>;

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
 */
export class Simulator implements Disposable {
  readonly #native: SimNative;
  readonly #id: number;
  #closed = false;
  #devices: Mshv[] = [];
  /** How many interrupts nobody can get any more, where nobody has been told. */
  readonly #lost = new WeakMap<Partition, number>();

  constructor(options: SimulatorOptions = {}) {
    const checked = takeOptions('options', options, simulatorOptions);
    this.#native = simNative();
    this.#id = this.#native.simCreate(
      checked.scheduler,
      checked.fastInjection,
      checked.driver,
      checked.registerPage,
      checked.deposits,
    );
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
    return `sim:${this.#id}`;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Opens the device. It is closed with the simulator. */
  open(): Mshv {
    this.#usable();
    const device = Mshv.open({ path: this.path, native: this.#native });
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
   */
  interrupts(partition: Partition): GuestInterrupt[] {
    const taken: GuestInterrupt[] = [];
    const words = new BigUint64Array(256 * interruptWords);
    let some;
    do {
      some = this.#takeInterrupts(partition, words);
      taken.push(...some);
    } while (some.length * interruptWords === words.length);
    if (taken.length === 0) {
      this.#refuseLost(partition);
    }
    return taken;
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
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<GuestInterrupt, void, undefined> {
    this.#fdOf(partition);
    const { signal } = takeOptions('options', options, watchOptions);
    const isGone = (): boolean => this.#closed || partition.closed;
    const word = new BigUint64Array(interruptWords);
    let recorded: EventFd | undefined;
    return new TakingIterator({
      take: async (left) => {
        try {
          while (!isGone()) {
            // Listened for before it is looked whether there is one.
            recorded ??= this.#listen(partition);
            const [interrupt] = this.#takeInterrupts(partition, word);
            if (interrupt !== undefined) {
              return interrupt;
            }
            this.#refuseLost(partition);
            await recorded.wait({ signal: left });
          }
        } catch (error) {
          if (!isGone() || left.aborted) {
            throw error;
          }
        }
        return undefined;
      },
      end: () => recorded?.close(),
      signal,
    });
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
    const fd = this.#fdOf(partition);
    vp = vpArgument('vp', vp);
    vector = integerArgument('vector', vector, 0, 255);
    const result = this.#native.simEndOfInterrupt(fd, vp, vector);
    if (result === -constants.errno.EINVAL) {
      throw rangeError('vp', 'a VP that the partition has', vp);
    }
    this.#checked('end an interrupt', result);
    return { resampled: result & 0xffff, cleared: result >>> 16 };
  }

  /**
   * Makes calls of an ioctl fail before they have any effect: `after` calls pass, then `count` fail.
   * Replaces what an earlier plan for the same ioctl has left.
   *
   * @param ioctl - its name, such as `'MSHV_IRQFD'`
   * @param error - what it fails with: `'ENOMEM'` or the positive number
   */
  failNext(ioctl: SimulatedIoctl, error: string | number, options: FailNextOptions = {}): void {
    this.#usable();
    const request = requestArgument(ioctl);
    const errno = errnoArgument(error);
    const { after, count } = takeOptions('options', options, failNextOptions);
    this.#checked(
      'plan a failure',
      this.#native.simFailNext(this.#id, request, errno, after, count),
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
    this.#usable();
    const { hypercall, status, after, count, reps } = takeOptions(
      'options',
      options,
      refuseOptions,
    );
    this.#checked(
      'plan a refusal',
      this.#native.simRefuse(this.#id, hypercall, status, after, count, reps),
    );
  }

  /**
   * The guest of a VP, to tell it what to do. Where there are several for one VP, each queues behind
   * the others. At most 65 536 steps of a VP wait to be done, messages included: one more is `ENOBUFS`.
   *
   * @param vp - an existing VP
   */
  guest(partition: Partition, vp: number): ScriptedGuest {
    const fd = this.#fdOfVp(partition, vp);
    return new ScriptedGuest(
      (steps) => {
        this.#usable();
        this.#checked('queue steps of the guest', this.#native.simGuestSteps(fd(), vp, steps));
      },
      () => this.#checked('count the steps of the guest', this.#native.simPendingSteps(fd(), vp)),
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
    const fd = this.#fdOfVp(partition, vp);
    bytesArgument('message', message);
    if (message.length > largestMessage) {
      throw rangeError('message', `at most ${largestMessage} bytes`, message.length);
    }
    this.#checked('queue a message', this.#native.simQueueMessage(fd(), vp, message));
  }

  /**
   * The guest reads memory by physical address, which sets the pages' accessed bits. Where a VP has enabled a page of its
   * SynIC, it reads that: message slots begin at the value of SIMP, 256 bytes for each SINT, event flags at that of SIEFP.
   *
   * @throws MshvError `ENXIO` where no memory is mapped, `EACCES` where the guest may not read: the driver has
   *   not paged it in yet, or the host has unmapped it
   */
  readMemory(partition: Partition, gpa: bigint | number, length: number): Uint8Array {
    const fd = this.#fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    const bytes = new Uint8Array(integerArgument('length', length, 0, largestTransfer));
    this.#access('read', address, this.#native.simGuestAccess(fd, address, bytes, false));
    return bytes;
  }

  /**
   * The guest writes memory, or pages of a SynIC as `readMemory` reads them, which sets the accessed and dirty bits of
   * memory. All is written or nothing.
   *
   * @throws MshvError like `readMemory`, and `EACCES` where the memory was not mapped writable
   */
  writeMemory(partition: Partition, gpa: bigint | number, bytes: Uint8Array): void {
    const fd = this.#fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    bytesArgument('bytes', bytes);
    this.#access('write', address, this.#native.simGuestAccess(fd, address, bytes, true));
  }

  /**
   * The guest writes where no memory is; no VP has to run for it. Returns how many doorbells rang: with 0 a
   * guest's VP would have exited.
   *
   * @param size - 1, 2, 4 or 8 bytes
   * @param value - as many bits as `size` has
   */
  writeMmio(
    partition: Partition,
    gpa: bigint | number,
    size: AccessSize,
    value: bigint | number,
  ): number {
    const fd = this.#fdOf(partition);
    const address = uint64Argument('gpa', gpa);
    const bits = 8n * sizeArgument(size);
    const written = uint64Argument('value', value, 0n, (1n << bits) - 1n);
    return this.#checked('write MMIO', this.#native.simWriteMmio(fd, address, size, written));
  }

  /** How often an ioctl was issued so far on this simulator's descriptors, failed calls included. */
  calls(ioctl: SimulatedIoctl): number {
    this.#usable();
    return this.#checked(
      'count calls',
      Number(this.#native.simCalls(this.#id, requestArgument(ioctl))),
    );
  }

  /** Returns once every signal sent before has been processed. Nothing else here needs it first. */
  settle(): void {
    this.#usable();
    this.#checked('settle', this.#native.simSettle(this.#id));
  }

  /** The MSI routing table that the driver has, ascending by GSI. */
  routes(partition: Partition): DriverRoute[] {
    const words = new Uint32Array(4 * limits.MSHV_MAX_GUEST_IRQS);
    const count = this.#checked(
      'read the routing table',
      this.#native.simRoutes(this.#fdOf(partition), words),
    );
    return Array.from({ length: count }, (_, i) => ({
      gsi: words[4 * i] ?? 0,
      address: BigInt(words[4 * i + 1] ?? 0),
      data: words[4 * i + 3] ?? 0,
    }));
  }

  /** The irqfds that the driver has, ascending by GSI. */
  irqFds(partition: Partition): DriverIrqFd[] {
    const fd = this.#fdOf(partition);
    // A GSI may have any number of irqfds: ask how many first.
    const read = (words: Uint32Array): number =>
      this.#checked('read the irqfds', this.#native.simIrqFds(fd, words));
    const words = new Uint32Array(2 * read(new Uint32Array(0)));
    read(words);
    return Array.from({ length: words.length / 2 }, (_, i) => ({
      gsi: words[2 * i] ?? 0,
      resample: ((words[2 * i + 1] ?? 0) & irqfdFlags.RESAMPLE) !== 0,
    }));
  }

  /** The doorbells that the driver has, in the order they were registered. */
  doorbells(partition: Partition): DriverDoorbell[] {
    return this.#list(partition, 'simDoorbells', doorbellWords, decodeDoorbell);
  }

  /** The mappings of guest memory that the driver has, ascending by address. */
  memory(partition: Partition): DriverMemory[] {
    return this.#list(partition, 'simMemory', memoryWords, decodeMemory);
  }

  /** The intercepts that are installed, in the order they were. */
  intercepts(partition: Partition): InstalledIntercept[] {
    return this.#list(partition, 'simIntercepts', interceptWords, decodeIntercept);
  }

  /** The intercept results that are registered, in the order they were. */
  interceptResults(partition: Partition): RegisteredResult[] {
    return this.#list(partition, 'simInterceptResults', resultWords, decodeResult);
  }

  /**
   * What would have crashed the real host by now; undefined where nothing did. From then on every ioctl
   * is `EIO` and no interrupt comes.
   *
   * With the root scheduler and fast injection, a signal for a physical destination without a VP does it
   * (`mshv_try_assert_irq_fast`). `IrqFdRoute.setMsi` refuses such an MSI.
   */
  get oops(): string | undefined {
    this.#usable();
    const text = this.#native.simOops(this.#id);
    return text === '' ? undefined : text;
  }

  /**
   * Takes back what `failNext` has left, closes the devices that `open()` gave, last opened first, then ends the
   * simulated machine: on descriptors that are open still, opened by another Worker say, every ioctl is `EIO`.
   * Harmless where closed already.
   */
  close(): void {
    if (this.#closed) {
      return;
    }
    const crashed = this.oops !== undefined;
    for (const ioctl of simulatedIoctls) {
      this.failNext(ioctl, 'EIO', { count: 0 });
    }
    this.#closed = true;
    try {
      for (const device of this.#devices.reverse()) {
        closeDevice(device, crashed);
      }
    } finally {
      this.#native.simDestroy(this.#id);
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

  /** Takes as many interrupts as `words` has room for, oldest first: none where older ones were dropped, which is told next. */
  #takeInterrupts(partition: Partition, words: BigUint64Array): GuestInterrupt[] {
    const fd = this.#fdOf(partition);
    this.#refuseLost(partition);
    const count = this.#checked('take interrupts', this.#native.simInterrupts(fd, words));
    const lost = count === 0 ? undefined : decodeLost(words);
    if (lost !== undefined) {
      this.#lost.set(partition, lost);
      return [];
    }
    return Array.from({ length: count }, (_, i) => decodeInterrupt(words, i * interruptWords));
  }

  /** An eventfd that is signalled for each interrupt and for the end. */
  #listen(partition: Partition): EventFd {
    const recorded = EventFd.create({ native: this.#native });
    try {
      this.#checked(
        'listen for interrupts',
        this.#native.simListen(this.#fdOf(partition), eventFdNumber(recorded)),
      );
    } catch (error) {
      recorded.close();
      throw error;
    }
    return recorded;
  }

  #refuseLost(partition: Partition): void {
    const lost = this.#lost.get(partition);
    if (lost !== undefined) {
      this.#lost.delete(partition);
      throw new MshvError(
        `${lost} interrupts were dropped, the oldest: take them more often, or none of them`,
        { code: 'ERR_MSHV_INTERRUPTS_LOST', lost },
      );
    }
  }

  #usable(): void {
    if (this.#closed) {
      throw closedError('Simulator');
    }
  }

  /** The descriptor of a partition of this simulator. */
  #fdOf(partition: Partition): number {
    this.#usable();
    instanceArgument('partition', partition, Partition);
    const { fd } = partition;
    if (this.#native.simOf(fd) !== this.#id) {
      throw rangeError('partition', 'a partition of this simulator', partition);
    }
    return fd;
  }

  /** The descriptor of a partition, asked for again at each use, that has the VP. */
  #fdOfVp(partition: Partition, vp: number): () => number {
    const fd = this.#fdOf(partition);
    vp = vpArgument('vp', vp);
    if (this.#native.simPendingSteps(fd, vp) === -constants.errno.EINVAL) {
      throw rangeError('vp', 'a VP that the partition has', vp);
    }
    return () => this.#fdOf(partition);
  }

  /** Reads a list of which nobody knows how long it is. */
  #list<Value>(
    partition: Partition,
    list: 'simDoorbells' | 'simMemory' | 'simIntercepts' | 'simInterceptResults',
    words: number,
    decode: (words: BigUint64Array, at: number) => Value,
  ): Value[] {
    const fd = this.#fdOf(partition);
    const read = (out: BigUint64Array): number =>
      this.#checked('look at the partition', this.#native[list](fd, out));
    const count = read(new BigUint64Array(0));
    const found = new BigUint64Array(count * words);
    read(found);
    return Array.from({ length: count }, (_, i) => decode(found, i * words));
  }

  #access(what: 'read' | 'write', gpa: bigint, result: number): void {
    const reasons = new Map([
      [-constants.errno.ENXIO, 'no memory is mapped there'],
      [-constants.errno.EACCES, `the guest may not ${what} there, or not until it is paged in`],
    ]);
    if (result < 0) {
      const attempt = `${what} guest memory at 0x${gpa.toString(16)}`;
      throw systemError(
        attempt,
        result,
        { syscall: 'simulator' },
        reasons.get(result) ?? this.oops,
      );
    }
  }

  #checked(attempt: string, result: number): number {
    if (result < 0) {
      throw systemError(attempt, result, { syscall: 'simulator' }, this.oops);
    }
    return result;
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

function requestArgument(ioctl: SimulatedIoctl): number {
  return ioctls[choiceArgument('ioctl', ioctl, simulatedIoctls)];
}

function hypercallArgument(name: string, hypercall: HypercallName | number): number {
  if (typeof hypercall === 'number') {
    return integerArgument(name, hypercall, 0, largestUint16);
  }
  const names = Object.keys(hypercalls) as HypercallName[];
  return hypercalls[choiceArgument(name, hypercall, names)].code;
}

function statusArgument(name: string, status: HvStatusName | number): number {
  if (typeof status === 'number') {
    return integerArgument(name, status, 1, largestUint16);
  }
  const names = Object.keys(hvStatusCodes) as HvStatusName[];
  const refusals = names.filter((status) => hvStatusCodes[status] !== 0);
  return hvStatusCodes[choiceArgument(name, status, refusals)];
}

function errnoArgument(error: string | number): number {
  if (typeof error !== 'string') {
    return integerArgument('error', error, 1, largestErrno);
  }
  const errno = new Map(Object.entries(constants.errno)).get(error);
  if (errno === undefined) {
    throw rangeError('error', "the name of an errno, such as 'ENOMEM'", `'${error}'`);
  }
  return errno;
}
