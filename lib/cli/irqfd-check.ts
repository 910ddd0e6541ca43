import { setImmediate as turn } from 'node:timers/promises';

import type { Architecture } from '../abi/architecture.js';
import type { DriverGeneration, Partition } from '../device/partition.js';
import { newCheckedRoute, type CheckedRoute } from './checked-route.js';
import type { ChosenDevice } from './chosen-device.js';
import { CounterWitness } from './counter-witness.js';
import { Faults, type Fault } from './faults.js';
import { GuestWitness } from './guest-witness.js';
import { Latency, type LatencySummary } from './latency.js';
import { maskedBurst, runSignals, type SignalPlan } from './signal-run.js';
import { spreadTargets } from './targets.js';

export interface IrqfdPlan extends SignalPlan {
  readonly routes: number;
}

/** Counts of signals and of what became of them. */
export interface Outcome {
  readonly signals: number;
  /** Signals that had to become one interrupt with an earlier one. */
  readonly coalesced: number;
  /** How many interrupts came; null where nobody sees the guest. */
  readonly interrupts: number | null;
  readonly lost: number;
  readonly extra: number;
}

export interface RouteOutcome extends Outcome {
  readonly gsi: number;
  readonly vp: number;
  readonly vector: number;
}

/** What `mshv irqfd --json` prints, after the circumstances. Keys are only ever added. */
export interface IrqfdReport {
  /** Whether nothing was lost, extra or wrong. */
  readonly ok: boolean;
  /** Whether it was ended before all signals were sent. */
  readonly interrupted: boolean;
  readonly device: {
    readonly kind: ChosenDevice['kind'];
    readonly path: string;
    readonly why: string | null;
  };
  readonly partition: {
    readonly generation: DriverGeneration;
    readonly architecture: Architecture;
    readonly vps: number;
    readonly routes: number;
    /** Pushes of the MSI routing table: for arming all routes, and for all masking and unmasking. */
    readonly tablePushes: { readonly arming: number; readonly masking: number };
  };
  readonly plan: {
    readonly signals: number;
    readonly maskEvery: number;
    readonly maskedBurst: number;
  };
  readonly total: Outcome & {
    /** Interrupts that no route raises. */
    readonly wrong: number;
  };
  readonly routes: readonly RouteOutcome[];
  /** The first ten. */
  readonly faults: readonly Fault[];
  /** From the signal, or the unmask, to the injection; null where nobody sees the guest. */
  readonly latencyNs: LatencySummary | null;
  readonly seconds: number;
}

/** How long Ctrl-C waits for steps, in ms. */
const interval = 100;

/**
 * Arms routes in one batch, sends the plan's signals and reports what became of them.
 *
 * @param onProgress - called after each step with the number of signals sent so far, and of all
 * @param interruption - ends it after the step that it comes in; what is reported is of the steps until then
 * @throws MshvError where the driver refuses something
 */
export async function checkIrqfd(
  device: ChosenDevice,
  plan: IrqfdPlan,
  onProgress: (sent: number, of: number) => void,
  interruption?: AbortSignal,
): Promise<IrqfdReport> {
  const begin = performance.now();
  const { mshv, takeInterrupts } = device;
  const partition = mshv.createPartition();
  partition.initialize();
  const routes = armRoutes(partition, plan.routes);
  const arming = device.tablePushes();

  const faults = new Faults();
  const latency = new Latency();
  const witness =
    takeInterrupts === undefined
      ? new CounterWitness(routes, faults)
      : new GuestWitness(routes, faults, latency, partition.architecture, () =>
          takeInterrupts(partition),
        );
  let next = begin + interval;
  for (const sent of runSignals(routes, plan, witness, faults)) {
    onProgress(sent, plan.signals * plan.routes);
    if (performance.now() >= next) {
      // Nothing comes from outside but between turns of the event loop.
      await turn();
      next = performance.now() + interval;
    }
    if (interruption?.aborted === true) break;
  }

  const outcomes = routes.map((checked) => outcomeOf(checked, takeInterrupts !== undefined));
  const { lost, extra, wrong } = faults;
  return {
    ok: lost + extra + wrong === 0,
    interrupted: faults.signals < plan.signals,
    device: { kind: device.kind, path: mshv.path, why: device.why },
    partition: {
      generation: partition.generation,
      architecture: partition.architecture,
      vps: partition.vps.length,
      routes: plan.routes,
      tablePushes: { arming, masking: device.tablePushes() - arming },
    },
    plan: { signals: plan.signals, maskEvery: plan.maskEvery, maskedBurst },
    total: { ...sumOutcomes(outcomes), wrong },
    routes: outcomes,
    faults: faults.first,
    latencyNs: latency.summary(),
    seconds: Math.round(performance.now() - begin) / 1000,
  };
}

/**
 * How many descriptors a process needs for a plan that has so many before it. Each event of the library's is one, what the
 * simulator does with it another; a device's VP is one, a simulated one two.
 */
export function descriptorsNeeded(
  { routes }: IrqfdPlan,
  kind: ChosenDevice['kind'],
  open: number,
): number {
  const { size: vps } = new Set(spreadTargets(routes).map(({ vp }) => vp));
  const each = kind === 'simulator' ? 2 : 1;
  return open + each * (routes + vps) + spareDescriptors;
}

/** For the device, the partition, the event loop, and what else is open for a moment. */
const spareDescriptors = 16;

function armRoutes(partition: Partition, count: number): CheckedRoute[] {
  const targets = spreadTargets(count);
  for (const vp of new Set(targets.map(({ vp }) => vp))) {
    partition.createVp(vp);
  }
  return partition.irqfd.batch(() =>
    targets.map((target) => {
      const msi = { address: 0xfee0_0000 + target.vp * 0x1000, data: target.vector };
      return newCheckedRoute(partition.irqfd.newRoute({ msi }), target);
    }),
  );
}

function outcomeOf(checked: CheckedRoute, guestSeen: boolean): RouteOutcome {
  const { gsi, vp, vector, signals, expected, interrupts, lost, extra } = checked;
  return {
    gsi,
    vp,
    vector,
    signals,
    coalesced: signals - expected,
    interrupts: guestSeen ? interrupts : null,
    lost,
    extra,
  };
}

/** Of routes that are all seen, or all not. */
export function sumOutcomes(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((sum, one) => ({
    signals: sum.signals + one.signals,
    coalesced: sum.coalesced + one.coalesced,
    interrupts: sum.interrupts === null ? null : sum.interrupts + (one.interrupts ?? 0),
    lost: sum.lost + one.lost,
    extra: sum.extra + one.extra,
  }));
}
