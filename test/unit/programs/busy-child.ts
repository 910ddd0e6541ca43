import { Worker } from 'node:worker_threads';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { EventFd, GuestMemory, type Partition } from '../../../lib/index.js';
import { SimulatorGuestSide } from '../../simulator-guest-side.js';

// Does everything that a process can do with the simulated driver, until it is killed: busy-child.js SEED. Arms a route on
// the eventfd that it inherited as descriptor 3.

const guest = new SimulatorGuestSide();
const { native } = guest;
const inherited = EventFd.adopt(3, { native });

let state = Number(process.argv[2]) >>> 0;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const msi = { address: 0xfee00000n, data: 0x41 };
const partitions: Partition[] = [];

function begin(): Partition {
  const partition = guest.createPartition(2);
  partitions.push(partition);
  partition.irqfd.newRoute({ msi, event: inherited });
  const [vp] = partition.vps;
  void vp?.start(() => undefined);
  return partition;
}

const acts: ((partition: Partition) => void)[] = [
  (partition) => {
    const route = partition.irqfd.newRoute({ msi });
    route.event.signal();
    route.mask();
    route.event.watch(() => undefined);
    if (random(2) === 0) route.close();
  },
  (partition) => {
    const memory = GuestMemory.allocate(2 ** 16, { native, shared: random(2) === 0 });
    const mapped = partition.mapMemory(memory, { gpa: random(1000) * 2 ** 16 + 2 ** 32 });
    if (random(2) === 0) mapped.unmap();
    memory.close();
  },
  (partition) => {
    const doorbell = partition.registerDoorbell({ gpa: random(2 ** 30) * 8 });
    doorbell.event.watch(() => undefined);
    guest.writeMmio(partition, doorbell.gpa, 4, 1n);
    if (random(2) === 0) doorbell.close();
  },
  (partition) => {
    guest.queueMessage(partition, random(2), encodeMessage('halt'));
  },
  (partition) => {
    guest.queueMessage(partition, 1, encodeMessage('halt', { vpIndex: 1 }));
    partition.vps[1]?.run();
  },
  () => {
    if (partitions.length > 8) partitions.shift()?.close();
    begin();
  },
  () => {
    inherited.signal();
  },
];

begin();
// A thread of the process's that does nothing but be there.
new Worker('setInterval(() => undefined, 1)', { eval: true });
process.stdout.write('begins\n');
const turn = (): void => {
  for (let i = 0; i < 20; i++) {
    const partition = partitions[random(partitions.length)] ?? begin();
    try {
      acts[random(acts.length)]?.(partition);
    } catch (error) {
      // Places are chosen at random: some are taken.
      if (!/overlap|rings there/.test(String(error))) throw error;
    }
  }
  setImmediate(turn);
};
turn();
