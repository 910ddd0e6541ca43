// Runs a VP that another thread shares, until it is told otherwise: says each result.
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';

const native = createRequire(import.meta.url)('bindings')('mshv_sim');
const [, , vp, control] = workerData.token;

parentPort.postMessage(native.receive(workerData.token, Uint32Array.of(1, 2)));

const message = new Uint8Array(new SharedArrayBuffer(384));
native.vpUseBlock(vp, message);
for (let runs = workerData.runs; runs > 0;) {
  const result = native.vpRun(vp);
  if (result === -constants.errno.EINTR) continue;
  parentPort.postMessage([result, message[0]]);
  runs--;
}
native.close(vp);
native.close(control);
