import { expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/index.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  partition,
  partitionForEachTest,
  patience,
  untilRunning,
  vp,
} from './partition-for-tests.js';

// The clock of a partition, and what TIME_FREEZE stops.

const guest = await guestSideForTests();

partitionForEachTest(guest, 2);

const halt = encodeMessage('halt', { rip: 0x1000, instructionLength: 1 });
const referenceTime = (): bigint => partition.property('REFERENCE_TIME');
const refCount = (): bigint => vp.getRegisters(['TIME_REF_COUNT']).TIME_REF_COUNT;
const freeze = (value: 0 | 1): void => {
  partition.setProperty('TIME_FREEZE', value);
};
const untilLater = (than: bigint): Promise<boolean> =>
  vi.waitUntil(() => referenceTime() > than, { timeout: patience });

it('reference time goes on from the creation of a partition, as property and as register', async () => {
  const began = referenceTime();
  // A minute of patience for making it, in units of 100 ns.
  expect(began).toBeLessThan(BigInt(patience) * 10_000n);
  await untilLater(began);
  const before = referenceTime();
  const count = refCount();
  expect(count).toBeGreaterThanOrEqual(before);
  expect(referenceTime()).toBeGreaterThanOrEqual(count);
});

it('stands while TIME_FREEZE is set, and goes on from there', async () => {
  freeze(1);
  const stands = referenceTime();
  using other = guest.createPartition(1);
  const others = other.property('REFERENCE_TIME');
  await vi.waitUntil(() => other.property('REFERENCE_TIME') > others + 100_000n, {
    timeout: patience,
  });
  expect(referenceTime()).toBe(stands);
  expect(refCount()).toBe(stands);
  freeze(1);
  expect(referenceTime()).toBe(stands);
  partition.setProperty('REFERENCE_TIME', 2n ** 40n);
  expect(refCount()).toBe(2n ** 40n);
  freeze(0);
  await untilLater(2n ** 40n);
});

it('no guest code runs while TIME_FREEZE is set', async () => {
  freeze(1);
  guest.queueMessage(partition, 0, halt);
  const run = vp.start(() => {
    throw new Error('a VP that is frozen has no exits');
  });
  await untilRunning();
  run.stop();
  expect(await run.finished).toBe('stopped');
  const later = vp.start(() => 'stop');
  await untilRunning();
  freeze(0);
  expect(await later.finished).toBe('stopped');
});

it('a VP whose exit came before TIME_FREEZE goes on after it', async () => {
  const seen: string[] = [];
  guest.queueMessage(partition, 0, halt);
  guest.queueMessage(partition, 0, halt);
  const run = vp.start((exit) => {
    seen.push(exit.type);
    if (seen.length === 1) freeze(1);
    return seen.length === 2 ? 'stop' : undefined;
  });
  await vi.waitUntil(() => seen.length === 1, { timeout: patience });
  freeze(0);
  expect(await run.finished).toBe('stopped');
  expect(seen).toEqual(['halt', 'halt']);
});
