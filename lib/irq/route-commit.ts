import { MshvError } from '../errors.js';
import type { EventFd } from '../eventfd/eventfd.js';
import { sameMsi, type MsiRoute, type MsiTargets } from './msi.js';
import type { MsiRouteTable, RouteChange } from './msi-route-table.js';

/** What the owner of a route can decide. */
export interface RouteSettings {
  readonly msi: MsiRoute | undefined;
  readonly masked: boolean;
  readonly closed: boolean;
}

/** One GSI with its eventfd, as it is and as it is wanted. */
export interface RouteState {
  /** What its owner calls it. */
  readonly name: string | undefined;
  readonly gsi: number;
  readonly event: EventFd;
  /** Signalled by the driver at end of interrupt; only where the route is level-triggered. */
  readonly resampleEvent: EventFd | undefined;
  /** What its MSIs may be. */
  readonly targets: MsiTargets;
  /** What the table holds and the irqfd obeys. */
  current: RouteSettings;
  /** What the next commit makes of it. */
  wanted: RouteSettings;
  /** Whether the irqfd is assigned in the driver. */
  armed: boolean;
  /** An undo failed: what the driver has is not known, and the GSI must not be used again. */
  quarantined: boolean;
}

/** `MSHV_IRQFD`, assign and deassign. Both throw MshvError where the driver refused. */
export interface IrqFdDriver {
  arm(route: RouteState): void;
  disarm(route: RouteState): void;
}

const isArmedBy = ({ msi, masked }: RouteSettings): boolean => msi !== undefined && !masked;

/**
 * Takes the routes from `current` to `wanted` with at most one push of the table: disarm, push, arm.
 *
 * That order keeps the two rules that the driver does not: what is armed is routed (a signal without a
 * route may assert vector 0), and no route changes under an armed irqfd (the driver may deliver a mix
 * of the old and the new one). Signals in between stay in the eventfds and fire on arming.
 *
 * All or nothing: where a step fails, the steps before it are undone, `wanted` is `current` again, and
 * the step's error is thrown. A route whose undo fails too is quarantined, and the table is marked
 * unknown where it could not be restored; the failed undos are the `cause` of the error.
 */
export function commitRoutes(
  routes: Iterable<RouteState>,
  table: MsiRouteTable,
  driver: IrqFdDriver,
): void {
  const changed = [...routes].filter((route) => route.wanted !== route.current);
  const disarmed: RouteState[] = [];
  const armed: RouteState[] = [];
  let undoTable: RouteChange[] = [];
  try {
    for (const route of changed) {
      if (route.armed && !(isArmedBy(route.wanted) && keepsMsi(route))) {
        driver.disarm(route);
        route.armed = false;
        disarmed.push(route);
      }
    }
    const changes = changed
      .filter((route) => !keepsMsi(route))
      .map((route) => ({ gsi: route.gsi, msi: route.wanted.msi }));
    const toArm = changed.filter((route) => isArmedBy(route.wanted) && !route.armed);
    // Masking needs no push even where the table is unknown; arming on such a table would be a guess.
    if (changes.length > 0 || (table.unknown && toArm.length > 0)) {
      undoTable = table.commit(changes);
    }
    for (const route of toArm) {
      driver.arm(route);
      route.armed = true;
      armed.push(route);
    }
  } catch (error) {
    const failures = undo(changed, disarmed, armed, undoTable, table, driver);
    for (const route of changed) {
      route.wanted = route.current;
    }
    if (failures.length > 0 && error instanceof MshvError) {
      error.cause = new AggregateError(failures, 'and undoing the steps before it failed');
    }
    throw error;
  }
  for (const route of changed) {
    route.current = route.wanted;
  }
}

function keepsMsi({ current, wanted }: RouteState): boolean {
  return sameMsi(current.msi, wanted.msi);
}

/** Takes the steps back in reverse order and returns what failed. */
function undo(
  changed: readonly RouteState[],
  disarmed: readonly RouteState[],
  armed: readonly RouteState[],
  undoTable: readonly RouteChange[],
  table: MsiRouteTable,
  driver: IrqFdDriver,
): unknown[] {
  const failures: unknown[] = [];
  const attempt = (routes: readonly RouteState[], step: () => void): void => {
    try {
      step();
    } catch (error) {
      failures.push(error);
      for (const route of routes) {
        route.quarantined = true;
      }
    }
  };

  for (const route of armed.toReversed()) {
    attempt([route], () => {
      driver.disarm(route);
      route.armed = false;
    });
  }
  // A route that is still armed keeps its entry: unrouted, its signals could assert vector 0.
  const restored = changed.filter((route) => !route.quarantined);
  const gsis = new Set(restored.map(({ gsi }) => gsi));
  const changes = undoTable.filter(({ gsi }) => gsis.has(gsi));
  if (changes.length > 0) {
    attempt(
      restored.filter((route) => !keepsMsi(route)),
      () => {
        try {
          table.commit(changes);
        } catch (error) {
          table.markUnknown();
          throw error;
        }
      },
    );
  }
  for (const route of disarmed.toReversed()) {
    if (!route.quarantined) {
      attempt([route], () => {
        driver.arm(route);
        route.armed = true;
      });
    }
  }
  return failures;
}
