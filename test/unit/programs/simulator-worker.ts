import { parentPort, workerData } from 'node:worker_threads';

import { EventFd, type EventFdToken } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';

/** What the Worker is to do: signal an eventfd that is shared with it, or keep a simulator open. */
export type SimulatorWork = { signal: { token: EventFdToken; times: number } } | { keepOpen: true };

const work = workerData as SimulatorWork;
if ('signal' in work) {
  const event = EventFd.receive(work.signal.token);
  for (let i = 0; i < work.signal.times; i++) {
    event.signal();
  }
  event.close();
} else {
  const simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  partition.createVp(0);
  partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
  parentPort?.postMessage(simulator.path);
  // A receiver keeps the Worker, and with it the simulator, until it is terminated.
  parentPort?.on('message', () => undefined);
}
