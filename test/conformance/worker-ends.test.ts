import { once } from 'node:events';
import { expect, it } from 'vitest';

import { processResources } from '../process-resources.js';
import { typescriptWorker } from '../typescript-program.js';
import { workerMoments, type WorkerMoment } from '../worker-moments.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// A Worker that has one of everything is terminated. Nothing of it is left in this process, and none of its partitions
// in the driver.

const program = new URL('../ending-worker.ts', import.meta.url);

const guest = await guestSideForTests();

async function terminateAt(moment: WorkerMoment): Promise<void> {
  const worker = typescriptWorker(program, { workerData: moment });
  // Rejects where the Worker fails.
  await once(worker, 'message');
  await worker.terminate();
}

it('leaves nothing, wherever it is', async () => {
  // In the lab a Worker takes seconds: the first one is there for what the process makes once and keeps.
  const moments = guest.backend === 'lab' ? workerMoments.slice(1, 3) : workerMoments;
  await terminateAt('idle');
  const before = processResources();
  for (const moment of moments) {
    await terminateAt(moment);
    expect({ moment, ...processResources() }).toEqual({ moment, ...before });
    expect(guest.leftovers()).toEqual([]);
  }
  console.log(`${moments.length} moments of Workers that have one of everything`);
});
