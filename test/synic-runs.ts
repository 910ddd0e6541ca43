import { expect } from 'vitest';

import { encodeMessage } from '../lib/sim/encode-message.js';
import type { Partition, PartitionSynic, Vp } from '../lib/index.js';
import type { GuestSide } from './guest-side.js';

/** Lets a VP halt behind what it stops for before, all of which the SynIC handles: its types. */
export type RunToHalt = (
  guest: GuestSide,
  partition: Partition,
  vp: Vp,
  synic: PartitionSynic,
) => Promise<string[]>;

function queueHalt(guest: GuestSide, partition: Partition, { index }: Vp): void {
  guest.queueMessage(partition, index, encodeMessage('halt', { vpIndex: index }));
}

export const blockingRunToHalt: RunToHalt = (guest, partition, vp, synic) => {
  queueHalt(guest, partition, vp);
  const handled: string[] = [];
  for (;;) {
    const exit = vp.run();
    if (exit === undefined || !synic.handleExit(vp, exit)) {
      expect(exit?.type).toBe('halt');
      return Promise.resolve(handled);
    }
    handled.push(exit.type);
  }
};

export const startedRunToHalt: RunToHalt = async (guest, partition, vp, synic) => {
  queueHalt(guest, partition, vp);
  const handled: string[] = [];
  let last: string | undefined;
  const { finished } = vp.start((exit) => {
    if (synic.handleExit(vp, exit)) {
      handled.push(exit.type);
      return undefined;
    }
    last = exit.type;
    return 'stop';
  });
  expect(await finished).toBe('stopped');
  expect(last).toBe('halt');
  return handled;
};

/** The ways to run a VP, for `describe.each`. */
export const runsToHalt: readonly (readonly [name: string, run: RunToHalt])[] = [
  ['vp.run()', blockingRunToHalt],
  ['vp.start()', startedRunToHalt],
];
