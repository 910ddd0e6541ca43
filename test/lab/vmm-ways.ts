import { existsSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';

import type { EventFd } from '../../lib/index.js';
import type { DeviceGuest } from './device-guest.js';
import { StartedVmm, VmmThread, WorkerVmm, type Vmm } from './vmm.js';

// Guest machine code runs on the lab's emulated SVM, and this library is all that its VMM has. The guest's own
// counters are the judge: see lab/device-guest.S.

export const executesGuests =
  existsSync('/dev/fakehv') && readFileSync('/proc/cmdline', 'utf8').includes('fakehv.svm=1');
export const why = executesGuests ? '' : ' (skipped: runs in the lab only, with --svm)';

export const many = 10_000;
export const some = 1000;
export const few = 100;
/** An address without memory. */
export const mmio = 0xd000_0000;

const patience = 30_000;

/** Waits for what the guest or another thread does, and leaves the processor to it meanwhile. */
export async function until(happened: () => boolean): Promise<void> {
  const deadline = Date.now() + patience;
  while (!happened()) {
    if (Date.now() > deadline) expect.fail(`nothing happened for ${patience / 1000} seconds`);
    await setTimeout(1);
  }
}

/** Modulo 2^64, as the guest adds. */
export function sum(count: number, term: (n: number) => bigint): bigint {
  let total = 0n;
  for (let n = 0; n < count; n++) total += term(n);
  return BigInt.asUintN(64, total);
}

/** Begins to run a VP of a guest, until it asks for work. `halting` is signalled when the guest is about to halt. */
export type Boot = (guest: DeviceGuest, index?: number, halting?: EventFd) => Promise<Vmm>;

// Both ways end in the same ioctl: that they agree is shown once, with the other scheduler one is enough.
const onlyStart = process.env['MSHV_TEST_WAYS'] === 'start';
const whyNoWorker = onlyStart ? ' (skipped: MSHV_TEST_WAYS=start)' : why;

/** Defines tests for a VMM with `vp.run()` in a Worker, and again for one with `vp.start()`. */
export function describeWays(define: (boot: Boot) => void): void {
  describe.skipIf(!executesGuests || onlyStart)(`with vp.run() in a Worker${whyNoWorker}`, () => {
    const threads: VmmThread[] = [];
    beforeAll(async () => {
      threads.push(await VmmThread.start(), await VmmThread.start());
    });
    afterAll(async () => {
      for (const thread of threads) await thread[Symbol.asyncDispose]();
    });
    define(async (guest, index = 0, halting) => {
      const thread = threads[index];
      if (thread === undefined) throw new RangeError(`no thread for VP ${index}`);
      const vmm = await WorkerVmm.start(thread, guest, index, halting);
      expect(await vmm.run()).toBe('work');
      return vmm;
    });
  });
  describe.skipIf(!executesGuests)(`with vp.start()${why}`, () => {
    define(async (guest, index = 0, halting) => {
      const vmm = new StartedVmm(guest, index, halting);
      expect(await vmm.run()).toBe('work');
      return vmm;
    });
  });
}
