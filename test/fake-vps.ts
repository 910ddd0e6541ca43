import { constants } from 'node:os';

import { messageLayout } from '../lib/abi/message-types.js';
import { registerPageLayout } from '../lib/abi/register-page.js';
import type { Native } from '../lib/native.js';

const { EBADF, EBUSY, ECANCELED, EEXIST, EINTR, EINVAL, ENODEV, ENOENT, ESTALE } = constants.errno;

/** Where a block has the number of the run, and what completes its exit. */
const runAt = messageLayout.size + 4;
const wordsAt = runAt + 4;
const placesAt = wordsAt + 10 * 8;

/** What a run of a fake VP ends with: a message, or a positive errno. */
export type FakeOutcome = Uint8Array | number;

/** A VP of the fake driver, whoever has descriptors of it. */
export class FakeVp {
  readonly index: number;
  /** How often MSHV_RUN_VP was issued. */
  runs = 0;
  canceled = false;
  /** Another environment runs it. */
  running = false;
  /** Register page and intercept page; undefined where the driver has none. */
  readonly pages: (Uint8Array | undefined)[] = [new Uint8Array(4096), new Uint8Array(4096)];
  /** By type. */
  readonly states = new Map<number, Uint8Array>();
  readonly #outcomes: FakeOutcome[] = [];
  readonly #started = new Set<() => void>();

  constructor(index: number) {
    this.index = index;
  }

  /** The next runs end like this, in order. */
  queue(...outcomes: readonly FakeOutcome[]): void {
    this.#outcomes.push(...outcomes);
    this.wake();
  }

  /** Lets started runs see what has changed. */
  wake(): void {
    for (const run of this.#started) {
      run();
    }
  }

  /** Calls `run` whenever it might go on; returns what ends that. */
  onWake(run: () => void): () => void {
    this.#started.add(run);
    return () => {
      this.#started.delete(run);
    };
  }

  /** One run. Undefined where it would not end. */
  run(block: Uint8Array): number | undefined {
    if (this.running) return -EBUSY;
    if (this.canceled) {
      this.canceled = false;
      return -ECANCELED;
    }
    const outcome = this.#outcomes.shift();
    if (outcome === undefined) return undefined;
    this.runs++;
    if (typeof outcome === 'number') return -outcome;
    block.set(outcome);
    new DataView(block.buffer).setUint32(runAt, this.runs, true);
    return 0;
  }
}

/** The thread of a started run: it lives on the event loop here. */
class FakeThread {
  readonly #vp: FakeVp;
  readonly #block: Uint8Array;
  readonly #onExit: (result: number) => void;
  readonly #asleep: () => void;
  #waits = false;
  #ended = false;
  #holdsLoop: NodeJS.Timeout;

  constructor(vp: FakeVp, block: Uint8Array, onExit: (result: number) => void) {
    this.#vp = vp;
    this.#block = block;
    this.#onExit = onExit;
    this.#asleep = vp.onWake(() => {
      this.#later();
    });
    this.#holdsLoop = setInterval(() => undefined, 2 ** 30);
    this.#later();
  }

  /** Whether it runs the VP, and does not wait for the answer to an exit. */
  get inside(): boolean {
    return !this.#waits;
  }

  resume(): number {
    if (!this.#waits) return -EINVAL;
    this.#waits = false;
    this.#later();
    return 0;
  }

  end(): void {
    this.#ended = true;
    this.#asleep();
    clearInterval(this.#holdsLoop);
  }

  hold(hold: boolean): void {
    if (hold) this.#holdsLoop.ref();
    else this.#holdsLoop.unref();
  }

  #later(): void {
    setImmediate(() => {
      this.#run();
    });
  }

  #run(): void {
    while (!this.#ended && !this.#waits) {
      const result = this.#vp.run(this.#block);
      if (result === undefined) return;
      if (result === -EINTR) continue;
      this.#waits = true;
      this.#onExit(result);
    }
  }
}

interface Attached {
  readonly arbiter: number;
  readonly pages: (ArrayBuffer | undefined)[];
  block?: Uint8Array;
  thread?: FakeThread;
}

/** The addon's functions for VPs, without threads and without the kernel. */
export class FakeVps {
  readonly #eventfds: Pick<Native, 'eventfdCreate' | 'eventfdAdopt'>;
  readonly #identify: (fd: number) => string | undefined;
  /** By the file behind their descriptors. */
  readonly #vps = new Map<string, FakeVp>();
  /** By descriptor. */
  readonly #attached = new Map<number, Attached>();

  constructor(
    eventfds: Pick<Native, 'eventfdCreate' | 'eventfdAdopt'>,
    identify: (fd: number) => string | undefined,
  ) {
    this.#eventfds = eventfds;
    this.#identify = identify;
  }

  /** A new descriptor that stands for a VP. */
  create(index: number): number {
    const fd = this.#eventfds.eventfdCreate(0, false);
    const identity = this.#identify(fd);
    if (identity !== undefined) this.#vps.set(identity, new FakeVp(index));
    return fd;
  }

  /** What there is of the VPs, the pages left out. */
  books(): unknown {
    const attached = [...this.#attached.values()];
    return {
      attached: attached.length,
      threads: attached.filter(({ thread }) => thread !== undefined).length,
      vps: [...this.#vps.values()].map(({ index, canceled, states }) => ({
        ...{ index, canceled },
        states: [...states].map(([type, state]) => [type, state.join()]),
      })),
    };
  }

  /** The VP behind a descriptor. */
  of(fd: number): FakeVp {
    const vp = this.#vps.get(this.#identify(fd) ?? '');
    if (vp === undefined) throw new Error(`descriptor ${fd} is no VP's`);
    return vp;
  }

  adopt(fd: number): number {
    return this.#eventfds.eventfdAdopt(fd);
  }

  attach(fd: number, arbiter: number): number {
    if (this.#attached.has(fd)) return -EEXIST;
    this.of(fd);
    const own = arbiter < 0 ? this.#eventfds.eventfdCreate(0, false) : arbiter;
    if (own >= 0) this.#attached.set(fd, { arbiter: own, pages: [] });
    return own;
  }

  useBlock(fd: number, block: Uint8Array): number {
    return this.#with(fd, (attached) => {
      if (attached.block !== undefined) return -EEXIST;
      attached.block = block;
      return 0;
    });
  }

  run(fd: number): number {
    return this.#with(fd, ({ block, thread }) => {
      if (block === undefined) return -EINVAL;
      const result = thread === undefined ? this.of(fd).run(block) : -EBUSY;
      if (result === undefined) throw new Error('this run would never end');
      return result;
    });
  }

  cancel(fd: number): number {
    return this.#with(fd, () => {
      const vp = this.of(fd);
      vp.canceled = true;
      vp.wake();
      return 0;
    });
  }

  lastRun(fd: number): number {
    return this.#with(fd, () => this.of(fd).runs);
  }

  start(fd: number, onExit: (result: number) => void): number {
    return this.#with(fd, (attached) => {
      if (attached.block === undefined) return -EINVAL;
      if (attached.thread !== undefined) return -EBUSY;
      attached.thread = new FakeThread(this.of(fd), attached.block, onExit);
      return 0;
    });
  }

  resume(fd: number): number {
    return this.#with(fd, ({ thread }) => thread?.resume() ?? -ENOENT);
  }

  stop(fd: number): number {
    return this.#with(fd, (attached) => {
      if (attached.thread === undefined) return -ENOENT;
      attached.thread.end();
      delete attached.thread;
      return 0;
    });
  }

  /** Whether a thread of this descriptor runs its VP. */
  isInside(fd: number): boolean {
    return this.#attached.get(fd)?.thread?.inside === true;
  }

  holdLoop(fd: number, hold: boolean): number {
    return this.#with(fd, ({ thread }) => {
      if (thread === undefined) return -ENOENT;
      thread.hold(hold);
      return 0;
    });
  }

  page(fd: number, number: number): ArrayBuffer | number {
    const attached = this.#attached.get(fd);
    if (attached === undefined) return -EBADF;
    const bytes = this.of(fd).pages[number];
    if (bytes === undefined) return -ENODEV;
    return (attached.pages[number] ??= bytes.buffer as ArrayBuffer);
  }

  readRegisterPage(fd: number, into: Uint8Array, clear: number): number {
    return this.#useRegisterPage(fd, (page, dirty) => {
      into.set(page.subarray(0, into.length));
      Atomics.and(dirty, 0, ~clear);
    });
  }

  writeRegisterPage(fd: number, places: Uint32Array, words: BigUint64Array, mark: number): number {
    return this.#useRegisterPage(fd, (page, dirty) => {
      const view = new DataView(page.buffer);
      places.forEach((at, i) => {
        if (at !== 0) view.setBigUint64(at, words[i] ?? 0n, true);
      });
      Atomics.or(dirty, 0, mark);
    });
  }

  completeExit(fd: number, run: number, count: number, mark: number): number {
    return this.#with(fd, ({ block }) => {
      if (block === undefined) return -EINVAL;
      if (this.of(fd).running || this.of(fd).runs !== run) return -ESTALE;
      const places = new Uint32Array(block.buffer, placesAt, count);
      return this.writeRegisterPage(
        fd,
        places,
        new BigUint64Array(block.buffer, wordsAt, count),
        mark,
      );
    });
  }

  /** Either transfer of a state, which begins as its type in every byte. */
  state(fd: number, type: number, state: Uint8Array, write: boolean): number {
    return this.#with(fd, () => {
      const vp = this.of(fd);
      if (vp.running) return -EBUSY;
      const present = vp.states.get(type);
      if (present === undefined) return -EINVAL;
      if (present.length > state.length) return present.length;
      if (write) present.set(state.subarray(0, present.length));
      else state.set(present);
      return present.length;
    });
  }

  /** A descriptor is about to be closed. */
  closing(fd: number): void {
    const attached = this.#attached.get(fd);
    attached?.thread?.end();
    for (const page of attached?.pages ?? []) {
      if (page !== undefined) structuredClone(page, { transfer: [page] });
    }
    this.#attached.delete(fd);
  }

  #useRegisterPage(fd: number, use: (page: Uint8Array, dirty: Uint32Array) => void): number {
    return this.#with(fd, () => {
      const vp = this.of(fd);
      const page = vp.pages[0];
      if (page === undefined) return -ENODEV;
      if (vp.running) return -EBUSY;
      if (page[registerPageLayout.isValid] !== 1) return 0;
      use(page, new Uint32Array(page.buffer, registerPageLayout.dirty, 1));
      return 1;
    });
  }

  #with(fd: number, action: (attached: Attached) => number): number {
    const attached = this.#attached.get(fd);
    return attached === undefined ? -EBADF : action(attached);
  }
}
