import { parentPort, workerData } from 'node:worker_threads';

import { EventFd } from '../../lib/index.js';
import { linuxNative, simNative } from '../../lib/native.js';

/** What the thread is started with. */
export interface StormData {
  readonly backend: 'simulator' | 'lab';
  /** An eventfd that becomes the thread's own. */
  readonly fd: number;
  /** The thread ends when this is not 0. */
  readonly stop: Int32Array;
}

// Signals an eventfd without a pause, and says at last how often.
const { backend, fd, stop } = workerData as StormData;
const event = EventFd.adopt(fd, { native: backend === 'simulator' ? simNative() : linuxNative() });
parentPort?.postMessage('begins');
let signals = 0;
while (Atomics.load(stop, 0) === 0) {
  event.signal();
  signals++;
}
parentPort?.postMessage(signals);
event.close();
