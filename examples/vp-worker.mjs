// The Worker of worker-vp.ts: runs the VP that it was given until somebody cancels it.
import { parentPort, workerData } from 'node:worker_threads';

import { Vp } from 'mshv';
import { Simulator } from 'mshv/sim';

const { token, simulated } = workerData;
const vp = Vp.receive(token, simulated ? { native: Simulator.native } : {});
const exit = vp.run();
parentPort.postMessage(exit === undefined ? 'canceled' : `left with ${exit.type}`);
vp.close();
