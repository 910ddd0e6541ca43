import { read, stat } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, type GuestMemoryToken } from '../../../lib/index.js';

// Has a thread of Node's pool read into memory from a pipe that has nothing, and says when that has begun.

/** What the thread is started with. */
export interface ReadWork {
  readonly token: GuestMemoryToken;
  readonly fd: number;
  /** Whether it closes its memory then. */
  readonly closes: boolean;
}

const { token, fd, closes } = workerData as ReadWork;
const memory = GuestMemory.receive(token);
const bytes = memory.bytes();
read(fd, bytes, 0, bytes.length, null, (error) => {
  if (error !== null) throw error;
  parentPort?.postMessage(bytes[0]);
});
if (closes) memory.close();
parentPort?.on('message', () => undefined);
// The pool takes one after the other. What it has not taken yet, the end of a Worker takes back.
stat('/', () => {
  parentPort?.postMessage('reading');
});
