import { inspect, type InspectOptions } from 'node:util';

import type { WaitOptions } from '../abort-signal.js';
import {
  type Brand,
  booleanArgument,
  functionArgument,
  integerArgument,
  typeError,
  uint64Argument,
  ours,
  ownConstructor,
} from '../arguments.js';
import { CountReaders } from './count-readers.js';
import { EventDescriptor } from './event-descriptor.js';
import type { Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { type Native, nativeOfOptions, nativeOption } from '../native.js';
import {
  boolean,
  defaulting,
  takeOptions,
  uint32,
  waitOptions,
  type OptionTable,
} from '../options.js';
import {
  receivingNative,
  tokenArgument,
  type EventFdToken,
  type ReceiveOptions,
} from '../share-token.js';
import { TakingIterator } from '../taking-iterator.js';

/** The largest count that an eventfd holds, and that one signal may add. */
const largestCount = 2n ** 64n - 2n;

/** What the counter of a new eventfd is. */
export interface NewEventOptions {
  /** What the counter starts at: 0 to 2^32 - 1. Default 0. */
  initial?: number;
  /** Each read consumes one unit instead of the whole counter. Default false. */
  semaphore?: boolean;
}

/** How an EventFd is made. */
export interface EventFdOptions extends NewEventOptions {
  /** The addon to use. An eventfd for a simulated partition should use that simulator's. */
  native?: Native;
}

const newEventOptions = {
  initial: defaulting(uint32, 0),
  semaphore: boolean(false),
} satisfies OptionTable<NewEventOptions>;

const creationOptions = {
  ...newEventOptions,
  native: nativeOption,
} satisfies OptionTable<EventFdOptions>;

let descriptorOf: (event: EventFd) => EventDescriptor;

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
 *
 * @example
 * ```ts
 * import { EventFd } from 'mshv';
 *
 * using event = EventFd.create();
 * event.signal();
 * event.signal(2);
 * console.log(event.tryRead()); // 3n
 * ```
 */
export class EventFd implements Disposable {
  readonly #descriptor: EventDescriptor;
  readonly #readers: CountReaders;
  /** Whether each read consumes one unit. Of an adopted eventfd only Linux 6.9 or later tells. */
  readonly semaphore: boolean;

  private constructor(key: symbol, descriptor: EventDescriptor) {
    ownConstructor('EventFd', key);
    this.#descriptor = descriptor;
    this.#readers = new CountReaders(descriptor);
    this.semaphore = descriptor.semaphore;
  }

  static {
    brand = { name: 'EventFd', has: (value): value is EventFd => #descriptor in value };
    descriptorOf = (event) => event.#descriptor;
  }

  /**
   * Creates an eventfd.
   *
   * @throws MshvError `EMFILE`, `ENFILE`, `ENOMEM` where the kernel has no room for one
   *
   * @example
   * ```ts
   * import { EventFd } from 'mshv';
   *
   * using event = EventFd.create({ initial: 2 });
   * console.log(event.pending); // true
   * ```
   */
  static create(options: EventFdOptions = {}): EventFd {
    const { initial, semaphore, native } = takeOptions('options', options, creationOptions);
    return new EventFd(ours, EventDescriptor.create(native, initial, semaphore));
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
   *
   * @example
   * ```ts
   * import { EventFd } from 'mshv';
   *
   * const event = EventFd.create({ initial: 1 });
   * using adopted = EventFd.adopt(event.release()); // as one that came from elsewhere
   * console.log(adopted.tryRead()); // 1n
   * ```
   */
  static adopt(fd: number, options: Pick<EventFdOptions, 'native'> = {}): EventFd {
    fd = integerArgument('fd', fd, 0, 2 ** 31 - 1);
    const native = nativeOfOptions(options);
    return new EventFd(ours, EventDescriptor.adopt(native, fd));
  }

  /**
   * Takes what `share()` of another environment returned, which nobody else can receive then: a descriptor of the same
   * counter, with the sender's addon, which the token names.
   *
   * @throws MshvError `ERR_MSHV_TOKEN_TAKEN` where it was received before, or the environment that made it has ended; `EMFILE`. Where
   *   anything but `ERR_MSHV_TOKEN_TAKEN` is thrown, the token can be received again
   * @throws TypeError `ERR_INVALID_ARG_VALUE` where `native` is not the sender's addon
   *
   * @example
   * ```ts
   * import { EventFd } from 'mshv';
   *
   * using event = EventFd.create();
   * const token = event.share(); // goes to a Worker, as workerData or by postMessage
   * using received = EventFd.receive(token); // there
   * received.signal();
   * console.log(event.tryRead()); // 1n
   * ```
   */
  static receive(token: EventFdToken, options: ReceiveOptions = {}): EventFd {
    const checked = tokenArgument('event', token);
    const semaphore = booleanArgument('token.semaphore', token.semaphore);
    const native = receivingNative(checked, options);
    return new EventFd(ours, EventDescriptor.receive(native, checked.offer, semaphore));
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
    return this.#descriptor.show();
  }

  /** Whether `close()` or `release()` was called, here or by what owns it. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /**
   * Adds to the counter.
   *
   * @param n - 1 to 2^64 - 2
   * @throws MshvError `EAGAIN` where the counter would pass 2^64 - 2; it is unchanged then. Of an eventfd
   *   that others have, where the thread can have no timer: `ENOBUFS` (`ulimit -i`), `ENOSPC` where others use every
   *   real-time signal, …
   *
   * @example
   * ```ts
   * route.event.signal();
   * console.log(simulator.interrupts(partition).map(({ vector }) => vector)); // [ 65 ]
   * ```
   */
  signal(n?: number | bigint): void {
    this.#descriptor.signal(n === undefined ? n : uint64Argument('n', n, 1n, largestCount));
  }

  /**
   * Consumes the counter (one unit of a semaphore); undefined where it is 0.
   *
   * @example
   * ```ts
   * using event = device.createEvent();
   * console.log(event.tryRead()); // undefined
   * ```
   */
  tryRead(): bigint | undefined {
    return this.#descriptor.read();
  }

  /** Whether the counter is not 0. Consumes nothing. */
  get pending(): boolean {
    return this.#descriptor.pending;
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
   *
   * @example
   * ```ts
   * using event = device.createEvent();
   * setImmediate(() => event.signal());
   * console.log(await event.wait({ signal: AbortSignal.timeout(60_000) })); // 1n
   * ```
   */
  wait(options: WaitOptions = {}): Promise<bigint> {
    return this.#readers.take(options);
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
   *
   * @example
   * ```ts
   * using event = device.createEvent();
   * const heard = new Promise((resolve) => {
   *   event.watch(resolve);
   * });
   * event.signal(3);
   * console.log(await heard); // 3n
   * ```
   */
  watch(listener: (count: bigint) => void, options: WaitOptions = {}): Handle {
    functionArgument('listener', listener);
    const { signal } = takeOptions('options', options, waitOptions);
    return this.#readers.listen(listener, signal);
  }

  /**
   * Counts as `wait()` resolves them, until the EventFd is closed or the loop is left. While the consumer is busy nothing
   * is read: what is signalled meanwhile stays in the kernel and comes as one count.
   *
   * Calls of `next()` that overlap get one count after the other. `return()` ends those that wait; no count is lost by it.
   * Where `options.signal` aborts, or has aborted before, one `next()` rejects with its reason, and nothing more comes.
   *
   * @example
   * ```ts
   * using event = device.createEvent({ initial: 5 });
   * for await (const count of event.counts()) {
   *   console.log(count); // 5n
   *   break;
   * }
   * ```
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

  /**
   * A second descriptor of the same counter, owned by the new object.
   *
   * @example
   * ```ts
   * using event = device.createEvent();
   * using clone = event.clone(); // another descriptor of the same eventfd
   * clone.signal();
   * console.log(event.tryRead()); // 1n
   * ```
   */
  clone(): EventFd {
    return new EventFd(ours, this.#descriptor.clone());
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
   *
   * @example
   * ```ts
   * using event = device.createEvent();
   * const { type } = event.share(); // a Worker gets it, and calls EventFd.receive()
   * console.log(type); // mshv-event
   * ```
   */
  share(): EventFdToken {
    return this.#descriptor.share();
  }

  /**
   * Gives up the descriptor without closing it and returns it; the object is closed afterwards. For what is no environment of
   * this process, or no EventFd there: another Worker gets `share()`. A number that nobody takes over stays open until the process
   * ends. What `fd` has given out is closed.
   *
   * @throws MshvError `ERR_MSHV_OWNED` where the event belongs to a route
   *
   * @example
   * ```ts
   * import { closeSync } from 'node:fs';
   *
   * const event = device.createEvent();
   * closeSync(event.release()); // a descriptor, ours to close
   * console.log(event.closed); // true
   * ```
   */
  release(): number {
    return this.#descriptor.release(() => {
      this.#readers.end();
    });
  }

  /** Lets watching keep the event loop alive; so it is at first. */
  ref(): this {
    this.#readers.hold(true);
    return this;
  }

  /** Lets the process end although somebody watches. */
  unref(): this {
    this.#readers.hold(false);
    return this;
  }

  /**
   * Closes the descriptor; promises of `wait()` reject, iterators end. Harmless where closed already.
   *
   * @throws MshvError `ERR_MSHV_OWNED` where the event belongs to a route: close the route
   */
  close(): void {
    if (!this.#descriptor.closed) {
      this.#descriptor.close(() => {
        this.#readers.end();
      });
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { closed, semaphore } = this;
    return inspected(
      'EventFd',
      closed ? { closed } : { fd: this.#descriptor.name, semaphore, closed },
      depth,
      options,
    );
  }
}

/** Makes an EventFd with the addon of what it is made from, which is open where `fd` throws nothing. */
export function createEventOf(
  { native, fd }: { readonly native: Native; readonly fd: () => number },
  options: NewEventOptions,
): EventFd {
  const checked = takeOptions('options', options, newEventOptions);
  fd();
  return EventFd.create({ ...checked, native });
}

/** An EventFd of a partition's own addon: its driver knows no eventfd of another one. */
export function ownEventArgument(name: string, event: EventFd, native: Native): EventFd {
  if (descriptorOf(event).native !== native) {
    throw typeError(
      name,
      "an EventFd of the partition's own addon, as partition.createEvent() makes them",
      event,
    );
  }
  return event;
}

/** The number that nobody else knows; throws where it is closed. */
export function eventFdNumber(event: EventFd): number {
  return descriptorOf(event).open();
}

/** Makes an event a part of something else, whose close() is then the only way to close it. */
export function setEventFdOwner(event: EventFd, owner: string | undefined): void {
  descriptorOf(event).owner = owner;
}

export { brand as eventFdBrand };
