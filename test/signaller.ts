import { parentPort, workerData } from 'node:worker_threads';

import { EventFd, type EventFdToken } from '../lib/index.js';

/** What the thread is started with. */
export interface SignallerData {
  readonly events: readonly EventFdToken[];
  /** Word 0: the round that may begin; word 1: the round that is done. */
  readonly rounds: Int32Array;
  readonly last: number;
}

// Signals each eventfd once a round.
const { events: tokens, rounds, last } = workerData as SignallerData;
const events = tokens.map((token) => EventFd.receive(token));
parentPort?.postMessage('ready');
for (let round = 1; round <= last; round++) {
  // The wake-up for a round may come after the round, and wakes the wait for the next one.
  while (Atomics.load(rounds, 0) < round) {
    Atomics.wait(rounds, 0, round - 1);
  }
  for (let i = 0; i < events.length; i++) {
    events[(i + round) % events.length]?.signal();
  }
  Atomics.store(rounds, 1, round);
}
for (const event of events) {
  event.close();
}
