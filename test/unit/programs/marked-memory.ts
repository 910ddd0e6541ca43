import { markAsUntransferable } from 'node:worker_threads';

import { GuestMemory } from '../../../lib/index.js';
import { MshvError } from '../../../lib/errors.js';
import { Simulator } from '../../../lib/sim/index.js';

// Closes memory whose buffer is marked as untransferable, and a VP whose page is, and ends before Node does.

const { native } = Simulator;
const memory = GuestMemory.allocate(4096, { native });
memory.write(0, Uint8Array.of(7));
markAsUntransferable(memory.buffer);

/** What comes of a use of the memory. */
function outcome(use: () => unknown): string {
  try {
    use();
    return memory.closed ? 'closed' : String(memory.bytes()[0]);
  } catch (error) {
    return error instanceof MshvError ? error.code : String(error);
  }
}

console.log(
  outcome(() => {
    memory.close();
  }),
);
console.log(outcome(() => undefined));

const simulator = new Simulator();
const partition = simulator.open().createPartition();
partition.initialize();
const vp = native.createVp(partition.fd, 0);
native.vpAttach(vp, -1);
const page = native.vpPage(vp, 0);
if (typeof page !== 'number') {
  markAsUntransferable(page);
  native.close(vp);
  // Where it could not be detached it is over a page of nobody.
  console.log(Math.sign(page.byteLength));
}
process.kill(process.pid, 'SIGKILL');
