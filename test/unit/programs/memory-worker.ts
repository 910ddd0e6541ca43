import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, type GuestMemoryToken, MshvError } from '../../../lib/index.js';

// Receives memory, doubles its first byte each time it is told to, and keeps the memory to the end.
const memory = GuestMemory.receive(workerData as GuestMemoryToken);
const view = memory.view(Uint8Array);
let second = '';
try {
  GuestMemory.receive(workerData as GuestMemoryToken);
} catch (error) {
  second = error instanceof MshvError ? error.code : String(error);
}
parentPort?.on('message', () => {
  view[0] = (view[0] ?? 0) * 2;
  parentPort?.postMessage(view[0]);
});
parentPort?.postMessage({ size: memory.size, shared: memory.shared, second });
