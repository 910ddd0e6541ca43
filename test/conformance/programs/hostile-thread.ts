import { closeSync, readSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';

/** What the thread is started with. */
export interface HostileThreadData {
  readonly steps: number;
}

/** What it says at the end. */
export interface HostileThreadDone {
  readonly added: bigint;
  readonly taken: bigint;
}

// Writes to and reads from an eventfd by the number that was given out of it, without the library, and closes that number:
// then it asks for another one. Where somebody has made it blocking it waits, as any thread would.
const { steps } = workerData as HostileThreadData;
const stepsBetweenCloses = 25;
if (parentPort === null) throw new Error('this is no Worker');
const port = parentPort;
const word = new BigUint64Array(1);
let added = 0n;
let taken = 0n;
for (let step = 0; step < steps;) {
  port.postMessage('number');
  const [fd] = (await once(port, 'message')) as [number];
  for (const last = step + stepsBetweenCloses; step < last; step++) {
    try {
      if (step % 3 === 0) {
        readSync(fd, word);
        taken += word[0] ?? 0n;
      } else {
        word[0] = 1n;
        writeSync(fd, word);
        added++;
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
  closeSync(fd);
}
const done: HostileThreadDone = { added, taken };
port.postMessage(done);
// It ends where nobody is heard any more.
port.close();
