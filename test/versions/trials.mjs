// Tries one thing with the built package, in whichever runtime this is, and says 'works', or the code of the error:
//
//   trials.mjs TRIAL
//
// It exits by itself, because a runtime that dies in the end is no good either.

import console from 'node:console';
import process from 'node:process';
import { setTimeout } from 'node:timers';
import { URL } from 'node:url';
import { Worker, workerData } from 'node:worker_threads';

const folder = new URL('../../dist/', import.meta.url);
const { EventFd, GuestMemory, Vp } = await import(new URL('index.js', folder).href);
const { Simulator } = await import(new URL('sim/index.js', folder).href);

function expectEqual(one, other) {
  if (one !== other) throw new Error(`${one} is not ${other}`);
}

function machine() {
  const simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  return { simulator, partition, vp: partition.createVp(0), native: Simulator.native };
}

function newEvent() {
  const { native, simulator } = machine();
  return { event: EventFd.create({ native }), simulator };
}

const trials = {
  routes() {
    const { simulator, partition } = machine();
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
    route.event.signal();
    expectEqual(simulator.interrupts(partition).length, 1);
    simulator.close();
  },
  'run()'() {
    const { simulator, partition, vp } = machine();
    simulator.guest(partition, 0).out(0x3f8, 1, 65);
    expectEqual(vp.run().type, 'io-port');
    expectEqual(vp.registerPage.get('RIP'), vp.getRegisters(['RIP']).RIP);
    simulator.close();
  },
  async 'start()'() {
    const { simulator, partition, vp } = machine();
    simulator.guest(partition, 0).out(0x3f8, 1, 65);
    let exits = 0;
    const { finished } = vp.start(async () => {
      await null;
      exits++;
      vp.cancel();
    });
    expectEqual(await finished, 'canceled');
    expectEqual(exits, 1);
    simulator.close();
  },
  async 'run() in a Worker'() {
    const { simulator, vp } = machine();
    const worker = new Worker(new URL(import.meta.url), {
      argv: ['in a Worker'],
      workerData: vp.share(),
    });
    const ended = new Promise((resolve, reject) => {
      worker.once('exit', resolve).once('error', reject);
    });
    vp.cancel();
    expectEqual(await ended, 0);
    simulator.close();
  },
  'in a Worker'() {
    const vp = Vp.receive(workerData, { native: Simulator.native });
    expectEqual(vp.run(), undefined);
    vp.close();
  },
  memory() {
    const { simulator, partition, native } = machine();
    const memory = GuestMemory.allocate(0x10000, { native, shared: true });
    const mapping = partition.mapMemory(memory, { gpa: 0 });
    const bytes = memory.bytes();
    bytes[3] = 7;
    expectEqual(memory.read(3, 1)[0], 7);
    mapping.unmap();
    memory.close();
    expectEqual(bytes.length, 0);
    simulator.close();
  },
  eventfds() {
    const { event, simulator } = newEvent();
    event.signal(3);
    expectEqual(event.pending, true);
    expectEqual(event.tryRead(), 3n);
    event.close();
    simulator.close();
  },
  async 'watch()'() {
    const { event, simulator } = newEvent();
    const counted = new Promise((resolve) => event.watch(resolve));
    event.signal();
    expectEqual(await counted, 1n);
    event.close();
    simulator.close();
  },
  async 'wait()'() {
    const { event, simulator } = newEvent();
    const counted = event.wait();
    setTimeout(() => event.signal(), 0);
    expectEqual(await counted, 1n);
    event.close();
    simulator.close();
  },
};

const [trial] = process.argv.slice(2);
try {
  await trials[trial]();
  if (trial !== 'in a Worker') console.log('works');
} catch (error) {
  console.log(error.code ?? error.stack);
}
