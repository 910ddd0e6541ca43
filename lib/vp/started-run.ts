import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import type { Intercept } from '../abi/intercepts.js';
import { onAbort } from '../abort-signal.js';
import { show, ours, ownConstructor } from '../arguments.js';
import { MshvError } from '../errors.js';
import { inspected } from '../inspection.js';
import { stepError } from '../step-error.js';
import { isThenable } from '../thenable.js';
import { toldAt } from './exit-block.js';
import type { PendingExit } from './pending-exit.js';
import type { VpDescriptor } from './vp-descriptor.js';
import { runError, runningError } from './run-errors.js';

/** What an exit handler answers: the VP runs on unless it is `'stop'`. */
// Handlers that are declared to return nothing are to be accepted.
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type
export type ExitAnswer = 'stop' | void;

/**
 * Handles an exit of a VP. The exit is valid until the handler has answered, by returning or, where it is
 * asynchronous, by its promise.
 */
export type ExitHandler = (exit: Intercept) => ExitAnswer | Promise<ExitAnswer>;

/**
 * How a run ended: `'stopped'` by its handler or `stop()`, `'canceled'` by `vp.cancel()`, `'closed'` with the
 * VP.
 */
export type RunEnd = 'stopped' | 'canceled' | 'closed';

let begin: (
  vp: VpDescriptor,
  pending: PendingExit,
  handler: ExitHandler,
  ended: () => void,
  signal: AbortSignal | undefined,
) => StartedRun;
let finish: (run: StartedRun, end: RunEnd) => void;

interface Settle {
  readonly resolve: (end: RunEnd) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A VP that runs on a native thread of its own: what `vp.start()` returns.
 *
 * @example
 * ```ts
 * const run = vp.start(() => 'stop');
 * run.stop();
 * console.log(await run.finished); // stopped
 * ```
 */
export class StartedRun {
  readonly #vp: VpDescriptor;
  readonly #pending: PendingExit;
  readonly #handler: ExitHandler;
  /** In which it was given. */
  readonly #context = new AsyncResource('MSHV_STARTED_RUN');
  readonly #onEnd: () => void;
  /** Undefined once the run has ended. */
  #settle: Settle | undefined;
  readonly #stopListening: (() => void) | undefined;
  /** Why it was stopped, where a signal did. */
  #abortion: { readonly reason: unknown } | undefined;

  /**
   * Settles when the VP has stopped and its thread is gone; the handler is not called any more then.
   *
   * Rejects with what the handler threw or rejected with, and with an MshvError where the VP could not be
   * run: `EFAULT`, `EIO`, …, `ERR_MSHV_VP_RUNNING` where another thread runs it or waits for an answer; with the reason of
   * the signal that `start()` was given where that has aborted. Whoever does not look at it gets an unhandled rejection.
   */
  readonly finished: Promise<RunEnd>;

  private constructor(
    key: symbol,
    vp: VpDescriptor,
    pending: PendingExit,
    handler: ExitHandler,
    ended: () => void,
    signal: AbortSignal | undefined,
  ) {
    ownConstructor('StartedRun', key);
    this.#vp = vp;
    this.#pending = pending;
    this.#handler = handler;
    this.#onEnd = ended;
    const result = vp.native.vpStart(vp.runnable, (returned) => {
      this.#onExit(returned);
    });
    if (result < 0) {
      throw result === -constants.errno.EBUSY
        ? runningError(vp.index, `start VP ${vp.index}`)
        : stepError(vp.native, `start VP ${vp.index}`, result);
    }
    this.finished = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#stopListening =
      signal &&
      onAbort(signal, (reason) => {
        this.#abort(reason);
      });
  }

  static {
    begin = (...args) => new StartedRun(ours, ...args);
    finish = (run, end) => {
      run.#end()?.resolve(end);
    };
  }

  /** Whether `finished` is settled, or is about to be. */
  get ended(): boolean {
    return this.#settle === undefined;
  }

  /**
   * Stops the VP wherever it is and ends its thread; `finished` resolves with `'stopped'`. An exit that was
   * on its way is not delivered: the guest executes its instruction again. One that is no instruction, as
   * `'sint-deliverable'`, comes once and is delivered by the next run.
   *
   * A handler that calls this may complete its exit before or after it, until the next run. What it throws after
   * the end is an uncaught exception, but for `ERR_MSHV_CLOSED` and `ERR_MSHV_STALE_EXIT`, which say that it came too
   * late. Harmless where the run has ended.
   *
   * @throws MshvError where the VP cannot be interrupted, as `vp.cancel()`: the run goes on
   *
   * @example
   * ```ts
   * const run = vp.start(() => undefined);
   * run.stop();
   * console.log(await run.finished); // stopped
   * ```
   */
  stop(): void {
    finish(this, 'stopped');
  }

  /** Lets the run keep the event loop alive; so it is at first. */
  ref(): this {
    return this.#hold(true);
  }

  /** Lets the process end although the VP runs. */
  unref(): this {
    return this.#hold(false);
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('StartedRun', { vp: this.#vp.index, ended: this.ended }, depth, options);
  }

  #hold(hold: boolean): this {
    if (!this.ended) {
      this.#vp.native.vpHoldLoop(this.#vp.fd, hold);
    }
    return this;
  }

  #onExit(result: number): void {
    if (this.ended) {
      return;
    }
    if (result === -constants.errno.ECANCELED) {
      finish(this, 'canceled');
      return;
    }
    if (result < 0) {
      this.#fail(runError(this.#vp.index, result));
      return;
    }
    try {
      const exit = this.#pending.arrive();
      const answer = this.#context.runInAsyncScope(this.#handler, undefined, exit);
      this.#vp.block.bytes[toldAt] = 1;
      // Looking for `then` may throw as well.
      if (isThenable(answer)) {
        this.#pending.retire();
        void this.#await(answer);
      } else {
        this.#answer(answer);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #await(promise: PromiseLike<ExitAnswer>): Promise<void> {
    try {
      this.#answer(await promise);
    } catch (error) {
      this.#fail(error);
    }
  }

  #answer(answer: ExitAnswer): void {
    if (this.ended) {
      return;
    }
    if (answer === 'stop') {
      finish(this, 'stopped');
      return;
    }
    const given: unknown = answer;
    if (given !== undefined) {
      throw answerError(given);
    }
    this.#pending.clear();
    const { native, index, fd } = this.#vp;
    const result = native.vpResume(fd);
    if (result < 0) {
      this.#fail(runError(index, result, native));
    }
  }

  /**
   * An error after the end, of a handler that stopped its own run, must not go unseen either, but for what
   * the end itself makes of a handler that goes on.
   */
  #fail(error: unknown): void {
    const settle = this.#end();
    if (settle !== undefined) {
      settle.reject(error);
    } else if (!this.#isOfTheEnd(error)) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #isOfTheEnd(error: unknown): boolean {
    if (error instanceof MshvError && causedByTheEnd.has(error.code)) {
      return true;
    }
    // What the handler waited for with the same signal rejects with its reason, or with an AbortError of that cause.
    const abortion = this.#abortion;
    return (
      abortion !== undefined && (error === abortion.reason || causeOf(error) === abortion.reason)
    );
  }

  #abort(reason: unknown): void {
    try {
      const settle = this.#end();
      this.#abortion = { reason };
      settle?.reject(reason);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Ends the thread and returns what settles `finished`; undefined where the run has ended before. */
  #end(): Settle | undefined {
    const settle = this.#settle;
    if (settle !== undefined) {
      const { native, fd, index } = this.#vp;
      const result = native.vpStop(fd);
      if (result < 0) {
        throw stepError(native, `stop VP ${index}`, result);
      }
      this.#settle = undefined;
      this.#stopListening?.();
      // Its handler may go on, and so long as another run.
      this.#pending.retire();
      this.#onEnd();
    }
    return settle;
  }
}

export { begin as beginRun, finish as finishRun };

/** What a handler runs into that goes on after its run has ended, or its VP was closed. */
const causedByTheEnd: ReadonlySet<string> = new Set(['ERR_MSHV_CLOSED', 'ERR_MSHV_STALE_EXIT']);

function causeOf(error: unknown): unknown {
  try {
    return error instanceof Error ? error.cause : undefined;
  } catch {
    // A revoked proxy, say: what was thrown may be anything.
    return undefined;
  }
}

function answerError(answer: unknown): TypeError {
  return Object.assign(
    new TypeError(`An exit handler must return nothing or 'stop', received ${show(answer)}`),
    { code: 'ERR_INVALID_RETURN_VALUE' },
  );
}
