import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, Vp, type GuestMemoryToken, type VpToken } from '../lib/index.js';
import { linuxNative } from '../lib/native.js';
import { simNative } from '../lib/sim/sim-native.js';

/** What the thread is started with. */
export interface BorrowerData {
  readonly backend: 'simulator' | 'lab';
}

/** What it gets to use: it runs the VP until it is canceled, and then gives everything back. */
export interface Loan {
  readonly vp: VpToken;
  readonly memory: GuestMemoryToken | undefined;
}

/** What it says of a loan: that it has it, then, when everything is given back, how many exits there were. */
export type LoanReport = 'running' | number | Error;

const { backend } = workerData as BorrowerData;
const native = backend === 'simulator' ? simNative() : linuxNative();

function use({ vp: token, memory: memoryToken }: Loan): number {
  using vp = Vp.receive(token, { native });
  using memory = memoryToken && GuestMemory.receive(memoryToken, { native });
  memory?.write(0, Uint8Array.of(1));
  parentPort?.postMessage('running' satisfies LoanReport);
  let exits = 0;
  while (vp.run() !== undefined) exits++;
  return exits;
}

parentPort?.on('message', (loan: Loan) => {
  let report: LoanReport;
  try {
    report = use(loan);
  } catch (error) {
    report = error instanceof Error ? error : new Error(String(error));
  }
  parentPort?.postMessage(report);
});
