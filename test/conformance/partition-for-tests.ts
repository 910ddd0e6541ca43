import { beforeEach, vi } from 'vitest';

import type { Intercept, Partition, Vp } from '../../lib/index.js';
import type { GuestSide } from '../guest-side.js';
import { isRunning as vpIsRunning } from '../is-running.js';
import { vpOf } from '../vp-of.js';

/** No wait for another thread takes longer, however slow the machine. */
export const patience = 60_000;

let guest: GuestSide;

/** The present test's own: what imports these finds another one in each test. */
export let partition: Partition;
/** VP 0 of it. */
export let vp: Vp;

function use(one: Partition): void {
  partition = one;
  vp = vpOf(one, 0);
}

/** Gives each test of a file a partition with VPs 0 to `vps - 1`, which is closed behind it. */
export function partitionForEachTest(side: GuestSide, vps?: number): void {
  beforeEach(() => {
    guest = side;
    use(guest.createPartition(vps));
    return () => {
      partition.close();
    };
  });
}

/** Closes the test's partition, and puts another one in its place for the rest of the test. */
export function renewPartition(vps: number): void {
  partition.close();
  use(guest.createPartition(vps));
}

/** Does something with another one in its place, as each run of a property wants. */
export function withNewPartition(vps: number, action: () => void): void {
  const before = partition;
  use(guest.createPartition(vps));
  try {
    action();
  } finally {
    partition.close();
    use(before);
  }
}

/** Whether some thread runs VP 0. */
export const isRunning = (): boolean => vpIsRunning(vp);

export const untilRunning = (): Promise<boolean> => vi.waitUntil(isRunning, { timeout: patience });

/** Runs a VP of the partition into a message. */
export function runInto(message: Uint8Array, by = vp): Intercept {
  guest.queueMessage(partition, by.index, message);
  const exit = by.run();
  if (exit === undefined) throw new Error('nobody has canceled the VP');
  return exit;
}
