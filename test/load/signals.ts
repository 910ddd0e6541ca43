import { setImmediate } from 'node:timers/promises';

import type { GuestSide } from '../guest-side.js';
import type { Crowd } from './crowd.js';
import { footprint, type Footprint } from './footprint.js';

/** What a long run of signals came to. */
export interface SignalRun {
  readonly signals: number;
  readonly interrupts: number;
  /** Interrupts that were not the one that was due. */
  readonly wrong: number;
  readonly rings: number;
  readonly heard: bigint;
  readonly seconds: number;
  /** After the first tenth, and at the end. */
  readonly early: Footprint;
  readonly late: Footprint;
}

/** The lab's log has room for the interrupts of so many signals. */
const signalsBetweenLooks = 1500;

/**
 * Signals each route in turn, again and again, `signals` times in all, and looks at each interrupt that comes; rings a
 * doorbell for each tenth signal.
 *
 * @param seconds - where it takes longer, it ends with fewer
 */
export async function runSignals(
  guest: GuestSide,
  crowd: Crowd,
  signals: number,
  seconds: number,
): Promise<SignalRun> {
  const { partition, routes, doorbells } = crowd;
  const due = routes.map((_, i) => crowd.interrupt(i));
  const begin = performance.now();
  const elapsed = (): number => (performance.now() - begin) / 1000;
  let early: Footprint | undefined;
  let [sent, came, wrong, rings] = [0, 0, 0, 0];
  const look = (): void => {
    for (const { vector, destination } of guest.interrupts(partition)) {
      const expected = due[came++ % due.length];
      if (vector !== expected?.vector || destination !== expected.destination) wrong++;
    }
  };
  guest.interrupts(partition);
  while (sent < signals && elapsed() < seconds) {
    const end = Math.min(sent + signalsBetweenLooks, signals);
    while (sent < end) {
      routes[sent % routes.length]?.event.signal();
      sent++;
      if (sent % 10 === 0) {
        guest.writeMmio(partition, crowd.doorbellGpa(rings++ % doorbells.length), 4, 1n);
      }
    }
    look();
    // Listeners hear of their doorbells.
    await setImmediate();
    if (early === undefined && sent >= signals / 10) early = await footprint();
  }
  const took = elapsed();
  await setImmediate();
  const late = await footprint();
  return {
    signals: sent,
    interrupts: came,
    wrong,
    rings,
    heard: crowd.rings.reduce((sum, each) => sum + each, 0n),
    seconds: took,
    early: early ?? late,
    late,
  };
}
