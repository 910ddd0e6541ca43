import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import type { Architecture } from '../abi/architecture.js';
import { irqfdFlags } from '../abi/irqfd.js';
import { functionArgument, typeError, ours, ownConstructor } from '../arguments.js';
import { throwClosingErrors } from '../closing.js';
import { architectureError, MshvError, systemError } from '../errors.js';
import { EventFd, eventFdNumber, ownEventArgument, setEventFdOwner } from '../eventfd/eventfd.js';
import { inspected } from '../inspection.js';
import type { Native } from '../native.js';
import { takeOptions, type Taken } from '../options.js';
import { synchronous } from '../thenable.js';
import { GsiAllocator } from './gsi-allocator.js';
import { createIrqFdRoute, type IrqFdRoute, type RouteOwner } from './irqfd-route.js';
import { checkedMsi, type MsiRoute, type MsiTargets } from './msi.js';
import { MsiRouteTable } from './msi-route-table.js';
import {
  commitRoutes,
  type IrqFdDriver,
  type RouteSettings,
  type RouteState,
} from './route-commit.js';
import {
  resampleRouteOptions,
  routeOptions,
  type NewResampleRouteOptions,
  type NewRouteOptions,
} from './route-options.js';

/** What the IrqFd needs of its partition. */
export interface IrqFdPartition {
  readonly native: Native;
  /** The partition's descriptor. Throws where the partition is closed. */
  fd(): number;
  /** The VP with this APIC id, `noVp`, or `severalVps`. */
  vpOf(apicId: number): number;
  /** Whether the driver may inject through the VPs' register pages. */
  readonly fastInjection: boolean;
  readonly architecture: Architecture;
}

let create: (partition: IrqFdPartition) => IrqFd;
let closeAll: (irqfd: IrqFd) => void;

/**
 * The interrupt routes of one partition: `partition.irqfd`.
 *
 * The environment that opened the partition owns its table; nobody else must issue
 * `MSHV_SET_MSI_ROUTING` or `MSHV_IRQFD` on it.
 *
 * @example
 * ```ts
 * const routes = partition.irqfd.batch(() => {
 *   const msi = { address: 0xfee00000, data: 0x50 };
 *   return [partition.irqfd.newRoute({ msi }), partition.irqfd.newRoute({ msi })];
 * });
 * for (const { event } of routes) event.signal();
 * console.log(simulator.interrupts(partition).length); // 2
 * ```
 */
export class IrqFd {
  readonly #partition: IrqFdPartition;
  readonly #gsis = new GsiAllocator();
  readonly #table: MsiRouteTable;
  readonly #routes = new Map<RouteState, IrqFdRoute>();
  readonly #edge: MsiTargets;
  /** The routes that the batch being recorded has touched. */
  #batch: Set<RouteState> | undefined;
  #quarantined = 0;
  readonly #driver: IrqFdDriver = {
    arm: (route: RouteState): void => {
      const flags = route.resampleEvent === undefined ? 0 : irqfdFlags.RESAMPLE;
      this.#irqfd(route, flags, 'arm');
      // The driver has injected for what was pending and left it in the counter.
      this.#partition.native.eventfdRead(eventFdNumber(route.event));
    },
    disarm: (route: RouteState): void => {
      this.#irqfd(route, irqfdFlags.DEASSIGN, 'disarm');
    },
  };
  /** What every route has of this. */
  readonly #owner: RouteOwner = {
    change: (route, wanted) => {
      this.#change(route, wanted);
    },
    abandon: (route) => {
      if (this.#routes.has(route)) {
        this.#tryDisarm(route);
        this.#discard(route);
      }
    },
  };

  private constructor(key: symbol, partition: IrqFdPartition) {
    ownConstructor('IrqFd', key);
    this.#partition = partition;
    this.#edge = this.#targets(undefined);
    this.#table = new MsiRouteTable((table) =>
      partition.native.setMsiRouting(partition.fd(), table),
    );
  }

  static {
    create = (partition) => new IrqFd(ours, partition);
    closeAll = (irqfd) => {
      irqfd.#close();
    };
  }

  /**
   * The routes that are open, ascending by GSI, those that are quarantined included. Inside a batch also those that it has
   * closed: they are open until it is over.
   */
  get routes(): IrqFdRoute[] {
    return [...this.#routes.values()].sort((one, other) => one.gsi - other.gsi);
  }

  /** How many routes are open. */
  get size(): number {
    return this.#routes.size;
  }

  /** How many GSIs are in use, those of quarantined routes included; 4095 is the most. */
  get gsisInUse(): number {
    return this.#gsis.inUse;
  }

  /** How many GSIs a failed undo has cost so far. */
  get quarantined(): number {
    return this.#quarantined;
  }

  /**
   * Allocates a GSI, the lowest free one from 256 up, and an eventfd.
   *
   * @throws MshvError `ERR_MSHV_GSI_EXHAUSTED` where 4095 are in use; `EMFILE` where the process is out
   *   of descriptors; `EBUSY` where `options.event` is armed in this partition already (without an MSI, or masked: later,
   *   when the route is to be armed)
   * @throws RangeError for an MSI that `IrqFdRoute.setMsi` would refuse
   *
   * @example
   * ```ts
   * using net = partition.irqfd.newRoute({ msi: { address: 0xfee00000, data: 0x50 }, name: 'net' });
   * net.event.signal();
   * console.log(simulator.interrupts(partition)[0]?.vector); // 80
   * ```
   */
  newRoute(options: NewRouteOptions = {}): IrqFdRoute {
    return this.#newRoute(takeOptions('options', options, routeOptions), undefined);
  }

  /**
   * Like `newRoute`, for a level-triggered interrupt that is to be raised again while its line is still
   * high: the driver signals `resampleEvent` when the guest ends the interrupt, and the owner of the
   * line then signals `event` once more if need be.
   *
   * The driver compares the vector that the guest ended with the GSI (`mshv_notify_acked_gsi`), so the
   * GSI is the vector, and so is every later MSI of this route. Where the driver injects
   * through register pages it would make an edge of it, so the destination has to be a logical one there
   * (`fast-injection` in docs/routes.md).
   *
   * @throws MshvError `ERR_MSHV_GSI_IN_USE` where another route has that GSI, naming its holder; `ERR_MSHV_ARCHITECTURE` on
   *   arm64, whose hypervisor sends the driver no message of an interrupt's end
   * @throws RangeError where `options.msi` is not level-triggered or has another vector
   *
   * @example
   * ```ts
   * using timer = partition.irqfd.newResampleRoute({ vector: 0x60 });
   * timer.setMsi(0xfee00000, 0x60 | (1 << 14) | (1 << 15)); // level, asserted
   * timer.event.signal();
   * console.log(timer.gsi, simulator.interrupts(partition)[0]?.level); // 96 true
   * ```
   */
  newResampleRoute(options: NewResampleRouteOptions): IrqFdRoute {
    const checked = takeOptions('options', options, resampleRouteOptions);
    this.#partition.fd();
    if (this.#partition.architecture !== 'x64') {
      throw architectureError(
        'make a resample route',
        'on arm64 nobody tells the driver that an interrupt has ended',
      );
    }
    return this.#newRoute(checked, checked.vector);
  }

  /**
   * Records every change of routes that `record` makes, then makes them all with one push of the
   * table: disarm all, push, arm all. New routes have their GSI and eventfd at once.
   *
   * Nothing is applied where `record` throws, where it is asynchronous, or where the driver refuses a
   * step: routes made inside are closed then, those closed inside are open again. The GSI of a route
   * closed inside is free after the batch, not for a new route within it.
   *
   * @returns what `record` returned
   * @throws MshvError `ERR_MSHV_BATCH_NESTED` inside another batch; `ERR_MSHV_CLOSED` where `record`
   *   closed the partition
   * @throws TypeError `ERR_INVALID_RETURN_VALUE` where `record` returned a promise, or a revoked proxy
   *
   * @example
   * ```ts
   * const [a, b] = partition.irqfd.batch(() => [partition.irqfd.newRoute(), partition.irqfd.newRoute()]);
   * partition.irqfd.batch(() => {
   *   a?.setMsi(0xfee00000, 0x50);
   *   b?.setMsi(0xfee00000, 0x51);
   * }); // one push of the table for both
   * console.log(a?.armed, b?.armed); // true true
   * ```
   */
  batch<Result>(record: () => Result): Result {
    functionArgument('record', record);
    this.#partition.fd();
    if (this.#batch !== undefined) {
      throw new MshvError('cannot begin a batch inside another one', {
        code: 'ERR_MSHV_BATCH_NESTED',
      });
    }
    const batch = new Set<RouteState>();
    const before = new Set(this.#routes.keys());
    this.#batch = batch;
    try {
      const result = synchronous('record()', record());
      this.#partition.fd();
      this.#batch = undefined;
      this.#commit(batch);
      return result;
    } catch (error) {
      this.#batch = undefined;
      for (const route of batch) {
        route.wanted = route.current;
      }
      for (const route of this.#routes.keys()) {
        if (!before.has(route)) {
          this.#discard(route);
        }
      }
      throw error;
    }
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { size, gsisInUse, quarantined } = this;
    return inspected('IrqFd', { routes: size, gsisInUse, quarantined }, depth, options);
  }

  #newRoute(options: Taken<typeof routeOptions>, vector: number | undefined): IrqFdRoute {
    const { msi, masked, event, name } = options;
    if (event !== undefined) {
      ownEventArgument('options.event', event, this.#partition.native);
      // Disarming takes one unit of what arming has injected for; the rest would be injected again.
      if (event.semaphore) {
        throw typeError('options.event', 'an EventFd that is no semaphore', event);
      }
    }
    this.#partition.fd();
    const targets = vector === undefined ? this.#edge : this.#targets(vector);
    let route: MsiRoute | undefined;
    if (msi !== undefined) {
      route = checkedMsi(msi.address, msi.data, targets, 'options.msi.');
    }

    const holder = name === undefined ? 'an unnamed route' : `route '${name}'`;
    const gsi =
      vector === undefined ? this.#gsis.allocate(holder) : this.#gsis.allocateExact(vector, holder);
    const settings = { msi: undefined, masked, closed: false };
    let state: RouteState | undefined;
    const opened: EventFd[] = [];
    try {
      const own = (source: EventFd | undefined): EventFd => {
        const owned = source?.clone() ?? EventFd.create({ native: this.#partition.native });
        opened.push(owned);
        setEventFdOwner(owned, `the route of GSI ${gsi}: close that`);
        return owned;
      };
      state = {
        name,
        gsi,
        event: own(event),
        resampleEvent: vector === undefined ? undefined : own(undefined),
        targets,
        current: settings,
        wanted: settings,
        armed: false,
        quarantined: false,
      };
      const made = createIrqFdRoute(this.#owner, state);
      this.#routes.set(state, made);
      if (route !== undefined) {
        this.#change(state, { ...settings, msi: route });
      }
      return made;
    } catch (error) {
      if (state !== undefined) {
        this.#discard(state);
      } else {
        opened.forEach(closeOwned);
        this.#gsis.free(gsi);
      }
      throw error;
    }
  }

  #targets(level: number | undefined): MsiTargets {
    const { fastInjection, architecture } = this.#partition;
    return {
      vpOf: (apicId) => this.#partition.vpOf(apicId),
      fastInjection,
      architecture,
      byDriver: true,
      level,
    };
  }

  #change(route: RouteState, wanted: RouteSettings): void {
    this.#partition.fd();
    route.wanted = wanted;
    if (this.#batch === undefined) {
      this.#commit([route]);
    } else {
      this.#batch.add(route);
    }
  }

  #commit(routes: Iterable<RouteState>): void {
    const touched = [...routes];
    try {
      commitRoutes(touched, this.#table, this.#driver);
    } finally {
      this.#quarantined += touched.filter((route) => route.quarantined).length;
    }
    for (const route of touched) {
      if (route.current.closed) {
        this.#discard(route);
      }
    }
  }

  /** Ends a route that nothing in the driver refers to, or that nobody can say that of. */
  #discard(route: RouteState): void {
    if (!this.#routes.delete(route)) {
      return;
    }
    closeOwned(route.event);
    if (route.resampleEvent !== undefined) {
      closeOwned(route.resampleEvent);
    }
    route.current = { msi: undefined, masked: true, closed: true };
    route.wanted = route.current;
    route.armed = false;
    if (!route.quarantined) {
      this.#gsis.free(route.gsi);
    }
  }

  /**
   * Takes every irqfd and the table away, as far as the driver lets it: nothing is undone, since the
   * partition's descriptor is closed whatever this throws.
   */
  #close(): void {
    const routes = [...this.#routes.keys()];
    const errors = routes.flatMap((route) => this.#tryDisarm(route));
    // What may still be armed stays routed: unrouted, its signals could assert vector 0.
    const disarmed = routes.filter((route) => !route.armed);
    try {
      this.#table.commit(disarmed.map(({ gsi }) => ({ gsi, msi: undefined })));
    } catch (error) {
      errors.push(error);
    }
    for (const route of routes) {
      this.#discard(route);
    }
    throwClosingErrors('Partition', errors);
  }

  /** Disarms a route that is about to end, and returns the error where the driver refuses. */
  #tryDisarm(route: RouteState): unknown[] {
    try {
      if (route.armed || route.quarantined) {
        this.#driver.disarm(route);
        route.armed = false;
      }
      return [];
    } catch (error) {
      return [error];
    }
  }

  #irqfd(route: RouteState, flags: number, verb: string): void {
    const { gsi, event, resampleEvent } = route;
    const { native } = this.#partition;
    const result = native.irqfd(
      this.#partition.fd(),
      eventFdNumber(event),
      resampleEvent === undefined ? -1 : eventFdNumber(resampleEvent),
      gsi,
      flags,
    );
    if (result < 0) {
      throw systemError(
        `${verb} irqfd for GSI ${gsi}`,
        result,
        { ioctl: 'MSHV_IRQFD' },
        result === -constants.errno.EBUSY
          ? 'this eventfd is already bound in the partition'
          : undefined,
      );
    }
  }
}

export { closeAll as closeIrqFd, create as createIrqFd };

function closeOwned(event: EventFd): void {
  setEventFdOwner(event, undefined);
  event.close();
}
