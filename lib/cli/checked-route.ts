import type { IrqFdRoute } from '../irq/irqfd-route.js';
import type { Target } from './targets.js';

/** A route under check, and what has been counted of it. */
export interface CheckedRoute extends Target {
  readonly route: IrqFdRoute;
  readonly gsi: number;
  /** How many signals were sent. */
  signals: number;
  /** How many interrupts these should have become. */
  expected: number;
  /** How many interrupts came; stays 0 where nobody sees the guest. */
  interrupts: number;
  /** Interrupts that should have come and did not. */
  lost: number;
  /** Interrupts that came unasked: a second one for a signal, or one while masked. */
  extra: number;
  /** When the last step began that should have raised an interrupt: `process.hrtime`, in ns. */
  raisedAt: bigint;
  /** How many interrupts came in the step being judged. */
  got: number;
}

/** A route that nothing has been sent to. */
export function newCheckedRoute(route: IrqFdRoute, { vp, vector }: Target): CheckedRoute {
  return {
    route,
    gsi: route.gsi,
    vp,
    vector,
    signals: 0,
    expected: 0,
    interrupts: 0,
    lost: 0,
    extra: 0,
    raisedAt: 0n,
    got: 0,
  };
}
