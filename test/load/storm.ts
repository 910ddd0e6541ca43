import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { EventFd } from '../../lib/index.js';
import type { GuestSide } from '../guest-side.js';
import { typescriptWorker } from '../typescript-program.js';
import type { StormData } from './storm-worker.js';

/** How an event loop fared while eventfds were signalled all the time. Delays are milliseconds. */
export interface StormReport {
  readonly what: string;
  /** How often the loop turned. */
  readonly turns: number;
  /** Of what was signalled all the time: signals, those that listeners were told of, and calls of listeners. */
  readonly signals: number;
  readonly heard: number;
  readonly calls: number;
  readonly mostCallsInOneTurn: number;
  /** In how many turns all the eventfds that were signalled once were heard; the longest of the rounds. */
  readonly longestRound: number;
  readonly rounds: number;
  readonly timers: number;
  readonly delay: { readonly p99: number; readonly max: number };
}

const quietEvents = 200;
const timersInAStorm = 200;

/** Counts turns of the event loop. */
class Turns {
  count = 0;
  #next: NodeJS.Immediate | undefined;

  constructor() {
    const turn = (): void => {
      this.count++;
      this.#next = setImmediate(turn);
    };
    this.#next = setImmediate(turn);
  }

  stop(): void {
    clearImmediate(this.#next);
  }
}

/**
 * Signals 200 eventfds once each, again and again, and lets timers fire, until there were 200 of them: all while the
 * eventfds that `begin` has begun with are signalled all the time.
 */
async function throughStorm(
  what: string,
  guest: GuestSide,
  storm: {
    /** @returns how many calls of the loud listeners there were so far */
    begin: () => Promise<() => number>;
    /** Ends it, and says how many signals there were and how many were heard. */
    end: () => Promise<{ signals: number; heard: number }>;
  },
): Promise<StormReport> {
  const quiet = Array.from({ length: quietEvents }, () => EventFd.create({ native: guest.native }));
  let unheard = 0;
  for (const event of quiet) event.watch(() => unheard--);
  const calls = await storm.begin();
  const turns = new Turns();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let timers = 0;
  const ticking = setInterval(() => timers++, 1);
  const callsBefore = calls();
  let [longestRound, rounds, mostCallsInOneTurn] = [0, 0, 0];
  while (timers < timersInAStorm) {
    const from = turns.count;
    unheard = quiet.length;
    for (const event of quiet) event.signal();
    while (unheard > 0) {
      const before = calls();
      await nextTurn();
      mostCallsInOneTurn = Math.max(mostCallsInOneTurn, calls() - before);
    }
    longestRound = Math.max(longestRound, turns.count - from);
    rounds++;
  }
  delay.disable();
  clearInterval(ticking);
  turns.stop();
  const inTheStorm = calls() - callsBefore;
  const { signals, heard } = await storm.end();
  for (const event of quiet) event.close();
  return {
    what,
    turns: turns.count,
    signals,
    heard,
    calls: inTheStorm,
    mostCallsInOneTurn,
    longestRound,
    rounds,
    timers,
    delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 },
  };
}

/** One eventfd, signalled by another thread without a pause. */
export function stormFromAThread(guest: GuestSide): Promise<StormReport> {
  const event = EventFd.create({ native: guest.native });
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const data: StormData = { event: event.share(), stop };
  const thread = typescriptWorker(new URL('storm-worker.ts', import.meta.url), {
    workerData: data,
  });
  let [heard, calls] = [0, 0];
  return throughStorm('a thread signals one eventfd without a pause', guest, {
    begin: async () => {
      await once(thread, 'message');
      event.watch((count) => {
        heard += Number(count);
        calls++;
      });
      return () => calls;
    },
    end: async () => {
      const last = once(thread, 'message');
      const exit = once(thread, 'exit');
      Atomics.store(stop, 0, 1);
      const [signals] = (await last) as [number];
      await exit;
      while (event.pending) await nextTurn();
      event.close();
      return { signals, heard };
    },
  });
}

/** Many eventfds, each signalled again by its own listener: more than the event loop takes at once. */
export function stormOfMany(guest: GuestSide, count: number): Promise<StormReport> {
  const events = Array.from({ length: count }, () => EventFd.create({ native: guest.native }));
  let [signals, heard, calls] = [0, 0, 0];
  let over = false;
  return throughStorm(`${count} eventfds are signalled again when they are heard`, guest, {
    begin: () => {
      for (const event of events) {
        event.watch((rung) => {
          heard += Number(rung);
          calls++;
          if (over) return;
          event.signal();
          signals++;
        });
        event.signal();
        signals++;
      }
      return Promise.resolve(() => calls);
    },
    end: async () => {
      over = true;
      while (heard < signals) await nextTurn();
      for (const event of events) event.close();
      return { signals, heard };
    },
  });
}
