import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';

import { GuestMemory, type Partition } from '../../lib/index.js';
import { typescriptWorker } from '../typescript-program.js';
import { DeviceGuest } from './device-guest.js';
import { DeviceGuestExits } from './device-guest-exits.js';
import type { GuestOrder } from './device-guest-memory.js';
import type { VmmOffer } from './vmm-worker.js';

// Does, until it is killed, everything that leaves something in the driver. Says what it begins.

const lots = 2 ** 50;
const mmio = 0xd000_0000;

/** Numbers from 0 to `below - 1`, the same for each seed. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const seed = Number(process.argv[2]);
const random = randomNumbers(seed);
const guests: DeviceGuest[] = [];
let changes = 0;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A guest whose first VP runs by `vp.start()`, with routes and doorbells. */
function begin(): DeviceGuest {
  say('exits');
  const guest = new DeviceGuest(2);
  guests.push(guest);
  const exits = new DeviceGuestExits(guest.vp(0), guest.view, DeviceGuestExits.newAccount());
  guest.partition.registerDoorbell({ gpa: mmio, size: 4 });
  guest.partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
  const command = (['out32', 'write32', 'spin', 'halt'] as const)[random(4)] ?? 'spin';
  const orders: GuestOrder[] = [
    { command: 'interrupts' },
    { command, count: lots, address: mmio, value: 0x41 },
  ];
  void guest.vp(0).start((exit) => {
    const order = exits.complete(exit) ? orders.shift() : undefined;
    if (order) guest.view.order(0, order);
  }).finished;
  return guest;
}

/** Runs the second VP of a guest in a Worker. */
function offer(guest: DeviceGuest, worker: Worker): void {
  guest.view.order(1, { command: 'out32', count: lots, address: 0x510 });
  const message: VmmOffer = {
    vp: guest.vp(1).share(),
    memory: guest.memory.share(),
    account: DeviceGuestExits.newAccount(),
  };
  // It has the VP.
  worker.once('message', () => {
    say('worker');
  });
  worker.postMessage(message);
  for (let i = 0; i < 10; i++) worker.postMessage('run');
}

function change(partition: Partition): void {
  say('memory');
  const memory = GuestMemory.allocate(2 ** 21, { shared: random(2) === 0 });
  const number = ++changes;
  const mapped = partition.mapMemory(memory, { gpa: 0x1_0000_0000 + 2 ** 21 * number });
  const doorbell = partition.registerDoorbell({ gpa: mmio + 16 * number });
  const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x42 } });
  route.event.signal();
  route.mask();
  if (random(2) === 0) route.close();
  if (random(2) === 0) mapped.unmap();
  if (random(2) === 0) doorbell.close();
  memory.close();
}

function come(): void {
  say('partition');
  const guest = new DeviceGuest(1 + random(3));
  if (random(2) === 0) guest[Symbol.dispose]();
  else guests.push(guest);
}

// Starting a thread takes longer than most lives here: some have one from the beginning.
const workers: Worker[] = [];
if (seed % 3 === 0) {
  const worker = typescriptWorker(new URL('vmm-worker.ts', import.meta.url));
  await once(worker, 'message');
  workers.push(worker);
}
say('open');
begin();
for (;;) {
  const guest = guests[random(guests.length)] ?? begin();
  const worker = guest.vps.length === 2 ? workers.pop() : undefined;
  const what = random(10);
  if (worker) offer(guest, worker);
  else if (what === 0 && guests.length < 6) begin();
  else if (what === 1 && guests.length < 12) come();
  else if (what === 2) guests.splice(random(guests.length), 1)[0]?.device.close();
  else change(guest.partition);
  await setImmediate();
}
