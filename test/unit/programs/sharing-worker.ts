import { parentPort, workerData } from 'node:worker_threads';

import { EventFd, GuestMemory, SharedPartition, Vp } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';

// Makes tokens of one kind and receives them, again and again; or makes one of each kind, posts them, and waits.

const kind = workerData as 'vp' | 'partition' | 'memory' | 'event' | 'linux event' | 'kept';
const device = new Simulator().open();
const partition = device.createPartition();
partition.initialize();
const vp = partition.createVp(0);
const memory = partition.allocateMemory(0x10000, { shared: true });
const event = partition.createEvent({ initial: 7 });
const linuxEvent = EventFd.create();

const rounds = {
  vp: () => {
    Vp.receive(vp.share()).close();
  },
  partition: () => {
    SharedPartition.receive(partition.share()).close();
  },
  memory: () => {
    GuestMemory.receive(memory.share()).close();
  },
  event: () => {
    EventFd.receive(event.share()).close();
  },
  'linux event': () => {
    EventFd.receive(linuxEvent.share()).close();
  },
};

if (kind === 'kept') {
  parentPort?.postMessage([vp.share(), partition.share(), memory.share(), event.share()]);
  setInterval(() => undefined, 1000);
} else {
  parentPort?.postMessage('begun');
  for (;;) rounds[kind]();
}
