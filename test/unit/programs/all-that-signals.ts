import { once } from 'node:events';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

import { EventFd, type EventFdToken, type MshvError } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import { makeBlocking } from '../../hostile-peer.js';
import { isRunning } from '../../is-running.js';
import { typescriptWorker } from '../../typescript-program.js';

// Does all that takes signals, by both addons, in this environment and in a Worker: writes to eventfds that others have made
// blocking and full, and interrupts runs. SIGUSR2 comes before, and after.

function write(event: EventFd): void {
  try {
    event.signal();
  } catch (error) {
    if ((error as MshvError).code === 'EAGAIN') return;
    throw error;
  }
  throw new Error('the counter has room');
}

async function interruptRun(): Promise<void> {
  const partition = new Simulator().open().createPartition();
  partition.initialize();
  const vp = partition.createVp(0);
  const run = vp.start(() => undefined);
  while (!isRunning(vp)) await turn();
  vp.cancel();
  const result = await run.finished;
  if (result !== 'canceled') throw new Error(`the run ends by ${result}`);
  // Of this thread.
  vp.cancel();
  if (vp.run() !== undefined) throw new Error('the run is not canceled');
  partition.close();
}

if (isMainThread) {
  const events = [linuxNative(), simNative()].map((native) => EventFd.create({ native }));
  for (const event of events) event.signal(2n ** 64n - 2n);
  makeBlocking(...events.map((event) => event.fd));
  process.kill(process.pid, 'SIGUSR2');
  events.forEach(write);
  await interruptRun();
  const worker = typescriptWorker(new URL(import.meta.url), {
    workerData: events.map((event) => event.share()),
  });
  await once(worker, 'message');
  process.kill(process.pid, 'SIGUSR2');
  await worker.terminate();
  process.kill(process.pid, 'SIGUSR2');
} else {
  for (const token of workerData as EventFdToken[]) write(EventFd.receive(token));
  await interruptRun();
  parentPort?.postMessage('done');
}
