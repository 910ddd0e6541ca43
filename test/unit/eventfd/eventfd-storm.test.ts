import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';

// Eventfds that are signalled again as soon as they are read. Everybody else is heard all the same: turns of the
// event loop are counted, not time.

const events: EventFd[] = [];
/** How often the event loop has turned. */
let turns = 0;
let counting: NodeJS.Immediate;

const create = (): EventFd => {
  const event = EventFd.create();
  events.push(event);
  return event;
};

const countTurns = (): void => {
  turns++;
  counting = setImmediate(countTurns);
};

beforeEach(() => {
  turns = 0;
  countTurns();
});
afterEach(() => {
  clearImmediate(counting);
  for (const event of events.splice(0)) event.close();
});

/** Signals an eventfd in each of its own listener's calls. Returns the turns in which it was heard. */
function storm(event: EventFd): number[] {
  const heard: number[] = [];
  event.watch(() => {
    heard.push(turns);
    event.signal();
  });
  event.signal();
  return heard;
}

async function pass(count: number): Promise<void> {
  const end = turns + count;
  while (turns < end) await new Promise(setImmediate);
}

describe('watch()', () => {
  // libuv takes 1024 descriptors at once. Where there are so many it asks for more before the loop turns.
  it.each([10, 1023, 1024, 1500])(
    'hears each of %i eventfds once in each turn of the event loop, whatever is signalled meanwhile',
    async (count) => {
      const heard = Array.from({ length: count }, () => storm(create()));
      await pass(2);
      const first = turns;
      await pass(5);
      const expected = [0, 1, 2, 3, 4].map((turn) => first + turn);
      const inThose = heard.map((each) => each.filter((turn) => turn >= first && turn < turns));
      for (const each of inThose) expect(each).toEqual(expected);
    },
  );

  it('hears of one signal among eventfds that are signalled all the time', async () => {
    for (let i = 0; i < 1500; i++) storm(create());
    await pass(1);
    for (let i = 0; i < 20; i++) {
      const event = create();
      const from = turns;
      let heard = 0;
      event.watch(() => (heard = turns));
      event.signal();
      await pass(3);
      expect(heard - from).toBeLessThanOrEqual(2);
      expect(heard).toBeGreaterThan(0);
    }
  });
});

describe('wait() and iteration', () => {
  it('let the event loop turn although each count is there at once', async () => {
    const event = create();
    const seen = new Set<number>();
    event.signal();
    let counts = 0;
    for await (const count of event) {
      expect(count).toBe(1n);
      seen.add(turns);
      if (++counts === 100) break;
      event.signal();
    }
    expect(seen.size).toBeGreaterThanOrEqual(50);
    event.signal();
    for (let i = 0; i < 100; i++) {
      await event.wait();
      seen.add(turns);
      event.signal();
    }
    expect(seen.size).toBeGreaterThanOrEqual(100);
  });

  it('do so for a semaphore with many units', async () => {
    const event = EventFd.create({ initial: 100, semaphore: true });
    events.push(event);
    const seen = new Set<number>();
    for (let i = 0; i < 100; i++) {
      expect(await event.wait()).toBe(1n);
      seen.add(turns);
    }
    expect(seen.size).toBeGreaterThanOrEqual(50);
  });
});
