import { inspect, type InspectOptions } from 'node:util';

import { flagArgument, vpArgument } from '../abi/arguments.js';
import { closedError, MshvError } from '../errors.js';
import { inspected } from '../inspection.js';
import { type Native, optionalNative } from '../native.js';
import { takeOptions, type OptionTable } from '../options.js';
import { synchronous } from '../thenable.js';
import { implementationArgument, noVpError, targetArguments } from './arguments.js';
import {
  failuresOption,
  reasonOf,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import type { GuestEventPort } from './guest-ports.js';
import { Interrupt } from '../irq/interrupt.js';

/** What event ports need of a partition. */
export interface EventPartition {
  /** Whether there is a VP with this index. */
  hasVp(index: number): boolean;
  /**
   * Sets an event flag of a SINT and asserts the SINT: `HVCALL_SIGNAL_EVENT_DIRECT`.
   *
   * @returns whether the flag was clear before
   */
  signalEvent(vtl: number, vp: number, sint: number, flag: number): boolean;
}

/** Which flag a port signals, and what is told of failures. */
export interface DirectGuestEventPortOptions {
  /** The addon that makes the interrupt's event. Default: the one that makes system calls. */
  native?: Native;
  /**
   * Is told of what the partition throws when the interrupt is delivered: `ERR_MSHV_EVENT_REFUSED`, with
   * that as its `cause`; and, without one, of an event that is signalled before the port was told what it is to signal. A guest that has its SynIC off makes every signal fail. Default: the first failure of each
   * port is a process warning.
   */
  onError?: FailureListener | FailureReports;
}

const portOptions = {
  native: optionalNative,
  onError: failuresOption,
} satisfies OptionTable<DirectGuestEventPortOptions>;

interface Flag {
  readonly vtl: number;
  readonly vp: number;
  readonly sint: number;
  readonly flag: number;
}

/**
 * An event port that signals its flag with `HVCALL_SIGNAL_EVENT_DIRECT`: the hypervisor knows of no port.
 *
 * @example
 * ```ts
 * import { DirectGuestEventPort } from 'mshv';
 *
 * const flags: number[] = [];
 * const port = new DirectGuestEventPort({
 *   hasVp: (index) => index === 0,
 *   signalEvent: (vtl, vp, sint, flag) => flags.push(flag) > 0,
 * });
 * port.set(0, 0, 2, 7);
 * console.log(port.signal(), flags); // true [ 7 ]
 * ```
 */
export class DirectGuestEventPort implements GuestEventPort {
  readonly #partition: EventPartition;
  readonly #failures: Failures;
  readonly #interrupt: Interrupt;
  #flag: Flag | undefined;
  /** `set` or `clear` has said what there is to signal. */
  #chosen = false;
  #closed = false;

  constructor(partition: EventPartition, options: DirectGuestEventPortOptions = {}) {
    implementationArgument('partition', partition, ['hasVp', 'signalEvent']);
    const { native, onError } = takeOptions('options', options, portOptions);
    this.#failures = onError;
    this.#partition = partition;
    this.#interrupt = Interrupt.fromFunction(
      () => {
        this.#deliver();
      },
      native === undefined ? {} : { native },
    );
  }

  /**
   * What signals the flag: see `GuestEventPort.interrupt`. It never throws: what the partition refuses is reported, and so
   * is an event that comes before the first `set` or `clear`. After `close()` it does nothing.
   *
   * @example
   * ```ts
   * import { DirectGuestEventPort } from 'mshv';
   *
   * const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent: () => true });
   * console.log(port.interrupt() === port.interrupt()); // true
   * ```
   */
  interrupt(): Interrupt {
    return this.#interrupt;
  }

  /**
   *
   * @example
   * ```ts
   * import { DirectGuestEventPort } from 'mshv';
   *
   * const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent: () => true });
   * console.log(port.signal()); // false
   * port.set(0, 0, 2, 7);
   * console.log(port.signal()); // true
   * ```
   */
  signal(): boolean {
    this.#open();
    return this.#signal();
  }

  /**
   * Chooses the flag.
   *
   * @param flag - 0 to 2047
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index; nothing changes then
   *
   * @example
   * ```ts
   * import { DirectGuestEventPort } from 'mshv';
   *
   * const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent: () => true });
   * port.set(0, 0, 2, 7); // VTL, VP, SINT, flag
   * ```
   */
  set(vtl: number, vp: number, sint: number, flag: number): void {
    this.#open();
    const target = { ...targetArguments(vtl, vp, sint), flag: flagArgument('flag', flag) };
    this.#present(target.vp);
    this.#flag = target;
    this.#chosen = true;
  }

  /**
   *
   * @example
   * ```ts
   * import { DirectGuestEventPort } from 'mshv';
   *
   * const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent: () => true });
   * port.set(0, 0, 2, 7);
   * port.clear();
   * console.log(port.signal()); // false
   * ```
   */
  clear(): void {
    this.#open();
    this.#flag = undefined;
    this.#chosen = true;
  }

  /**
   * Signals the same flag of another VP from now on. A port without a flag stays without one.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index; nothing changes then
   *
   * @example
   * ```ts
   * import { DirectGuestEventPort } from 'mshv';
   *
   * const port = new DirectGuestEventPort({
   *   hasVp: () => true,
   *   signalEvent: (vtl, vp) => vp === 1,
   * });
   * port.set(0, 0, 2, 7);
   * port.setTargetVp(1);
   * console.log(port.signal()); // true
   * ```
   */
  setTargetVp(vp: number): void {
    this.#open();
    vp = vpArgument('vp', vp);
    this.#present(vp);
    if (this.#flag !== undefined) {
      this.#flag = { ...this.#flag, vp };
    }
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.#flag = undefined;
    this.#interrupt.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const closed = this.#closed;
    return inspected(
      'GuestEventPort',
      closed ? { closed } : { ...(this.#flag ?? { flag: 'none' }), closed },
      depth,
      options,
    );
  }

  #signal(): boolean {
    if (this.#flag === undefined) {
      return false;
    }
    const { vtl, vp, sint, flag } = this.#flag;
    return synchronous('signalEvent()', this.#partition.signalEvent(vtl, vp, sint, flag));
  }

  #deliver(): void {
    // Nobody sees here that there was nothing to signal.
    if (!this.#chosen && !this.#closed) {
      this.#refuse('no flag has been set yet, so that the event is lost', undefined);
      return;
    }
    try {
      this.#signal();
    } catch (cause) {
      this.#refuse(reasonOf(cause), cause);
    }
  }

  #refuse(reason: string, cause: unknown): void {
    this.#failures.report(
      this,
      () =>
        new MshvError(`cannot signal an event of the guest: ${reason}`, {
          code: 'ERR_MSHV_EVENT_REFUSED',
          ...(cause !== undefined && { cause }),
        }),
    );
  }

  #present(vp: number): void {
    if (!this.#partition.hasVp(vp)) {
      throw noVpError(vp);
    }
  }

  #open(): void {
    if (this.#closed) {
      throw closedError('GuestEventPort');
    }
  }
}
