// A VP in a Worker: vp.run() blocks there, while this thread looks at the guest's memory and ends the
// run. With /dev/mshv the guest's code runs; without, the simulator plays it:
//
//   npx tsx examples/worker-vp.ts

import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import { openGuest } from './guest.js';

const counter = 0x8000;
const goal = 1000n;

const machineCode = Uint8Array.of(
  ...[0x48, 0xff, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00], // next: incq 0x8000
  ...[0xeb, 0xf6], //                                           jmp  next
);

using guest = openGuest(machineCode, (script) => {
  for (let value = 1n; value <= goal; value++) {
    script.mmioWrite(counter, 8, value);
  }
});
console.log(`on ${guest.machine}:`);

const worker = new Worker(new URL('vp-worker.mjs', import.meta.url), {
  workerData: { token: guest.vp.share(), simulated: guest.simulated },
});
const ended = once(worker, 'message') as Promise<[string]>;

const counters = guest.memory.view(BigUint64Array, counter, 1);
while ((counters[0] ?? 0n) < goal) {
  await setTimeout(1);
}
console.log(`the guest has counted to ${goal} and more while this thread was free`);
guest.vp.cancel();
console.log(`the run in the Worker: ${(await ended)[0]}`);
