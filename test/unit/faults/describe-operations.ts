import { describe, it } from 'vitest';

import type { Operation } from './engine.js';
import { devices } from './operations/device.js';
import { eventfds } from './operations/eventfd.js';
import { memory } from './operations/memory.js';
import { quietOperations } from './operations/quiet.js';
import { routes } from './operations/routes.js';
import { synics } from './operations/synic.js';
import { vps } from './operations/vps.js';

const groups = [
  ['EventFd', eventfds],
  ['Mshv and Partition', devices],
  ['GuestMemory and Doorbell', memory],
  ['IrqFd', routes],
  ['Vp', vps],
  ['SynIC', synics],
  ['what makes no call', quietOperations],
] as const;

type Group = (typeof groups)[number][0];

/** A test of each operation, but for those of some groups. */
export function describeOperations(
  test: (operation: Operation) => Promise<void>,
  leftOut: readonly Group[] = [],
): void {
  describe.each(groups.filter(([name]) => !leftOut.includes(name)))('%s', (_, operations) => {
    it.each(operations.map((operation) => [operation.name, operation] as const))(
      '%s',
      (_, operation) => test(operation),
    );
  });
}
