import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, SharedPartition, Vp } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';

// Makes tokens of one kind and receives them, again and again; or makes one of each kind, posts them, and waits.

const native = { native: Simulator.native };
const kind = workerData as 'vp' | 'partition' | 'memory' | 'kept';
const device = new Simulator().open();
const partition = device.createPartition();
partition.initialize();
const vp = partition.createVp(0);
const memory = GuestMemory.allocate(0x10000, { ...native, shared: true });

const rounds = {
  vp: () => {
    Vp.receive(vp.share(), native).close();
  },
  partition: () => {
    SharedPartition.receive(partition.share(), native).close();
  },
  memory: () => {
    GuestMemory.receive(memory.share(), native).close();
  },
};

if (kind === 'kept') {
  parentPort?.postMessage([vp.share(), partition.share(), memory.share()]);
  setInterval(() => undefined, 1000);
} else {
  parentPort?.postMessage('begun');
  for (;;) rounds[kind]();
}
