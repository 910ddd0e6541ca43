import { interceptViews, type Intercept, type InterceptView } from '../abi/intercepts.js';
import { messageLayout } from '../abi/message-types.js';
import { markStop, stopOf, UnknownMessage, type Message } from '../abi/messages/message.js';
import { lastingBytes } from '../lasting-bytes.js';
import { MshvError } from '../errors.js';
import type { VpDescriptor } from './vp-descriptor.js';

/** Where the mark is. */
export const told = messageLayout.size;
/** Where the number of the run is. */
const runAt = told + 4;
const size = runAt + 4;

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
  /**
   * What the addon fills: a message, the number of the run and, at `told`, a mark that is to be set when somebody was told
   * of the exit, or of a cancel. That must call no function, for where one begins a Worker can be terminated.
   */
  readonly message = lastingBytes(size);
  readonly #bytes = this.message.subarray(0, messageLayout.size);
  readonly #fields = new DataView(this.message.buffer);
  /** By the code as a signed number: an unsigned one above 2³¹ would be a heap object each time. */
  readonly #views: ReadonlyMap<number, Views>;
  readonly #unknown = new Views(UnknownMessage, this.#bytes);
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

  constructor(vp: VpDescriptor) {
    this.#vp = vp;
    this.#views = new Map(
      interceptViews().map(({ code, view }) => [code | 0, new Views(view, this.#bytes)]),
    );
  }

  /** The bytes hold a new exit. */
  arrive(): Intercept {
    const type = this.#fields.getInt32(messageLayout.type, true);
    const views = this.#views.get(type) ?? this.#unknown;
    const exit = views.next();
    const stop = (stops[0] ?? 0) + 1;
    stops[0] = stop;
    markStop(exit, stop);
    this.#last = views;
    this.#stop = stop;
    this.#run = this.#fields.getInt32(runAt, true);
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
   * has run the VP since, or is running it.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  is(exit: Message): boolean {
    const vp = this.#vp;
    return (
      this.#stop !== 0 &&
      stopOf(exit) === this.#stop &&
      vp.native.vpLastRun(vp.attached) === this.#run
    );
  }

  /**
   * Checks that it is.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT`
   */
  check(exit: Message): void {
    if (!this.is(exit)) {
      throw new MshvError(
        `cannot complete the exit: it is not what VP ${this.#vp.index} stopped with, or it has been completed, or the VP has run since`,
        { code: 'ERR_MSHV_STALE_EXIT' },
      );
    }
  }
}
