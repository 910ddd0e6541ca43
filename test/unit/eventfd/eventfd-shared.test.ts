import { closeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { linuxNative, type Native } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { overflow } from '../../hostile-peer.js';
import { openFiles } from '../../open-descriptors.js';

// What others do to an eventfd that they share, one thing at a time; test/conformance/hostile-peers.test.ts does all of it at once.

const most = 2n ** 64n - 1n;

/** Resolves with the counts of a listener once there are so many. */
function heard(event: EventFd, length: number): Promise<bigint[]> {
  const counts: bigint[] = [];
  return new Promise((resolve) => {
    event.watch((count) => {
      if (counts.push(count) === length) resolve(counts);
    });
  });
}

const turn = (): Promise<void> => new Promise(setImmediate);

const eventfds = (): string[] =>
  [...openFiles()].flatMap(([fd, file]) => (file === 'anon_inode:[eventfd]' ? [fd] : []));

/** A new eventfd, and the number that nobody is told. */
function createWithNumber(native: Native): [EventFd, number] {
  const before = new Set(eventfds());
  const event = EventFd.create({ native });
  const [own] = eventfds().filter((fd) => !before.has(fd));
  if (own === undefined) throw new Error('it has no descriptor');
  return [event, Number(own)];
}

describe.each([
  ['mshv', linuxNative()],
  ['mshv_sim', simNative()],
])('an eventfd of %s whose counter is at 2^64 - 1', (_, native) => {
  it('is read, and its watch hears of that and of the next signal', async () => {
    using event = EventFd.create({ native });
    const counts = heard(event, 2);
    // The loop watches it by now.
    await turn();
    overflow(event);
    expect(event.pending).toBe(true);
    expect(() => {
      event.signal();
    }).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
    while (event.pending) await turn();
    event.signal(3);
    expect(await counts).toEqual([most, 3n]);
  });

  it('wakes those who wait, one after the other', async () => {
    using event = EventFd.create({ native });
    const counts = event[Symbol.asyncIterator]();
    const waits = [event.wait(), counts.next()] as const;
    await turn();
    overflow(event);
    expect(await waits[0]).toBe(most);
    overflow(event);
    expect(await waits[1]).toEqual({ done: false, value: most });
    overflow(event);
    expect(event.tryRead()).toBe(most);
    event.signal();
    expect(await event.wait()).toBe(1n);
  });
});

describe('an eventfd that is closed by a number', () => {
  it('goes on, with its watch, where the number is the one that it gave out', async () => {
    using event = EventFd.create();
    const counts = heard(event, 2);
    const { fd } = event;
    // Before the loop looks at it, and after.
    for (const closed of [fd, event.fd]) {
      expect(closed).toBe(event.fd);
      closeSync(closed);
      event.signal();
      await turn();
      while (event.pending) await turn();
    }
    expect(await counts).toEqual([1n, 1n]);
  });

  it.each([
    ['mshv', linuxNative()],
    ['mshv_sim', simNative()],
  ])('is EBADF for every use where it is its own: %s', async (_, native) => {
    const bad = expect.objectContaining({ name: 'MshvError', code: 'EBADF' }) as unknown;
    const [event, own] = createWithNumber(native);
    closeSync(own);
    // All of it before anybody gets the number.
    const uses = [
      () => event.watch(() => undefined),
      () => event.pending,
      () => event.tryRead(),
      () => {
        event.signal();
      },
      () => event.fd,
      () => event.clone(),
    ].map((use: () => unknown) => {
      try {
        return use();
      } catch (error) {
        return error;
      }
    });
    const waiting = event.wait();
    event.close();
    expect(uses).toEqual(uses.map(() => bad));
    await expect(waiting).rejects.toEqual(bad);
  });
});
