import { parentPort, workerData } from 'node:worker_threads';

import { EventFd, type EventFdToken } from '../../lib/index.js';

/** What the thread is started with. */
export interface StormData {
  readonly event: EventFdToken;
  /** The thread ends when this is not 0. */
  readonly stop: Int32Array;
}

// Signals an eventfd without a pause, and says at last how often.
const { event: token, stop } = workerData as StormData;
const event = EventFd.receive(token);
parentPort?.postMessage('begins');
let signals = 0;
while (Atomics.load(stop, 0) === 0) {
  event.signal();
  signals++;
}
parentPort?.postMessage(signals);
event.close();
