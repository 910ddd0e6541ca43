import { AsyncResource } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import { onAbort, throwIfAborted, type WaitOptions } from './abort-signal.js';
import {
  type Brand,
  booleanArgument,
  functionArgument,
  integerArgument,
  typeError,
  uint64Argument,
} from './arguments.js';
import { closedError, MshvError, systemError } from './errors.js';
import { createHandle, type Handle } from './handle.js';
import { inspected } from './inspection.js';
import { type Native, nativeOfOptions, nativeOption } from './native.js';
import {
  boolean,
  defaulting,
  takeOptions,
  uint32,
  waitOptions,
  type OptionTable,
} from './options.js';
import { watchRefusal } from './runtime.js';
import {
  makeToken,
  receiveError,
  receivingNative,
  tokenArgument,
  type EventFdToken,
  type ReceiveOptions,
} from './share-token.js';
import { stepError } from './step-error.js';
import { TakingIterator } from './taking-iterator.js';

/** The largest count that an eventfd holds, and that one signal may add. */
const largestCount = 2n ** 64n - 2n;

export interface NewEventOptions {
  /** What the counter starts at: 0 to 2^32 - 1. Default 0. */
  initial?: number;
  /** Each read consumes one unit instead of the whole counter. Default false. */
  semaphore?: boolean;
}

export interface EventFdOptions extends NewEventOptions {
  /** The addon to use. An eventfd for a simulated partition should use that simulator's. */
  native?: Native;
}

export const newEventOptions = {
  initial: defaulting(uint32, 0),
  semaphore: boolean(false),
} satisfies OptionTable<NewEventOptions>;

const creationOptions = {
  ...newEventOptions,
  native: nativeOption,
} satisfies OptionTable<EventFdOptions>;

// Marks an event as part of something else, whose close() is then the only way to close it.
let setOwner: (event: EventFd, owner: string | undefined) => void;
let nativeOf: (event: EventFd) => Native;
let numberOf: (event: EventFd) => number;

let brand: Brand<EventFd>;

/**
 * An eventfd: a 64-bit counter in the kernel that signals add to and reads reset to 0.
 *
 * An EventFd owns its descriptor until `close()` or `release()`; the end of its environment (a
 * terminated Worker, the end of the process) closes it too. It is close-on-exec, and nobody is told its number: `fd` is
 * another descriptor.
 *
 * Nothing here blocks the event loop, whatever others do with what they share. Flags and counter belong to the open file,
 * so whoever has a descriptor of it can make it blocking, fill it and take counts away. Reads do not wait for a
 * blocking eventfd (`preadv2` with `RWF_NOWAIT`). A `signal()` of one that others have (its `fd` was read, it was adopted or received,
 * it or a clone was shared or released) waits for no more than about a millisecond where the counter is full and blocking; that bound costs
 * a few system calls, which the signals of any other do without. What others take is gone, as it is from any eventfd. Code of
 * this process that closes numbers at random can do anything.
 *
 * While an irqfd is armed on an eventfd, the driver consumes the counter inside the write: reads,
 * `pending` and watchers then see nothing (`mshv_irqfd_wakeup`).
 */
export class EventFd implements Disposable {
  readonly #native: Native;
  /** Whether each read consumes one unit. Of an adopted eventfd only Linux 6.9 or later tells. */
  readonly semaphore: boolean;
  #fd: number;
  /** The descriptor that others were told of. */
  #shown: number | undefined;
  readonly #file: OpenFile;
  #owner: string | undefined;
  #holdsLoop = true;
  /** Whether a promise was resolved without the event loop since that has turned last. */
  #resolvedAtOnce = false;
  /** Those who wait for a count of their own, the one first who has waited longest. */
  readonly #takers = new Set<Taker>();
  readonly #listeners = new Set<Listener>();

  private constructor(native: Native, fd: number, semaphore: boolean, file: OpenFile) {
    this.#native = native;
    this.#fd = fd;
    this.semaphore = semaphore;
    this.#file = file;
    owners.set(fd, this);
  }

  static {
    brand = { name: 'EventFd', has: (value): value is EventFd => #native in value };
    setOwner = (event, owner) => {
      event.#owner = owner;
    };
    nativeOf = (event) => event.#native;
    numberOf = (event) => event.#open();
  }

  /**
   * Creates an eventfd.
   *
   * @throws MshvError `EMFILE`, `ENFILE`, `ENOMEM` where the kernel has no room for one
   */
  static create(options: EventFdOptions = {}): EventFd {
    const { initial, semaphore, native } = takeOptions('options', options, creationOptions);
    const fd = native.eventfdCreate(initial, semaphore);
    if (fd < 0) {
      throw stepError(native, 'create an eventfd', fd);
    }
    return new EventFd(native, fd, semaphore, { isShared: false });
  }

  /**
   * Takes ownership of a descriptor that came from elsewhere: over a socket, inherited, or from another addon. What another Worker has
   * comes by `share()` and `receive()`. The number is closed, in favour of another one of the same open file that nobody knows; the
   * open file stays blocking or not, as those who share it have it.
   *
   * The caller must not use or close the number afterwards. Where this throws, it is still the
   * caller's.
   *
   * @throws MshvError `EBADF` where `fd` is not open, `EINVAL` where it is no eventfd, `EBUSY` where an
   *   EventFd of this environment owns it already, `EMFILE` where the process has no room for one more
   */
  static adopt(fd: number, options: Pick<EventFdOptions, 'native'> = {}): EventFd {
    fd = integerArgument('fd', fd, 0, 2 ** 31 - 1);
    const native = nativeOfOptions(options);
    const attempt = `adopt descriptor ${fd}`;
    if (owners.has(fd)) {
      throw systemError(attempt, -constants.errno.EBUSY, undefined, ownedHint);
    }
    const result = native.eventfdAdopt(fd);
    if (result < 0) {
      throw stepError(native, attempt, result, adoptHints);
    }
    return new EventFd(native, result, isSemaphore(result), { isShared: true });
  }

  /**
   * Takes what `share()` of another environment returned, which nobody else can receive then: a descriptor of the same
   * counter, with the sender's addon, which the token names.
   *
   * @throws MshvError `ERR_MSHV_TOKEN_TAKEN` where it was received before, or the environment that made it has ended; `EMFILE`. Where
   *   anything but `ERR_MSHV_TOKEN_TAKEN` is thrown, the token can be received again
   * @throws TypeError `ERR_INVALID_ARG_VALUE` where `native` is not the sender's addon
   */
  static receive(token: EventFdToken, options: ReceiveOptions = {}): EventFd {
    const checked = tokenArgument('event', token);
    const semaphore = booleanArgument('token.semaphore', token.semaphore);
    const native = receivingNative(checked, options);
    const fd = native.receiveEventfd(checked.offer);
    if (fd < 0) {
      throw receiveError(native, fd, adoptHints);
    }
    return new EventFd(native, fd, semaphore, { isShared: true });
  }

  /**
   * A descriptor for others: to be inherited by a process, sent over a socket, given to another addon. It is made when it
   * is read first, is the same from then on, and is closed with the EventFd (with `release()` too); nobody else has to close it. Who does
   * so all the same ends this number only, and the EventFd works on: reading `fd` gives another one then.
   *
   * Whoever has it can make the eventfd blocking: from the first reading on, signals are bounded (see above).
   *
   * @throws MshvError `EMFILE`, `ENFILE` where the kernel has no room for it
   */
  get fd(): number {
    const shown = this.#native.eventfdShow(this.#open());
    if (shown < 0) {
      throw stepError(this.#native, `give out a descriptor of eventfd ${this.#fd}`, shown);
    }
    if (shown !== this.#shown) {
      this.#disown(this.#shown);
      owners.set(shown, this);
      this.#shown = shown;
    }
    this.#file.isShared = true;
    return shown;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Adds to the counter.
   *
   * @param n - 1 to 2^64 - 2
   * @throws MshvError `EAGAIN` where the counter would pass 2^64 - 2; it is unchanged then. Of an eventfd
   *   that others have, where the thread can have no timer: `ENOBUFS` (`ulimit -i`), `ENOSPC` where others use every
   *   real-time signal, …
   */
  signal(n?: number | bigint): void {
    const native = this.#native;
    let result;
    if (n === undefined) {
      result = this.#file.isShared
        ? native.eventfdSignalBounded(this.#fd)
        : native.eventfdSignal(this.#fd);
    } else {
      const count = uint64Argument('n', n, 1n, largestCount);
      result = this.#file.isShared
        ? native.eventfdSignalBounded(this.#fd, count)
        : native.eventfdSignal(this.#fd, count);
    }
    if (result < 0) {
      this.#open();
      throw stepError(this.#native, `signal eventfd ${this.#name}`, result, signalHints);
    }
  }

  /** Consumes the counter (one unit of a semaphore); undefined where it is 0. */
  tryRead(): bigint | undefined {
    const result = this.#native.eventfdRead(this.#fd);
    if (typeof result === 'bigint') {
      return result;
    }
    if (result === -constants.errno.EAGAIN) {
      return undefined;
    }
    this.#open();
    throw stepError(this.#native, `read eventfd ${this.#name}`, result);
  }

  /** Whether the counter is not 0. Consumes nothing. */
  get pending(): boolean {
    const result = this.#native.eventfdPoll(this.#fd);
    if (result < 0) {
      this.#open();
      throw stepError(this.#native, `poll eventfd ${this.#name}`, result);
    }
    return result === 1;
  }

  /**
   * Waits until the counter is not 0, consumes it (one unit of a semaphore) and resolves with what it held.
   *
   * A count belongs to one promise: where several wait on one EventFd, or iterators do, each count goes to the one that
   * has waited longest, and the others wait on. So the sum of what all of them get is what was signalled, whatever the
   * order of waiting and signalling. Listeners of `watch()` hear of those counts beside. `tryRead()` goes past all of them
   * and takes what the event loop has not read.
   *
   * Of promises that are waited for one after the other, one in a turn of the event loop resolves at once, so that a
   * counter which is signalled all the time does not keep the loop from turning.
   *
   * Never throws: rejects with the reason of `signal` where that aborts, and with `ERR_MSHV_CLOSED`
   * where the EventFd is closed, before or meanwhile;
   * where nothing is there, with what `watch()` throws.
   */
  wait(options: WaitOptions = {}): Promise<bigint> {
    return new Promise((resolve, reject) => {
      const { signal } = takeOptions('options', options, waitOptions);
      this.#open();
      throwIfAborted(signal);
      const count = this.#readAtOnce();
      if (count !== undefined) {
        resolve(count);
        return;
      }
      const taker: Taker = {
        onCount: (value) => {
          this.#remove(this.#takers, taker);
          stopListening?.();
          resolve(value);
        },
        onClose: () => {
          stopListening?.();
          reject(closedError('EventFd'));
        },
      };
      this.#add(this.#takers, taker);
      const stopListening =
        signal &&
        onAbort(signal, (reason) => {
          this.#remove(this.#takers, taker);
          // An abort reason is whatever the caller chose to abort with.
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
          reject(reason);
        });
    });
  }

  /**
   * Calls `listener` with the consumed count each time the counter has become non-zero, once in a turn of the event
   * loop at most. Signals that come faster than the event loop turns are added up, never lost. All listeners hear of each
   * count, also of one that a `wait()` or an iterator gets. An error that a listener throws is an uncaught exception; the
   * other listeners still run. Listeners run in the async context (`AsyncLocalStorage`) of the call that added them.
   *
   * Watching keeps the event loop alive, see `unref()`. Closing what this returns ends it; so does closing the EventFd, and
   * the abortion of `options.signal`.
   *
   * @throws the reason of `options.signal` where that has aborted before
   * @throws MshvError `ERR_MSHV_RUNTIME` in Bun, which cannot watch; `ENOSPC` where the user watches as many as it may
   */
  watch(listener: (count: bigint) => void, options: WaitOptions = {}): Handle {
    functionArgument('listener', listener);
    const { signal } = takeOptions('options', options, waitOptions);
    this.#open();
    throwIfAborted(signal);
    // One function may be given twice.
    const entry: Listener = {
      listener,
      context: new AsyncResource('MSHV_WATCH'),
      stopListening: undefined,
    };
    this.#add(this.#listeners, entry);
    const end = (): void => {
      entry.stopListening?.();
      this.#remove(this.#listeners, entry);
    };
    entry.stopListening = signal && onAbort(signal, end);
    return createHandle(`the watch of eventfd ${this.#name}`, {
      isOpen: () => this.#listeners.has(entry),
      end,
    });
  }

  /**
   * Counts as `wait()` resolves them, until the EventFd is closed or the loop is left. While the consumer is busy nothing
   * is read: what is signalled meanwhile stays in the kernel and comes as one count.
   *
   * Calls of `next()` that overlap get one count after the other. `return()` ends those that wait; no count is lost by it.
   * Where `options.signal` aborts, or has aborted before, one `next()` rejects with its reason, and nothing more comes.
   */
  counts(options: WaitOptions = {}): AsyncGenerator<bigint, void, undefined> {
    const { signal } = takeOptions('options', options, waitOptions);
    return new TakingIterator({
      signal,
      take: async (left) => {
        try {
          return await this.wait({ signal: left });
        } catch (error) {
          if (this.closed && !left.aborted) {
            return undefined;
          }
          throw error;
        }
      },
    });
  }

  /** `counts()`. */
  [Symbol.asyncIterator](): AsyncGenerator<bigint, void, undefined> {
    return this.counts();
  }

  /** A second descriptor of the same counter, owned by the new object. */
  clone(): EventFd {
    const fd = this.#native.dup(this.#open());
    if (fd < 0) {
      throw stepError(this.#native, `clone eventfd ${this.#name}`, fd);
    }
    return new EventFd(this.#native, fd, this.semaphore, this.#file);
  }

  /**
   * Makes a token for another environment of this process: post it to a Worker, or pass it as `workerData`, and call
   * `EventFd.receive()` there. Both have a descriptor of the same counter, and close it on their own. Of a route's or doorbell's
   * event too: whoever receives it signals the route.
   *
   * A token that nobody receives keeps a descriptor open until this environment ends, and is of no use after that:
   * `EventFd.receive(token).close()` takes it back.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`; `EMFILE`
   */
  share(): EventFdToken {
    const token = makeToken(this.#native, 'event', `eventfd ${this.#name}`, [this.#open()]);
    this.#file.isShared = true;
    return { ...token, semaphore: this.semaphore };
  }

  /**
   * Gives up the descriptor without closing it and returns it; the object is closed afterwards. For what is no environment of
   * this process, or no EventFd there: another Worker gets `share()`. A number that nobody takes over stays open until the process
   * ends. What `fd` has given out is closed.
   *
   * @throws MshvError `ERR_MSHV_OWNED` where the event belongs to a route
   */
  release(): number {
    const fd = this.#open();
    this.#refuseOwned('release');
    this.#detach();
    this.#file.isShared = true;
    return this.#native.release(fd);
  }

  /** Lets watching keep the event loop alive; so it is at first. */
  ref(): this {
    return this.#hold(true);
  }

  /** Lets the process end although somebody watches. */
  unref(): this {
    return this.#hold(false);
  }

  /**
   * Closes the descriptor; promises of `wait()` reject, iterators end. Harmless where closed already.
   *
   * @throws MshvError `ERR_MSHV_OWNED` where the event belongs to a route: close the route
   */
  close(): void {
    if (this.#fd < 0) {
      return;
    }
    this.#refuseOwned('close');
    const fd = this.#fd;
    this.#detach();
    this.#native.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { closed, semaphore } = this;
    return inspected(
      'EventFd',
      closed ? { closed } : { fd: this.#name, semaphore, closed },
      depth,
      options,
    );
  }

  #open(): number {
    if (this.#fd < 0) {
      throw closedError('EventFd');
    }
    return this.#fd;
  }

  /** The number that others know it by, where there is one. */
  get #name(): number {
    return this.#shown ?? this.#fd;
  }

  #disown(fd: number | undefined): void {
    // A number that others have closed may be another object's by now.
    if (fd !== undefined && owners.get(fd) === this) {
      owners.delete(fd);
    }
  }

  #refuseOwned(verb: string): void {
    if (this.#owner !== undefined) {
      throw new MshvError(`cannot ${verb} this EventFd: it belongs to ${this.#owner}`, {
        code: 'ERR_MSHV_OWNED',
      });
    }
  }

  #detach(): void {
    this.#disown(this.#fd);
    this.#disown(this.#shown);
    this.#fd = -1;
    this.#shown = undefined;
    const takers = [...this.#takers];
    const listeners = [...this.#listeners];
    this.#takers.clear();
    this.#listeners.clear();
    for (const { stopListening } of listeners) {
      stopListening?.();
    }
    for (const taker of takers) {
      taker.onClose();
    }
  }

  /** What is in the counter, where nobody else has to hear of it and the event loop is not kept from turning. */
  #readAtOnce(): bigint | undefined {
    // Those who wait already come first, and listeners are to hear of it: only the event loop may read it then. And where
    // somebody signals all the time, promises that are resolved at once would never let it turn.
    if (this.#isWatched || this.#resolvedAtOnce) {
      return undefined;
    }
    const count = this.tryRead();
    if (count !== undefined) {
      this.#resolvedAtOnce = true;
      setImmediate(() => {
        this.#resolvedAtOnce = false;
      }).unref();
    }
    return count;
  }

  get #isWatched(): boolean {
    return this.#takers.size > 0 || this.#listeners.size > 0;
  }

  #add<Entry>(entries: Set<Entry>, entry: Entry): void {
    if (!this.#isWatched) {
      const refusal = watchRefusal();
      if (refusal !== undefined) {
        throw new MshvError(`cannot watch eventfd ${this.#fd}: ${refusal}`, {
          code: 'ERR_MSHV_RUNTIME',
        });
      }
      const result = this.#native.watch(this.#fd, (count) => {
        this.#deliver(count);
      });
      if (result < 0) {
        throw stepError(this.#native, `watch eventfd ${this.#name}`, result);
      }
      this.#native.holdLoop(this.#fd, this.#holdsLoop);
    }
    entries.add(entry);
  }

  #remove<Entry>(entries: Set<Entry>, entry: Entry): void {
    if (entries.delete(entry) && !this.#isWatched && this.#fd >= 0) {
      this.#native.unwatch(this.#fd);
    }
  }

  #deliver(count: bigint): void {
    const listeners = [...this.#listeners];
    // Before the listeners: one of them may close this, and the count has been taken.
    const [taker] = this.#takers;
    taker?.onCount(count);
    for (const entry of listeners) {
      // A listener may have disposed of those after it.
      if (!this.#listeners.has(entry)) {
        continue;
      }
      try {
        entry.context.runInAsyncScope(entry.listener, undefined, count);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  #hold(hold: boolean): this {
    this.#open();
    this.#holdsLoop = hold;
    if (this.#isWatched) {
      this.#native.holdLoop(this.#fd, hold);
    }
    return this;
  }
}

/** One open file, which several objects of this environment may have. */
interface OpenFile {
  /** Whether anybody else can have a descriptor of it, and thereby its flags. */
  isShared: boolean;
}

// Across addons: each of them knows only its own.
const owners = new Map<number, EventFd>();

/** An EventFd of a partition's own addon: its driver knows no eventfd of another one. */
export function ownEventArgument(name: string, event: EventFd, native: Native): EventFd {
  if (nativeOf(event) !== native) {
    throw typeError(
      name,
      "an EventFd of the partition's own addon, as partition.createEvent() makes them",
      event,
    );
  }
  return event;
}

export { numberOf as eventFdNumber, setOwner as setEventFdOwner };

interface Taker {
  onCount(count: bigint): void;
  onClose(): void;
}

interface Listener {
  readonly listener: (count: bigint) => void;
  /** In which it was given. */
  readonly context: AsyncResource;
  /** Ends listening to the signal that ends the watch. */
  stopListening: (() => void) | undefined;
}

function isSemaphore(fd: number): boolean {
  try {
    return /^eventfd-semaphore:\s*1$/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  } catch {
    return false;
  }
}

const ownedHint = 'another object of this environment owns it; clone() that one';

const signalHints = new Map([
  [-constants.errno.EAGAIN, 'the counter would overflow'],
  [-constants.errno.ENOBUFS, 'no timer to bound a write that others may block: raise ulimit -i'],
]);

const adoptHints = new Map([
  [-constants.errno.EBADF, 'it is not open'],
  [-constants.errno.EINVAL, 'it is not an eventfd'],
  [-constants.errno.EBUSY, ownedHint],
]);

export { brand as eventFdBrand };
