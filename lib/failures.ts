import { AsyncResource } from 'node:async_hooks';
import { inspect, type InspectOptions } from 'node:util';

import {
  type Brand,
  isInstance,
  functionArgument,
  isObject,
  isRevoked,
  typeError,
} from './arguments.js';
import { MshvError } from './errors.js';
import { inspected } from './inspection.js';

/**
 * Is told of what failed where no caller can be told.
 *
 * A guest can make most of it happen as often as it likes, so a listener is told of at most 8 failures in a second of
 * one thing (a port, a hypercall, a VP, a monitor page) and of at most 64 in all. The others are counted: when the
 * second is over, one `ERR_MSHV_SUPPRESSED` has their number as `suppressed`, and the last of them as its `cause`.
 * Each object that is given a listener counts for itself, a `PartitionSynic` for all ports and queues of it: what one
 * guest makes fail uses up nothing of another's. `FailureReports` are for objects that are to count together.
 */
export type FailureListener = (error: MshvError) => void;

const mostOfOne = 8;
const mostInAll = 64;
const intervalMs = 1000;

let brand: Brand<FailureReports>;

/**
 * What several objects report to one listener, no more of it together than `FailureListener` says. Given to each of
 * them as its `onError`.
 *
 * @example
 * ```ts
 * import { FailureReports, PartitionSynic } from 'mshv';
 *
 * // One listener for several: of each what fails is told so many times a second, and then counted.
 * const reports = new FailureReports((error) => console.warn(error.message));
 * using synic = new PartitionSynic(partition, { onError: reports });
 * console.log(synic.closed); // false
 * ```
 */
export class FailureReports {
  readonly #listener: FailureListener;
  /** In which it was given. */
  readonly #context = new AsyncResource('MSHV_FAILURES');
  #began = -Infinity;
  #inAll = 0;
  /** How often the listener was told of each thing in this interval: at most 64 of them. */
  readonly #ofOne = new Map<object, number>();
  #suppressed = 0;
  #last: (() => MshvError) | undefined;
  #timer: NodeJS.Timeout | undefined;

  static {
    brand = { name: 'FailureReports', has: (value): value is FailureReports => #listener in value };
  }

  /** @param listener - what it throws is an uncaught exception */
  constructor(listener: FailureListener) {
    this.#listener = functionArgument('listener', listener);
  }

  /**
   * Reports a failure, or counts it where the listener has heard enough.
   *
   * @param what - what failed, of which there are not more where the guest wants it
   * @param makeError - called where somebody is told
   */
  report(what: object, makeError: () => MshvError): void {
    if (!isObject(what)) {
      throw typeError('what', 'an object', what);
    }
    functionArgument('makeError', makeError);
    const now = performance.now();
    // By the clock too: where somebody blocks the event loop no timer comes.
    if (now - this.#began >= intervalMs) {
      this.#endInterval();
      this.#began = now;
    }
    const told = this.#ofOne.get(what) ?? 0;
    if (told < mostOfOne && this.#inAll < mostInAll) {
      this.#ofOne.set(what, told + 1);
      this.#inAll++;
      this.#tell(makeError());
      return;
    }
    this.#suppressed++;
    this.#last = makeError;
    this.#timer ??= setTimeout(() => {
      this.#endInterval();
    }, intervalMs).unref();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected(
      'FailureReports',
      { reported: this.#inAll, suppressed: this.#suppressed },
      depth,
      options,
    );
  }

  #endInterval(): void {
    const suppressed = this.#suppressed;
    const last = this.#last?.();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#began = -Infinity;
    this.#inAll = 0;
    this.#ofOne.clear();
    this.#suppressed = 0;
    this.#last = undefined;
    if (last !== undefined) {
      this.#tell(
        new MshvError(`${suppressed} failures were not reported, the last: ${last.message}`, {
          code: 'ERR_MSHV_SUPPRESSED',
          suppressed,
          cause: last,
        }),
      );
    }
  }

  #tell(error: MshvError): void {
    try {
      this.#context.runInAsyncScope(this.#listener, undefined, error);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }
}

export function reportsArgument(
  name: string,
  onError: FailureListener | FailureReports,
): FailureReports {
  if (isInstance(onError, brand)) {
    return onError;
  }
  if (typeof onError !== 'function' || isRevoked(onError)) {
    throw typeError(name, 'a function or an instance of FailureReports', onError);
  }
  return new FailureReports(onError);
}

/**
 * Where failures go that must stop neither a VP nor a device: those of handlers, which a guest can
 * provoke as often as it likes.
 *
 * Without a listener the first failure of each thing is a process warning, and the others are dropped.
 * What a listener throws is an uncaught exception.
 */
export class Failures {
  readonly #reports: FailureReports | undefined;
  readonly #warned = new WeakSet();

  /** @param name - of the option that `onError` came with */
  constructor(name: string, onError: FailureListener | FailureReports | undefined) {
    this.#reports = onError === undefined ? undefined : reportsArgument(name, onError);
  }

  /** See `FailureReports.report`. */
  report(what: object, makeError: () => MshvError): void {
    if (this.#reports !== undefined) {
      this.#reports.report(what, makeError);
    } else if (!this.#warned.has(what)) {
      this.#warned.add(what);
      process.emitWarning(makeError());
    }
  }
}

/** The `onError` of options. */
export function failuresOption(
  name: string,
  onError: FailureListener | FailureReports | undefined,
): Failures {
  return new Failures(name, onError);
}

/** `error` as a part of a sentence. */
export function reasonOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    // An object without a prototype, say: what was thrown may be anything.
    return 'something that cannot be shown';
  }
}

export { brand as failureReportsBrand };
