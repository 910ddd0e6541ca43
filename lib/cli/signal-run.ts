import type { CheckedRoute } from './checked-route.js';
import type { Faults } from './faults.js';
import type { Witness } from './witness.js';

/** What is sent to each route. */
export interface SignalPlan {
  /** How many signals in all. */
  readonly signals: number;
  /** Every how manieth interrupt of a route is made of a masked burst; 0: none. */
  readonly maskEvery: number;
}

/** How many signals wait in a masked route before it is unmasked: they must come as one interrupt. */
export const maskedBurst = 3;

/**
 * Sends the plan to all routes, step by step: each route once, or mask all, a burst to each, unmask all.
 * The witness judges after each step, and whoever iterates over it is told how many signals were sent so far.
 */
export function* runSignals(
  routes: readonly CheckedRoute[],
  { signals, maskEvery }: SignalPlan,
  witness: Witness,
  faults: Faults,
): Generator<number> {
  for (let step = 1; faults.signals < signals; step++) {
    if (maskEvery > 0 && step % maskEvery === 0) {
      const burst = Math.min(maskedBurst, signals - faults.signals);
      faults.signals += burst;
      maskedStep(routes, burst, witness);
    } else {
      faults.signals++;
      armedStep(routes, witness);
    }
    yield faults.signals * routes.length;
  }
}

function armedStep(routes: readonly CheckedRoute[], witness: Witness): void {
  for (const checked of routes) {
    checked.signals++;
    checked.expected++;
    checked.raisedAt = process.hrtime.bigint();
    checked.route.event.signal();
  }
  witness.signalled();
}

function maskedStep(routes: readonly CheckedRoute[], burst: number, witness: Witness): void {
  for (const checked of routes) {
    checked.route.mask();
    for (let sent = 0; sent < burst; sent++) {
      checked.route.event.signal();
    }
    checked.signals += burst;
  }
  witness.masked();
  for (const checked of routes) {
    checked.expected++;
    checked.raisedAt = process.hrtime.bigint();
    checked.route.unmask();
  }
  witness.unmasked();
}
