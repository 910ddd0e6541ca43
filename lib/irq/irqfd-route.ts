import { inspect, type InspectOptions } from 'node:util';

import { ours, ownConstructor } from '../arguments.js';
import { MshvError } from '../errors.js';
import type { EventFd } from '../eventfd/eventfd.js';
import { hexadecimal, inspected } from '../inspection.js';
import {
  checkedMsi,
  driverMsi,
  msiArguments,
  msiRefusal,
  refusalText,
  type MsiRefusalCode,
  type MsiRoute,
} from './msi.js';
import type { RouteSettings, RouteState } from './route-commit.js';

/** What a route needs of the IrqFd that made it. */
export interface RouteOwner {
  /** Brings the route to `settings`: at once, or with the batch that is being recorded. */
  change(route: RouteState, settings: RouteSettings): void;
  /** Lets go of a quarantined route: its eventfds are closed, its GSI is never used again. */
  abandon(route: RouteState): void;
}

/** What became of an MSI that a guest chose: see `IrqFdRoute.trySetMsi`. */
export type MsiOutcome =
  | { readonly live: true }
  | {
      readonly live: false;
      /** `'masked'`: the route has the MSI and is masked. Any other: the MSI was refused, and the route has none. */
      readonly code: 'masked' | MsiRefusalCode;
      /** The same for people. */
      readonly reason: string;
    };

// The usual answers, made once.
const live: MsiOutcome = Object.freeze({ live: true });
const masked: MsiOutcome = Object.freeze({
  live: false,
  code: 'masked',
  reason: 'the route is masked',
});

let create: (owner: RouteOwner, state: RouteState) => IrqFdRoute;

/**
 * One GSI and one eventfd of a partition: a signal on `event` injects the MSI that `setMsi` chose,
 * inside the driver, without a turn through user space.
 *
 * A route is made by `partition.irqfd.newRoute()`. It is armed, that is, the driver injects, while it
 * has an MSI and is not masked. While it is not armed, signals add up in the eventfd: `pending` shows
 * them, arming injects once for all of them, `takePending()` takes them away.
 *
 * Every change is all or nothing: where the driver refuses a step, an MshvError with that step is
 * thrown and everything is as before. Inside `partition.irqfd.batch()` changes are recorded: `masked`,
 * `route` and `closed` show what is recorded, `armed` what the driver has.
 *
 * @example
 * ```ts
 * route.mask();
 * route.event.signal();
 * route.event.signal();
 * console.log(route.pending, simulator.interrupts(partition).length); // true 0
 * route.unmask();
 * console.log(simulator.interrupts(partition).length); // 1
 * ```
 */
export class IrqFdRoute implements Disposable {
  readonly #owner: RouteOwner;
  readonly #state: RouteState;

  private constructor(key: symbol, owner: RouteOwner, state: RouteState) {
    ownConstructor('IrqFdRoute', key);
    this.#owner = owner;
    this.#state = state;
  }

  static {
    create = (owner, state) => new IrqFdRoute(ours, owner, state);
  }

  /** The eventfd to signal. It belongs to the route and is closed with it. */
  get event(): EventFd {
    return this.#state.event;
  }

  /**
   * The eventfd that the driver signals when the guest ends a level-triggered interrupt; undefined
   * where the route was not made by `newResampleRoute`.
   */
  get resampleEvent(): EventFd | undefined {
    return this.#state.resampleEvent;
  }

  /** What whoever made it calls it. */
  get name(): string | undefined {
    return this.#state.name;
  }

  /** 1 to 4095, this route's alone until it is closed. */
  get gsi(): number {
    return this.#state.gsi;
  }

  /**
   * The MSI that signals become, or undefined. Masking keeps it. A redirection hint to a logical destination shows as
   * lowest-priority delivery, which is what it means.
   */
  get route(): MsiRoute | undefined {
    return this.#state.wanted.msi;
  }

  /** Whether signals wait in the eventfd: after `mask()`, until `unmask()`. */
  get masked(): boolean {
    return this.#state.wanted.masked;
  }

  /** Whether the driver turns signals into interrupts at this moment. */
  get armed(): boolean {
    return this.#state.armed;
  }

  /** Whether `close()` was called, here or by the partition. */
  get closed(): boolean {
    return this.#state.wanted.closed;
  }

  /**
   * Whether undoing a failed change failed too. What the driver has of this route is not known then:
   * only `close()` is left, and the GSI is not handed out again.
   */
  get quarantined(): boolean {
    return this.#state.quarantined;
  }

  /**
   * Whether signals wait in the eventfd. Always false while armed: the driver consumes the counter in
   * the write, and what it leaves there when arming has been injected already.
   */
  get pending(): boolean {
    this.#usable('look for pending signals of');
    return !this.#state.armed && this.#state.event.pending;
  }

  /**
   * Takes away the signals that wait in the eventfd and returns how many there were; 0 while armed.
   * Not a change of the route: inside a batch it acts at once and is not undone.
   *
   * @example
   * ```ts
   * route.mask();
   * route.event.signal();
   * console.log(route.takePending()); // 1n
   * route.unmask(); // nothing to inject
   * ```
   */
  takePending(): bigint {
    this.#usable('take pending signals of');
    return this.#state.armed ? 0n : (this.#state.event.tryRead() ?? 0n);
  }

  /**
   * Sets the MSI and arms the route unless it is masked. An MSI equal to the present one does nothing.
   * A live route is disarmed, changed and armed again: signals in between are injected once for all of
   * them, with the new MSI. A signal that another thread writes at the very moment of arming may be
   * injected twice (the driver looks at the counter without its lock); none is lost.
   *
   * Which VP has which APIC id is looked up at this moment: give VPs their ids first.
   *
   * @param address - x64: 0xfee in bits 31:20, 19:12 the destination APIC id, 3 redirection hint, 2 logical destination.
   *   arm64: any below 2^32, it is not looked at
   * @param data - x64: bits 7:0 vector, 10:8 delivery mode; on a resample route 15 and 14, level and asserted. arm64: the
   *   INTID, 0 to 255
   * @throws RangeError `ERR_OUT_OF_RANGE` for an MSI that the driver would not deliver as it is meant: docs/routes.md has
   *   the table. The route keeps the MSI that it had
   *
   * @example
   * ```ts
   * route.setMsi(0xfee00000, 0x42);
   * route.event.signal();
   * console.log(simulator.interrupts(partition)[0]?.vector); // 66
   * ```
   */
  setMsi(address: number | bigint, data: number): void {
    this.#usable('set the MSI of');
    const msi = checkedMsi(address, data, this.#state.targets);
    this.#owner.change(this.#state, { ...this.#state.wanted, msi });
  }

  /**
   * Sets an MSI that a guest chose, any 64 and any 32 bits: where `setMsi` would throw for them, this takes the MSI away
   * that the route had, as `clearMsi` does, and says why. The guest has asked for something that is not delivered, so its
   * former vector must not go on firing; signals add up in the eventfd until the next MSI that can be delivered.
   *
   * Inside a batch it is recorded like everything: `live` says what the route will be, and an MSI that is refused leaves
   * the other routes as they are.
   *
   * @returns whether signals become interrupts from now on. Allocates nothing for the answer where they do
   * @throws MshvError as every change, where the driver refuses a step: no guest can choose that. The route is as before
   * @throws TypeError or RangeError for what no guest can write: other types, more bits
   *
   * @example
   * ```ts
   * const outcome = route.trySetMsi(0, 0); // what a guest has not programmed yet
   * if (!outcome.live) console.log(outcome.code); // no-interrupt-address
   * ```
   */
  trySetMsi(address: number | bigint, data: number): MsiOutcome {
    this.#usable('set the MSI of');
    const state = this.#state;
    const msi = msiArguments(address, data);
    const refusal = msiRefusal(msi.address, data, state.targets);
    if (refusal !== undefined) {
      this.#owner.change(state, { ...state.wanted, msi: undefined });
      return { live: false, code: refusal.code, reason: refusalText(refusal) };
    }
    this.#owner.change(state, { ...state.wanted, msi: driverMsi(msi, state.targets.architecture) });
    return state.wanted.masked ? masked : live;
  }

  /**
   * Disarms and unroutes. Signals add up in the eventfd until the next `setMsi`.
   *
   * @example
   * ```ts
   * route.clearMsi();
   * console.log(route.armed); // false
   * ```
   */
  clearMsi(): void {
    this.#usable('clear the MSI of');
    this.#owner.change(this.#state, { ...this.#state.wanted, msi: undefined });
  }

  /**
   * Disarms: signals add up in the eventfd. Pushes no routing table.
   *
   * @example
   * ```ts
   * route.mask();
   * console.log(route.masked, route.armed); // true false
   * ```
   */
  mask(): void {
    this.#usable('mask');
    this.#owner.change(this.#state, { ...this.#state.wanted, masked: true });
  }

  /**
   * Arms a masked route that has an MSI; the driver injects once where signals are pending. Pushes no
   * routing table.
   *
   * @example
   * ```ts
   * route.mask();
   * route.event.signal();
   * route.unmask();
   * console.log(simulator.interrupts(partition).length); // 1
   * ```
   */
  unmask(): void {
    this.#usable('unmask');
    this.#owner.change(this.#state, { ...this.#state.wanted, masked: false });
  }

  /**
   * Disarms, unroutes, closes the eventfd and frees the GSI. Harmless where closed already. Where the
   * driver refuses a step the route stays open as it was, because its GSI might still be armed.
   */
  close(): void {
    if (this.#state.quarantined) {
      this.#owner.abandon(this.#state);
    } else if (!this.closed) {
      this.#owner.change(this.#state, { msi: undefined, masked: true, closed: true });
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { name, gsi, event, armed, quarantined } = this.#state;
    const { msi, masked, closed } = this.#state.wanted;
    const shown = {
      gsi,
      name,
      msi: msi && { address: hexadecimal(msi.address), data: hexadecimal(msi.data) },
      state: closed
        ? undefined
        : quarantined
          ? 'quarantined'
          : armed
            ? 'armed'
            : masked
              ? 'masked'
              : 'disarmed',
      pending: closed || quarantined || armed ? undefined : shownPending(event),
      closed,
    };
    return inspected('IrqFdRoute', shown, depth, options);
  }

  #usable(verb: string): void {
    if (this.closed) {
      throw new MshvError(`cannot ${verb} GSI ${this.gsi}: the route is closed`, {
        code: 'ERR_MSHV_CLOSED',
      });
    }
    if (this.#state.quarantined) {
      throw new MshvError(
        `cannot ${verb} GSI ${this.gsi}: an earlier change could be neither made nor undone; close the route`,
        { code: 'ERR_MSHV_QUARANTINED' },
      );
    }
  }
}

/** Undefined where it cannot be seen: whoever prints a route is not in for an error. */
function shownPending(event: EventFd): boolean | undefined {
  try {
    return event.pending;
  } catch {
    return undefined;
  }
}

export { create as createIrqFdRoute };
