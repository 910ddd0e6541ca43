import { AsyncResource } from 'node:async_hooks';

import { onAbort, throwIfAborted, type WaitOptions } from '../abort-signal.js';
import { closedError, MshvError } from '../errors.js';
import { createHandle, type Handle } from '../handle.js';
import { takeOptions, waitOptions } from '../options.js';
import { watchRefusal } from '../runtime.js';
import { stepError } from '../step-error.js';
import type { EventDescriptor } from './event-descriptor.js';

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

/** Who waits for the counts of one EventFd, each for one of its own, and who listens to all of them. */
export class CountReaders {
  readonly #descriptor: EventDescriptor;
  /** Those who wait for a count of their own, the one first who has waited longest. */
  readonly #takers = new Set<Taker>();
  readonly #listeners = new Set<Listener>();
  #holdsLoop = true;
  /** Whether a promise was resolved without the event loop since that has turned last. */
  #resolvedAtOnce = false;

  constructor(descriptor: EventDescriptor) {
    this.#descriptor = descriptor;
  }

  /** Waits for one count: see `EventFd.wait()`. */
  take(options: WaitOptions): Promise<bigint> {
    return new Promise((resolve, reject) => {
      const { signal } = takeOptions('options', options, waitOptions);
      this.#descriptor.open();
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

  /** Listens to all counts: see `EventFd.watch()`. */
  listen(listener: (count: bigint) => void, signal: AbortSignal | undefined): Handle {
    this.#descriptor.open();
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
    return createHandle(`the watch of eventfd ${this.#descriptor.name}`, {
      isOpen: () => this.#listeners.has(entry),
      end,
    });
  }

  /** Whether they keep the event loop alive. */
  hold(hold: boolean): void {
    const fd = this.#descriptor.open();
    this.#holdsLoop = hold;
    if (this.#isWatched) {
      this.#descriptor.native.holdLoop(fd, hold);
    }
  }

  /** The descriptor has ended, and with it the watch of it. */
  end(): void {
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
    const count = this.#descriptor.read();
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
      this.#watch();
    }
    entries.add(entry);
  }

  #watch(): void {
    const { native, name } = this.#descriptor;
    const fd = this.#descriptor.open();
    const refusal = watchRefusal();
    if (refusal !== undefined) {
      throw new MshvError(`cannot watch eventfd ${name}: ${refusal}`, { code: 'ERR_MSHV_RUNTIME' });
    }
    const result = native.watch(fd, (count) => {
      this.#deliver(count);
    });
    if (result < 0) {
      throw stepError(native, `watch eventfd ${name}`, result);
    }
    native.holdLoop(fd, this.#holdsLoop);
  }

  #remove<Entry>(entries: Set<Entry>, entry: Entry): void {
    if (entries.delete(entry) && !this.#isWatched && !this.#descriptor.closed) {
      this.#descriptor.native.unwatch(this.#descriptor.open());
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
}
