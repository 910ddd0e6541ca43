import { once } from 'node:events';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { EventFd, GuestMemory, Mshv, MshvError } from '../../lib/index.js';
import { linuxNative, type Native } from '../../lib/native.js';
import bundlePrograms from '../bundle-programs.js';
import { SimulatorGuestSide } from '../simulator-guest-side.js';
import { typescriptWorker } from '../typescript-program.js';
import type { BorrowerData, Loan } from '../vp-borrower.js';

// Makes, uses and closes one of everything that the addons can make, as often as the argument says, and leaves some
// open at its end. LeakSanitizer looks then for what nothing points to any more.

const pageSize = 4096;

/** What both addons have on any machine. */
async function useEventsAndMemory(native: Native): Promise<void> {
  using event = EventFd.create({ native });
  using copy = event.clone();
  const counted = event.wait();
  copy.signal(3);
  await counted;
  using adopted = EventFd.adopt(EventFd.create({ native }).release(), { native });
  adopted.watch(() => undefined);
  for (const shared of [true, false]) {
    using memory = GuestMemory.allocate(4 * pageSize, { shared, native });
    memory.write(pageSize, memory.read(0, pageSize));
    memory.bytes().fill(1);
    if (shared) {
      using received = GuestMemory.receive(memory.share(), { native });
      received.fill(2);
    }
  }
}

function expectError(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (error instanceof MshvError) return;
    throw error;
  }
  throw new Error('an error was expected');
}

async function useDriver(guest: SimulatorGuestSide): Promise<void> {
  const { native } = guest;
  const partition = guest.createPartition(2);
  const [first, second] = partition.vps;
  if (first === undefined || second === undefined) throw new Error('the partition has no VPs');
  const memory = GuestMemory.allocate(16 * pageSize, { shared: true, native });
  const mapping = partition.mapMemory(memory, { gpa: 0 });
  guest.simulator
    .guest(partition, 0)
    .enableSynic({ simp: 0x1_0000, siefp: 0x1_1000, sints: { 2: 0x52 } })
    .mmioWrite(0x2000, 8, 1n)
    .halt();
  while (first.run()?.type !== 'halt');
  partition.postMessageDirect({ vp: 0, sint: 2, type: 1 });
  partition.signalEventDirect({ vp: 0, sint: 2, flag: 1 });
  partition.dirtyPages({ gpa: 0, size: memory.size });
  expectError(() => partition.mapMemory(memory, { gpa: 0 }));

  const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
  route.event.signal();
  route.mask();
  route.event.signal();
  route.setMsi(0xfee00000n, 0x42);
  route.unmask();
  guest.interrupts(partition);
  const doorbell = partition.registerDoorbell({ gpa: 0xd000_0000 });
  guest.writeMmio(partition, doorbell.gpa, 4, 1n);
  partition.requestInterrupt({ vector: 0x51 });

  first.setRegisters(first.getRegisters(['RAX', 'RBX']));
  first.setState('lapic', first.getState('lapic'));
  first.registerPage?.valid.valueOf();
  guest.queueMessage(partition, 0, encodeMessage('halt'));
  first.run();
  const run = first.start(() => undefined);
  guest.queueMessage(partition, 0, encodeMessage('halt'));
  guest.queueMessage(partition, 0, encodeMessage('halt'));
  first.cancel();
  await run.finished;
  // Ended by its close, while it runs.
  second.start(() => undefined);

  route.close();
  doorbell.close();
  mapping.unmap();
  partition.close();
  memory.close();
}

/** A Worker ends while it runs a VP and has memory. */
async function terminateWorker(guest: SimulatorGuestSide): Promise<void> {
  const data: BorrowerData = { backend: 'simulator' };
  const worker = typescriptWorker(new URL('../vp-borrower.ts', import.meta.url), {
    workerData: data,
  });
  const partition = guest.createPartition(1);
  const memory = GuestMemory.allocate(pageSize, { shared: true, native: guest.native });
  const [vp] = partition.vps;
  if (vp === undefined) throw new Error('the partition has no VP');
  const loan: Loan = { vp: vp.share(), memory: memory.share() };
  worker.postMessage(loan);
  await once(worker, 'message');
  await worker.terminate();
  partition.close();
  memory.close();
}

await bundlePrograms();
const rounds = Number(process.argv[2]);
for (let round = 0; round < rounds; round++) {
  const scheduler = round % 2 === 0 ? 'hypervisor' : 'root';
  using guest = new SimulatorGuestSide({ scheduler });
  await useEventsAndMemory(linuxNative());
  await useEventsAndMemory(guest.native);
  await useDriver(guest);
  if (round % 20 === 0) await terminateWorker(guest);
  expectError(() => Mshv.open({ path: '/dev/null' }).createPartition());
}

// Not closed, and not by process.exit(), with which Node frees nothing.
const left = new SimulatorGuestSide();
const partition = left.createPartition(1);
partition.mapMemory(GuestMemory.allocate(pageSize, { native: left.native }), { gpa: 0 });
partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } }).event.signal();
partition.vps[0]?.start(() => undefined).unref();
EventFd.create()
  .unref()
  .watch(() => undefined);
console.log(`${rounds} rounds`);
