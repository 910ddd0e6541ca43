import { inspect, type InspectOptions } from 'node:util';

import { onAbort, throwIfAborted } from './abort-signal.js';
import { inspected } from './inspection.js';

export interface TakingIteratorOptions<Value> {
  /**
   * Takes the next value, for nobody else; undefined where no more will come. Rejects where `left` aborts, and has taken nothing then.
   * It is called when the one before has settled.
   */
  take(left: AbortSignal): Promise<Value | undefined>;
  /** Called once, when nothing will be taken any more. */
  end?(): void;
  signal?: AbortSignal | undefined;
}

const done = { done: true, value: undefined } as const;

/**
 * Iterates over what is taken from somewhere, each value when `next()` asks for it and for that call alone: who leaves the
 * loop leaves the rest where it was.
 *
 * - Calls of `next()` that overlap get one value after the other, in their order.
 * - `return()`, `throw()` and leaving a loop end it: the calls of `next()` that wait are done.
 * - Where `signal` aborts, one `next()`, the first that waits or else the next one, rejects with its reason, and the others
 *   are done. So they are after an error.
 */
export class TakingIterator<Value> implements AsyncGenerator<Value, void, undefined> {
  readonly #options: TakingIteratorOptions<Value>;
  readonly #left = new AbortController();
  #ended = false;
  /** Settles, without an error, when the last `next()` has. */
  #last: Promise<unknown> | undefined;
  #stopListening: (() => void) | undefined;

  constructor(options: TakingIteratorOptions<Value>) {
    this.#options = options;
  }

  next(): Promise<IteratorResult<Value, void>> {
    const result = this.#last === undefined ? this.#next() : this.#last.then(() => this.#next());
    const last = result
      .catch(() => undefined)
      .then(() => {
        if (this.#last === last) {
          this.#last = undefined;
        }
      });
    this.#last = last;
    return result;
  }

  async return(): Promise<IteratorReturnResult<void>> {
    this.#finish();
    await this.#last;
    return done;
  }

  /** Ends the iteration as `return()` does, and rejects with `error`. */
  async throw(error?: unknown): Promise<never> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<Value, void>> {
    if (this.#hasEnded()) {
      return done;
    }
    try {
      this.#listen();
      this.#left.signal.throwIfAborted();
      const value = await this.#options.take(this.#left.signal);
      if (value !== undefined) {
        return { done: false, value };
      }
    } catch (error) {
      // What return() has brought about is the end that was asked for.
      if (!this.#hasEnded()) {
        this.#finish();
        throw error;
      }
    }
    this.#finish();
    return done;
  }

  /** From the first `next()` on: whoever never iterates leaves nothing at the signal. */
  #listen(): void {
    const { signal } = this.#options;
    if (signal !== undefined && this.#stopListening === undefined) {
      throwIfAborted(signal);
      this.#stopListening = onAbort(signal, (reason) => {
        this.#leave(reason);
      });
    }
  }

  /** It may have ended while a value was waited for. */
  #hasEnded(): boolean {
    return this.#ended;
  }

  #finish(): void {
    this.#ended = true;
    this.#leave(undefined);
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('TakingIterator', { ended: this.#ended }, depth, options);
  }

  /** Nothing is taken any more: what is waiting for it rejects with `reason`. */
  #leave(reason: unknown): void {
    if (!this.#left.signal.aborted) {
      this.#left.abort(reason);
      this.#stopListening?.();
      this.#options.end?.();
    }
  }
}
