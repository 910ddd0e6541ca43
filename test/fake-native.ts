import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';

import { architectures, type Architecture } from '../lib/abi/architecture.js';
import { hvStatusErrno } from '../lib/abi/hv-status.js';
import {
  hypercallName,
  hypercallPageSize,
  hypercalls,
  type HypercallLayout,
} from '../lib/abi/hypercalls.js';
import { ioctls } from '../lib/abi/ioctls.js';
import { ioeventfdFlags } from '../lib/abi/ioeventfd.js';
import { irqfdFlags } from '../lib/abi/irqfd.js';
import { limits } from '../lib/abi/limits.js';
import { memoryFlags } from '../lib/abi/memory.js';
import { decodeMsi } from '../lib/abi/msi.js';
import { msiRoutingWords } from '../lib/abi/msi-routing.js';
import { descriptorKinds, linuxNative, type Native } from '../lib/native.js';
import { FakeDoorbells } from './fake-doorbells.js';
import { FakeGuestMemory } from './fake-guest-memory.js';
import { FakeVps } from './fake-vps.js';

/** The functions of the addon that end in no system call, or in none whose failure is to be tried. */
type InfallibleCall =
  | 'failedStep'
  | 'architecture'
  | 'fastInjection'
  | 'close'
  | 'release'
  | 'memoryRead'
  | 'memoryWrite'
  | 'memorySetBits'
  | 'memoryTakeBits'
  | 'memoryDetach'
  | 'memoryUnmap'
  | 'vpUseBlock'
  | 'vpLastRun'
  | 'vpHoldLoop'
  | 'unwatch'
  | 'holdLoop';

/** All others: what each can fail with is in test/unit/faults/errnos.ts. */
export type FallibleCall = Exclude<keyof Native, InfallibleCall>;

/** A hypercall as the fake hypervisor gets it. */
export interface FakeHypercall {
  readonly fd: number;
  readonly code: number;
  readonly reps: number;
  readonly input: Uint8Array;
  /** To be filled; the caller gets it where the call succeeds. */
  readonly output: Uint8Array;
}

/** What becomes of a hypercall. Default: success, with all reps done. */
export interface FakeAnswer {
  /** Default 0. */
  status?: number;
  /** How many reps were done. Default: all of a call that succeeds, none of one that fails. */
  reps?: number;
  /** What the driver returns. Default: what the status means. */
  errno?: number;
}

export interface RecordedCall {
  readonly name: FallibleCall;
  /** Typed arrays as they were at the time. */
  readonly args: readonly unknown[];
  readonly result: number | bigint | ArrayBuffer;
}

/** A hypercall that the hypervisor refuses: what the driver makes of it, and the HV status. */
export interface FakeRefusal {
  readonly errno: number;
  readonly status: number;
}

/** Decides whether a call fails: a positive errno, or undefined where the call is to be made. */
export type Fault = (name: FallibleCall, index: number) => number | FakeRefusal | undefined;

/** Fails the calls with these indices. */
export function failAt(errno: number, ...indices: readonly number[]): Fault {
  return (_, index) => (indices.includes(index) ? errno : undefined);
}

/** Of the functions that take other steps beside their ioctl. */
const ioctlsOf = new Map<FallibleCall, number>([
  ['vpRun', ioctls.MSHV_RUN_VP],
  ['vpGetState', ioctls.MSHV_GET_VP_STATE],
  ['vpSetState', ioctls.MSHV_SET_VP_STATE],
]);

interface Armed {
  readonly counter: string;
  readonly resample: boolean;
}

/** What the fake driver has of one partition. */
export interface FakePartition {
  readonly flags: bigint;
  readonly features: readonly bigint[] | undefined;
  initialized: boolean;
  readonly vps: Set<number>;
  /** By GSI. */
  armed: Map<number, Armed>;
  /** By GSI. */
  routes: Map<number, { address: bigint; data: number }>;
  readonly memory: FakeGuestMemory;
  readonly doorbells: FakeDoorbells;
}

/**
 * The addon with real eventfds and a driver that keeps books instead of injecting. Descriptors of the
 * device, partitions and VPs are eventfds too, so that whoever forgets to close one is found in
 * /proc/self/fd.
 *
 * Every call that can fail is recorded and can be made to fail before it has any effect. What this
 * library promises never to do to the driver, and what the driver would not notice, goes to
 * `violations`.
 */
export class FakeNative implements Native {
  readonly calls: RecordedCall[] = [];
  readonly violations: string[] = [];
  /** What the hypervisor and its guests run on. */
  guests: Architecture = 'x64';
  /** GSIs whose eventfd was closed under an armed irqfd. */
  readonly closedArmed: number[] = [];
  readonly partitions = new Map<number, FakePartition>();
  /** Answers hypercalls. Default: does nothing, fills nothing, and says that all went well. */
  hypervisor: (call: FakeHypercall) => FakeAnswer | undefined = () => undefined;
  /** The handles of memory that is mapped in this process. */
  readonly memories = new Set<number>();
  readonly #linux = linuxNative();
  readonly vps = new FakeVps(
    {
      eventfdCreate: (...args) => this.#forgotten(this.#linux.eventfdCreate(...args)),
      eventfdAdopt: (fd) => this.#adoptInPlace(fd),
    },
    (fd) => this.#counterOf(fd),
  );
  readonly #counters = new Map<number, string>();
  #fault: Fault = () => undefined;
  #faultsFrom = 0;
  #failedStep: string | number | undefined;

  /** Forgets the calls so far. From now on `fault` is asked, with the number of calls since. */
  record(fault: Fault = () => undefined): void {
    this.calls.length = 0;
    this.#faultsFrom = 0;
    this.#fault = fault;
  }

  /**
   * Of a planned fault the name of the function, which stands for its steps; the ioctl of one that takes others as
   * well; otherwise what failed in the kernel.
   */
  failedStep(): string | number {
    return this.#failedStep ?? this.#linux.failedStep();
  }

  count(name: FallibleCall): number {
    return this.calls.filter((call) => call.name === name).length;
  }

  /** Everything that the driver has, and this process for it, in terms that a later run has as well. */
  books(): unknown {
    const handles = [...this.memories].sort((one, other) => one - other);
    return {
      memories: handles.length,
      vps: this.vps.books(),
      partitions: [...this.partitions.values()].map((partition) => ({
        ...partition,
        vps: [...partition.vps],
        armed: sorted(partition.armed).map(([gsi, { resample }]) => [gsi, resample]),
        routes: sorted(partition.routes),
        memory: partition.memory.mappings.map((mapping) => ({
          ...mapping,
          memory: handles.indexOf(mapping.memory),
        })),
        doorbells: partition.doorbells.all.map(({ gpa, size, match }) => ({ gpa, size, match })),
      })),
    };
  }

  open(path: string): number {
    return this.#perform('open', [path], () =>
      this.#forgotten(this.#linux.eventfdCreate(0, false)),
    );
  }

  createPartition(device: number, flags: bigint, isolation: bigint): number {
    return this.#perform('createPartition', [device, flags, isolation], () =>
      this.#newPartition(flags, undefined),
    );
  }

  createPartitionV2(
    device: number,
    flags: bigint,
    isolation: bigint,
    ...features: [bigint, bigint, bigint]
  ): number {
    return this.#perform('createPartitionV2', [device, flags, isolation, ...features], () =>
      this.#newPartition(flags, features),
    );
  }

  architecture(): number {
    return architectures[this.guests];
  }

  fastInjection(): number {
    return 0;
  }

  initializePartition(partition: number): number {
    return this.#perform('initializePartition', [partition], () =>
      this.#withPartition(partition, (state) => {
        state.initialized = true;
        return 0;
      }),
    );
  }

  createVp(partition: number, index: number): number {
    return this.#perform('createVp', [partition, index], () =>
      this.#withPartition(partition, (state) => {
        if (!state.initialized) return -constants.errno.EIO;
        if (state.vps.has(index)) return -constants.errno.EEXIST;
        state.vps.add(index);
        return this.vps.create(index);
      }),
    );
  }

  irqfd(...args: [number, number, number, number, number]): number {
    const [partition, event, , gsi, flags] = args;
    return this.#perform('irqfd', args, () =>
      this.#withPartition(partition, (state) => {
        const counter = this.#counterOf(event);
        if (counter === undefined) return -constants.errno.EBADF;
        return (flags & irqfdFlags.DEASSIGN) === 0
          ? this.#arm(state, gsi, { counter, resample: (flags & irqfdFlags.RESAMPLE) !== 0 })
          : this.#disarm(state, gsi, counter);
      }),
    );
  }

  setMsiRouting(partition: number, table: Uint32Array): number {
    const entries = table[msiRoutingWords.count] ?? 0;
    const words = table.slice(0, msiRoutingWords.header + entries * msiRoutingWords.entry);
    return this.#perform('setMsiRouting', [partition, words], () =>
      this.#withPartition(partition, (state) => {
        const routes = decodeTable(words);
        if (routes === undefined) return -constants.errno.EINVAL;
        for (const gsi of state.armed.keys()) {
          const before = state.routes.get(gsi);
          const after = routes.get(gsi);
          if (before?.address !== after?.address || before?.data !== after?.data) {
            this.violations.push(`the route of GSI ${gsi} changed while it was armed`);
          }
        }
        state.routes = routes;
        return 0;
      }),
    );
  }

  ioeventfd(...args: [number, number, bigint, number, bigint, number]): number {
    const [partition, event, gpa, size, match, flags] = args;
    return this.#perform('ioeventfd', args, () =>
      this.#withPartition(partition, ({ doorbells }) => {
        const counter = this.#counterOf(event);
        if (counter === undefined) return -constants.errno.EBADF;
        const matching = (flags & ioeventfdFlags.DATAMATCH) === 0 ? undefined : match;
        return doorbells.set({ counter, gpa, size, match: matching }, flags);
      }),
    );
  }

  mapMemory(...args: [number, number, bigint, bigint, bigint, number]): number {
    const [partition, memory, offset, size, gpa, flags] = args;
    return this.#perform('mapMemory', args, () =>
      this.#withPartition(partition, (state) => {
        if (!this.memories.has(memory)) return -constants.errno.EBADF;
        return state.memory.set({ memory, offset, size, gpa, flags });
      }),
    );
  }

  accessBitmap(...args: [number, number, number, bigint, number, BigUint64Array]): number {
    const [partition, , , firstPage, pages] = args;
    return this.#perform('accessBitmap', args, () =>
      this.#withPartition(partition, ({ memory }) =>
        memory.has(firstPage, pages) ? 0 : -constants.errno.EINVAL,
      ),
    );
  }

  hypercall(
    fd: number,
    code: number,
    reps: number,
    input: Uint8Array,
    output: Uint8Array,
    result: Uint32Array,
  ): number {
    const args = [fd, code, reps, input.slice(), output.length];
    const refuse = (status: number): void => {
      result.set([status, 0]);
    };
    const perform = (): number => {
      const name = hypercallName(code);
      const layout: HypercallLayout | undefined = name && hypercalls[name];
      if (layout === undefined || output.length > hypercallPageSize) {
        return -constants.errno.EINVAL;
      }
      if (
        input.length < layout.input + reps * layout.repInput ||
        input.length > hypercallPageSize
      ) {
        this.violations.push(`${input.length} bytes of input for ${reps} reps of ${String(name)}`);
      }
      const filled = new Uint8Array(output.length);
      const answer = this.hypervisor({ fd, code, reps, input: input.slice(), output: filled });
      const { status = 0 } = answer ?? {};
      const errno = answer?.errno ?? constants.errno[hvStatusErrno(status) || 'EAGAIN'];
      const failed = answer?.errno !== undefined || status !== 0;
      const done = answer?.reps ?? (failed ? 0 : reps);
      result.set([status, done]);
      if (!failed) output.set(filled);
      return failed ? -errno : 0;
    };
    return this.#perform('hypercall', args, perform, refuse);
  }

  memoryCreate(...args: [bigint, boolean, boolean]): number {
    return this.#perform('memoryCreate', args, () =>
      this.#remember(this.#linux.memoryCreate(...args)),
    );
  }

  memoryFromFd(...args: [number, bigint, bigint]): number {
    return this.#perform('memoryFromFd', args, () =>
      this.#remember(this.#linux.memoryFromFd(...args)),
    );
  }

  memoryFd(memory: number): number {
    return this.#perform('memoryFd', [memory], () => this.#linux.memoryFd(memory));
  }

  memoryBuffer(memory: number): ArrayBuffer | number {
    return this.#perform('memoryBuffer', [memory], () => this.#linux.memoryBuffer(memory));
  }

  memoryRead(memory: number, offset: bigint, bytes: Uint8Array): number {
    return this.#linux.memoryRead(memory, offset, bytes);
  }

  memoryWrite(memory: number, offset: bigint, bytes: Uint8Array): number {
    return this.#linux.memoryWrite(memory, offset, bytes);
  }

  memorySetBits(memory: number, offset: bigint, bits: number): bigint | number {
    return this.#linux.memorySetBits(memory, offset, bits);
  }

  memoryTakeBits(memory: number, offset: bigint, bits: number): bigint | number {
    return this.#linux.memoryTakeBits(memory, offset, bits);
  }

  memoryDetach(memory: number): number {
    return this.#linux.memoryDetach(memory);
  }

  memoryUnmap(memory: number): number {
    this.memories.delete(memory);
    for (const partition of this.partitions.values()) {
      if (partition.memory.mappings.some((mapping) => mapping.memory === memory)) {
        this.violations.push(`memory ${memory} was unmapped under its guest`);
      }
    }
    return this.#linux.memoryUnmap(memory);
  }

  share(descriptors: Int32Array, token: Int32Array): number {
    return this.#perform('share', [[...descriptors]], () => {
      const result = this.#linux.share(descriptors, token);
      // The numbers may have meant other counters before.
      if (result === 0) token.subarray(2).forEach((fd) => this.#counters.delete(fd));
      return result;
    });
  }

  receive(token: Int32Array, kinds: Uint32Array): number {
    return this.#perform('receive', [[...kinds]], () => {
      if (Atomics.exchange(token, 0, 1) !== 0) return -constants.errno.EALREADY;
      const [vp = -1, arbiter = -1] = token.subarray(2);
      token.subarray(2).forEach((fd) => this.vps.adopt(fd));
      if (kinds[0] === descriptorKinds.vp) this.vps.attach(vp, arbiter);
      return 0;
    });
  }

  receiveMemory(...args: [Int32Array, bigint, bigint]): number {
    return this.#perform('receiveMemory', args.slice(1), () =>
      this.#remember(this.#linux.receiveMemory(...args)),
    );
  }

  receiveEventfd(token: Int32Array): number {
    return this.#perform('receiveEventfd', [], () =>
      this.#forgotten(this.#linux.receiveEventfd(token)),
    );
  }

  vpAttach(vp: number, arbiter: number, comesAgain?: Uint32Array): number {
    return this.#perform('vpAttach', [vp, arbiter, comesAgain], () => this.vps.attach(vp, arbiter));
  }

  vpUseBlock(vp: number, block: Uint8Array): number {
    return this.vps.useBlock(vp, block);
  }

  vpRun(vp: number): number {
    return this.#perform('vpRun', [vp], () => this.vps.run(vp));
  }

  vpCancel(vp: number): number {
    return this.#perform('vpCancel', [vp], () => this.vps.cancel(vp));
  }

  vpLastRun(vp: number): number {
    return this.vps.lastRun(vp);
  }

  vpStart(vp: number, onExit: (result: number) => void): number {
    return this.#perform('vpStart', [vp], () => this.vps.start(vp, onExit));
  }

  vpResume(vp: number): number {
    return this.#perform('vpResume', [vp], () => this.vps.resume(vp));
  }

  vpStop(vp: number): number {
    const stop = (): number => this.vps.stop(vp);
    // A VP that waits for its handler's answer needs no interrupting.
    return this.vps.isInside(vp) ? this.#perform('vpStop', [vp], stop) : stop();
  }

  vpHoldLoop(vp: number, hold: boolean): number {
    return this.vps.holdLoop(vp, hold);
  }

  vpPage(vp: number, page: number): ArrayBuffer | number {
    return this.#perform('vpPage', [vp, page], () => this.vps.page(vp, page));
  }

  vpReadRegisterPage(vp: number, page: Uint8Array, clear: number): number {
    return this.#perform('vpReadRegisterPage', [vp, page.length, clear], () =>
      this.vps.readRegisterPage(vp, page, clear),
    );
  }

  vpWriteRegisterPage(
    ...args: [vp: number, places: Uint32Array, words: BigUint64Array, dirty: number]
  ): number {
    const [vp, places, words, dirty] = args;
    return this.#perform('vpWriteRegisterPage', [vp, places.slice(), words.slice(), dirty], () =>
      this.vps.writeRegisterPage(...args),
    );
  }

  vpCompleteExit(...args: [vp: number, run: number, count: number, dirty: number]): number {
    return this.#perform('vpCompleteExit', args, () => this.vps.completeExit(...args));
  }

  vpGetState(vp: number, type: number, state: Uint8Array): number {
    return this.#perform('vpGetState', [vp, type, state.length], () =>
      this.vps.state(vp, type, state, false),
    );
  }

  vpSetState(vp: number, type: number, state: Uint8Array): number {
    return this.#perform('vpSetState', [vp, type, state.slice()], () =>
      this.vps.state(vp, type, state, true),
    );
  }

  eventfdCreate(initial: number, semaphore: boolean): number {
    return this.#perform('eventfdCreate', [initial, semaphore], () =>
      this.#forgotten(this.#linux.eventfdCreate(initial, semaphore)),
    );
  }

  dup(fd: number): number {
    return this.#perform('dup', [fd], () => this.#forgotten(this.#linux.dup(fd)));
  }

  watch(fd: number, onCount: (count: bigint) => void): number {
    return this.#perform('watch', [fd], () => this.#linux.watch(fd, onCount));
  }

  eventfdSignal(fd: number, n?: bigint): number {
    return this.#perform('eventfdSignal', [fd, n], () => this.#linux.eventfdSignal(fd, n));
  }

  /** What stands for a VP is an eventfd, and the adopted number of a VP stays what it is. */
  #adoptInPlace(fd: number): number {
    const adopted = this.#linux.eventfdAdopt(fd);
    if (adopted < 0) return adopted;
    const others = [adopted];
    let copy = this.#linux.dup(adopted);
    // The number is free, so that one of the next is this one.
    for (; copy >= 0 && copy !== fd; copy = this.#linux.dup(adopted)) others.push(copy);
    for (const other of others) this.#linux.close(other);
    return this.#forgotten(copy);
  }

  eventfdSignalBounded(fd: number, n?: bigint): number {
    return this.#perform('eventfdSignalBounded', [fd, n], () =>
      this.#linux.eventfdSignalBounded(fd, n),
    );
  }

  eventfdShow(fd: number): number {
    return this.#perform('eventfdShow', [fd], () => this.#forgotten(this.#linux.eventfdShow(fd)));
  }

  eventfdRead(fd: number): bigint | number {
    // Part of arming, and nothing depends on what it returns.
    const counter = this.#counterOf(fd);
    const partitions = [...this.partitions.values()];
    if (
      partitions.some(({ armed }) => [...armed.values()].some((one) => one.counter === counter))
    ) {
      return this.#linux.eventfdRead(fd);
    }
    return this.#perform('eventfdRead', [fd], () => this.#linux.eventfdRead(fd));
  }

  eventfdPoll(fd: number): number {
    return this.#perform('eventfdPoll', [fd], () => this.#linux.eventfdPoll(fd));
  }

  eventfdAdopt(fd: number): number {
    return this.#perform('eventfdAdopt', [fd], () => this.#forgotten(this.#linux.eventfdAdopt(fd)));
  }

  close(fd: number): number {
    this.partitions.delete(fd);
    this.vps.closing(fd);
    const counter = this.#counterOf(fd);
    const result = this.#linux.close(fd);
    this.#counters.delete(fd);
    const bound = [...this.partitions.values()].flatMap(({ armed }) =>
      [...armed].filter(([, irqfd]) => irqfd.counter === counter).map(([gsi]) => ({ armed, gsi })),
    );
    this.closedArmed.push(...bound.map(({ gsi }) => gsi));
    // The end of the counter detaches its irqfds; a duplicate keeps them.
    if (
      bound.length > 0 &&
      !readdirSync('/proc/self/fd').some((other) => counterOf(other) === counter)
    ) {
      for (const { armed, gsi } of bound) armed.delete(gsi);
    }
    return result;
  }

  release(fd: number): number {
    this.#counters.delete(fd);
    return this.#linux.release(fd);
  }

  unwatch(fd: number): number {
    return this.#linux.unwatch(fd);
  }

  holdLoop(fd: number, hold: boolean): number {
    return this.#linux.holdLoop(fd, hold);
  }

  #perform<Result extends number | bigint | ArrayBuffer>(
    name: FallibleCall,
    args: readonly unknown[],
    call: () => Result,
    refuse?: (status: number) => void,
  ): Result | number {
    const fault = this.#fault(name, this.#faultsFrom++);
    let result: Result | number;
    this.#failedStep = ioctlsOf.get(name) ?? (fault === undefined ? undefined : name);
    if (fault === undefined) {
      result = call();
    } else if (typeof fault === 'number') {
      // Where the driver says that what is to be taken away is not there, somebody else has done it.
      if (fault === constants.errno.ENOENT && takesAway(name, args)) call();
      result = -fault;
    } else {
      if (refuse === undefined) throw new Error(`the hypervisor has no part in ${name}`);
      refuse(fault.status);
      result = -fault.errno;
    }
    this.calls.push({ name, args, result });
    return result;
  }

  /** Reading it takes a while, and nobody changes it but those who make and close descriptors here. */
  #counterOf(fd: number): string | undefined {
    let counter = this.#counters.get(fd);
    if (counter === undefined) {
      counter = counterOf(fd);
      if (counter !== undefined) this.#counters.set(fd, counter);
    }
    return counter;
  }

  /** The number of a new descriptor may have been another one's. */
  #forgotten(fd: number): number {
    this.#counters.delete(fd);
    return fd;
  }

  #newPartition(flags: bigint, features: readonly bigint[] | undefined): number {
    const fd = this.#forgotten(this.#linux.eventfdCreate(0, false));
    this.partitions.set(fd, {
      flags,
      features,
      initialized: false,
      vps: new Set(),
      armed: new Map(),
      routes: new Map(),
      memory: new FakeGuestMemory(),
      doorbells: new FakeDoorbells(),
    });
    return fd;
  }

  #remember(handle: number): number {
    if (handle >= 0) this.memories.add(handle);
    return handle;
  }

  #withPartition(fd: number, action: (partition: FakePartition) => number): number {
    const partition = this.partitions.get(fd);
    return partition === undefined ? -constants.errno.EBADF : action(partition);
  }

  #arm(partition: FakePartition, gsi: number, irqfd: Armed): number {
    if ([...partition.armed.values()].some(({ counter }) => counter === irqfd.counter)) {
      return -constants.errno.EBUSY;
    }
    const route = partition.routes.get(gsi);
    if (irqfd.resample && !(route && decodeMsi(Number(route.address), route.data).level)) {
      return -constants.errno.EINVAL;
    }
    if (route === undefined) {
      this.violations.push(`GSI ${gsi} was armed without a route`);
    }
    if (partition.armed.has(gsi)) {
      this.violations.push(`GSI ${gsi} was armed twice`);
    }
    partition.armed.set(gsi, irqfd);
    return 0;
  }

  #disarm(partition: FakePartition, gsi: number, counter: string): number {
    // Deassigning what is not assigned succeeds.
    if (partition.armed.get(gsi)?.counter === counter) {
      partition.armed.delete(gsi);
    }
    return 0;
  }
}

/** Whether a call takes a mapping, a doorbell or an irqfd away. */
export function takesAway(name: FallibleCall, args: readonly unknown[]): boolean {
  const flags = Number(args.at(-1));
  switch (name) {
    case 'irqfd':
      return (flags & irqfdFlags.DEASSIGN) !== 0;
    case 'ioeventfd':
      return (flags & ioeventfdFlags.DEASSIGN) !== 0;
    case 'mapMemory':
      return (flags & memoryFlags.UNMAP) !== 0;
    default:
      return false;
  }
}

function sorted<Value>(map: ReadonlyMap<number, Value>): [number, Value][] {
  return [...map].sort(([one], [other]) => one - other);
}

/** What tells one eventfd's counter from another's, duplicates being the same. */
function counterOf(fd: number | string): string | undefined {
  try {
    return /^eventfd-id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** By GSI, or undefined where the driver would refuse the table. */
function decodeTable(words: Uint32Array): FakePartition['routes'] | undefined {
  const { header, entry } = msiRoutingWords;
  const [count = 0, reserved = 0] = words;
  const isWhole = words.length === header + count * entry;
  if (reserved !== 0 || count > limits.MSHV_MAX_GUEST_IRQS || !isWhole) {
    return undefined;
  }
  const routes: FakePartition['routes'] = new Map();
  for (let at = header; at < words.length; at += entry) {
    const word = (name: 'gsi' | 'addressLow' | 'addressHigh' | 'data'): number =>
      words[at + msiRoutingWords[name]] ?? 0;
    const [gsi, low, high, data] = [
      word('gsi'),
      word('addressLow'),
      word('addressHigh'),
      word('data'),
    ];
    if (gsi >= limits.MSHV_MAX_GUEST_IRQS || high !== 0 || routes.has(gsi)) {
      return undefined;
    }
    routes.set(gsi, { address: BigInt(low), data });
  }
  return routes;
}
