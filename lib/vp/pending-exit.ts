import type { Architecture } from '../abi/architecture.js';
import { interceptViews, type Intercept, type InterceptView } from '../abi/intercepts.js';
import { markStop, stopOf, UnknownMessage, type Message } from '../abi/messages/message.js';
import { MshvError } from '../errors.js';
import type { VpDescriptor } from './vp-descriptor.js';
import type { RegisterSet, VpRegisters } from './vp-registers.js';

/** How many objects there are for exits of one type. */
const most = 64;

/** Numbers the stops of all VPs of this environment. Not a variable: a number beyond 2³¹ would be a heap object each time. */
const stops = new Float64Array(1);

/**
 * The objects for exits of one type, over the same bytes: handed out in turn, so that there is none to be allocated for
 * each exit and an object is not the next exit's too.
 */
class Views {
  readonly #view: InterceptView;
  readonly #message: Uint8Array;
  readonly #views: (Intercept | undefined)[] = [];
  #at = -1;

  constructor(view: InterceptView, message: Uint8Array) {
    this.#view = view;
    this.#message = message;
  }

  next(): Intercept {
    this.#at = (this.#at + 1) % most;
    return (this.#views[this.#at] ??= new this.#view(this.#message));
  }

  /** The last one is not handed out again. */
  retire(): void {
    this.#views[this.#at] = undefined;
  }

  /** None is. */
  retireAll(): void {
    this.#views.length = 0;
    this.#at = -1;
  }
}

/**
 * The exit that a VP stopped with and that nobody has completed yet, in bytes that each run fills
 * again.
 *
 * An exit is one stop: whatever is completed has the number of the stop that it was handed out for, or is a snapshot
 * with that number.
 */
export class PendingExit {
  /** By the code as a signed number: an unsigned one above 2³¹ would be a heap object each time. */
  readonly #views: ReadonlyMap<number, Views>;
  readonly #unknown: Views;
  readonly #vp: VpDescriptor;
  /** What the last exit is one of. */
  #last: Views | undefined;
  #retiresLater = false;
  readonly #retireAll = (): void => {
    this.#retiresLater = false;
    this.#last = undefined;
    this.#unknown.retireAll();
    for (const views of this.#views.values()) {
      views.retireAll();
    }
  };
  /** 0 where no exit is pending. */
  #stop = 0;
  /** What the addon calls the run that ended with it. */
  #run = 0;

  constructor(vp: VpDescriptor, architecture: Architecture) {
    const { message } = vp.block;
    this.#vp = vp;
    this.#unknown = new Views(UnknownMessage, message);
    this.#views = new Map(
      interceptViews(architecture).map(({ code, view }) => [code | 0, new Views(view, message)]),
    );
  }

  /** The bytes hold a new exit. */
  arrive(): Intercept {
    const { block } = this.#vp;
    const views = this.#views.get(block.type) ?? this.#unknown;
    const exit = views.next();
    const stop = (stops[0] ?? 0) + 1;
    stops[0] = stop;
    markStop(exit, stop);
    this.#last = views;
    this.#stop = stop;
    this.#run = block.run;
    return exit;
  }

  /**
   * Somebody may have kept the object for later, when another exit is pending: it is never handed out
   * again.
   */
  retire(): void {
    this.#last?.retire();
    this.#last = undefined;
  }

  /** The same for all objects, once code has run that the caller of this was not called by. */
  retireLater(): void {
    if (!this.#retiresLater) {
      this.#retiresLater = true;
      queueMicrotask(this.#retireAll);
    }
  }

  /** The exit is completed, or the VP runs again. */
  clear(): void {
    this.#stop = 0;
  }

  /**
   * Whether `exit`, or what it is a snapshot of, is waiting to be completed. It is not where another object or environment
   * has run the VP since, or is running it, or this one is closed.
   */
  is(exit: Message): boolean {
    const vp = this.#vp;
    return !vp.closed && this.#isLast(exit) && vp.native.vpLastRun(vp.attached) === this.#run;
  }

  /** Whether it is as far as this object knows. */
  #isLast(exit: Message): boolean {
    return this.#stop !== 0 && stopOf(exit) === this.#stop;
  }

  /**
   * Checks that it is.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT`; `ERR_MSHV_CLOSED`
   */
  check(exit: Message): void {
    this.#vp.checkOpen();
    if (!this.is(exit)) {
      throw this.#staleError();
    }
  }

  /**
   * Checks that it is as far as this object knows, before what `complete()` sees.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT`; `ERR_MSHV_CLOSED`
   */
  checkLast(exit: Message): void {
    this.#vp.checkOpen();
    if (!this.#isLast(exit)) {
      throw this.#staleError();
    }
  }

  /** What an exit is completed by: two words for each register, the low one first. */
  get words(): BigUint64Array {
    return this.#vp.block.words;
  }

  /**
   * Completes the last exit by `words`.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT` where somebody has run the VP since; as `set()`. Nothing is written then, and
   *   it can be tried again
   */
  complete(registers: VpRegisters, written: RegisterSet): void {
    if (!registers.complete(written, this.#run)) {
      throw this.#staleError();
    }
    this.#stop = 0;
  }

  #staleError(): MshvError {
    return new MshvError(
      `cannot complete the exit: it is not what VP ${this.#vp.index} stopped with, or it has been completed, or the VP has run since`,
      { code: 'ERR_MSHV_STALE_EXIT' },
    );
  }
}
