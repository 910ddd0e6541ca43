import { parentPort, workerData } from 'node:worker_threads';

import { encodeMessage } from '../lib/sim/encode-message.js';
import {
  EventFd,
  GuestMemory,
  PartitionSynic,
  SharedPartition,
  SynicPorts,
  Vp,
} from '../lib/index.js';
import { openGuestSide } from './guest-side.js';
import { vpOf } from './vp-of.js';
import type { WorkerMoment } from './worker-moments.js';

// Has one of everything, says so, and is at the moment that it was started with from then on, to be terminated there.

const guest = await openGuestSide();
const { native } = guest;
const partition = guest.createPartition(3);
const [vp, other, third] = [0, 1, 2].map((index) => vpOf(partition, index));
if (vp === undefined || other === undefined || third === undefined) throw new Error('no VPs');
const memory = GuestMemory.allocate(8192, { native, shared: true });
partition.mapMemory(memory, { gpa: 0 });
const synic = new PartitionSynic(partition, { native, monitorPages: [4096n] });
const ports = new SynicPorts(synic);
synic.installIntercepts();
synic.attachVp(0);
ports.addEventPort(1, 0, { handleEvent: () => undefined }, { monitorId: 1, latency: 100 });
ports.monitorSupport?.allocateMonitorPage(0);
const event = EventFd.create({ native });
const msi = { address: 0xfee00000n, data: 0xc041 };
const objects = [
  memory.buffer,
  vp.registerPage,
  vp.interceptPage,
  Vp.receive(vp.share(), { native }),
  SharedPartition.receive(partition.share(), { native }),
  GuestMemory.receive(memory.share(), { native }).buffer,
  event.watch(() => undefined),
  partition.irqfd.newResampleRoute({ vector: 0x41, msi }).resampleEvent?.watch(() => undefined),
  partition.registerDoorbell({ gpa: 0xd000_0000n }).event.watch(() => undefined),
  // Without exits, and with a handler that never answers.
  other.start(() => undefined),
  third.start(() => new Promise(() => undefined)),
];
guest.queueMessage(partition, 2, encodeMessage('halt', { vpIndex: 2 }));

const ready = (): void => {
  parentPort?.postMessage(objects.length);
};
const forever = (): never => {
  ready();
  for (;;);
};

const moments: Record<WorkerMoment, () => void> = {
  idle: ready,
  'in run()': () => {
    ready();
    vp.run();
  },
  'in a handler of exits': () => {
    guest.queueMessage(partition, 0, encodeMessage('halt', { vpIndex: 0 }));
    void vp.start(forever);
  },
  'in a listener of an eventfd': () => {
    event.watch(forever);
    event.signal();
  },
  'in a loop of signals': () => {
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x42 } });
    ready();
    for (;;) {
      route.event.signal();
      route.mask();
      route.unmask();
    }
  },
};

moments[workerData as WorkerMoment]();
