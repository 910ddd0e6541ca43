import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, type GuestMemoryToken, MshvError } from '../../../lib/index.js';

// Receives memory, doubles its first byte each time it is told to, and keeps the memory to the end.
const memory = GuestMemory.receive(workerData as GuestMemoryToken);
let second = '';
try {
  GuestMemory.receive(workerData as GuestMemoryToken);
} catch (error) {
  second = error instanceof MshvError ? error.code : String(error);
}
parentPort?.on('message', () => {
  const doubled = 2 * (memory.read(0, 1)[0] ?? 0);
  memory.write(0, Uint8Array.of(doubled));
  parentPort?.postMessage(doubled);
});
parentPort?.postMessage({ size: memory.size, shared: memory.shared, second });
