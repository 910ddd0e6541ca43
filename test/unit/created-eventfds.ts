import { expect } from 'vitest';

import { EventFd } from '../../lib/index.js';

const created: EventFd[] = [];

/** An eventfd that `closeAll()` closes. */
export function create(...options: Parameters<typeof EventFd.create>): EventFd {
  const event = EventFd.create(...options);
  created.push(event);
  return event;
}

export function closeAll(): void {
  for (const event of created.splice(0)) event.close();
}

/** The error of one that is closed. */
export const closed = expect.objectContaining({
  name: 'MshvError',
  code: 'ERR_MSHV_CLOSED',
  message: 'EventFd is closed',
}) as unknown;

/** The next `length` counts that a new listener gets. */
export async function counts(event: EventFd, length: number): Promise<bigint[]> {
  const seen: bigint[] = [];
  await new Promise<void>((resolve) => {
    const watch = event.watch((count) => {
      if (seen.push(count) === length) {
        watch[Symbol.dispose]();
        resolve();
      }
    });
  });
  return seen;
}

/** Lets the event loop look at all descriptors once more. */
export async function turn(): Promise<void> {
  const bell = EventFd.create({ initial: 1 });
  // The bell is heard when the loop polls; what was readable then has been read when this resolves.
  await counts(bell, 1);
  bell.close();
  await new Promise(setImmediate);
}
