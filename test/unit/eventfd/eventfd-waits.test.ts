import { getEventListeners } from 'node:events';
import { closeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import { closeAll, closed, counts, create, turn } from '../created-eventfds.js';

afterEach(closeAll);

describe('wait()', () => {
  it('resolves at once with what is there', async () => {
    const event = create({ initial: 3 });
    const wait = event.wait();
    expect(event.pending).toBe(false);
    await expect(wait).resolves.toBe(3n);
  });

  it('resolves with what comes', async () => {
    const event = create();
    const wait = event.wait();
    event.signal(4);
    event.signal();
    await expect(wait).resolves.toBe(5n);
    expect(event.pending).toBe(false);
  });

  it('takes one count and leaves the next', async () => {
    const event = create();
    const wait = event.wait();
    event.signal();
    await wait;
    event.signal(2);
    await turn();
    expect(event.tryRead()).toBe(2n);
  });

  it.each<[string, (event: EventFd) => Promise<bigint>[]]>([
    [
      'before they wait',
      (event) => {
        event.signal(2);
        return [event.wait(), event.wait()];
      },
    ],
    [
      'while they wait',
      (event) => {
        const waits = [event.wait(), event.wait()];
        event.signal(2);
        return waits;
      },
    ],
    [
      'between them',
      (event) => {
        const first = event.wait();
        event.signal(2);
        return [first, event.wait()];
      },
    ],
  ])('gives a count that came %s to one of several, the first', async (_, begin) => {
    const event = create();
    const [first, second] = begin(event);
    expect(await first).toBe(2n);
    event.signal(3);
    expect(await second).toBe(3n);
    expect(event.pending).toBe(false);
  });

  it('gives a count to one of promises and iterators, in their order, and lets listeners hear of all', async () => {
    const event = create();
    const listened = counts(event, 3);
    const iterator = event[Symbol.asyncIterator]();
    const takers = [event.wait(), iterator.next(), event.wait()];
    for (const [i, taker] of takers.entries()) {
      event.signal(i + 1);
      await taker;
    }
    expect(await Promise.all(takers)).toEqual([1n, { done: false, value: 2n }, 3n]);
    expect(await listened).toEqual([1n, 2n, 3n]);
  });

  it('gives its count to who waits, though a listener closes the EventFd', async () => {
    const event = create();
    event.watch(() => {
      event.close();
    });
    const [first, second] = [event.wait(), event.wait()];
    event.signal(4);
    await expect(second).rejects.toEqual(closed);
    expect(await first).toBe(4n);
  });

  it('gives one unit of a semaphore to each', async () => {
    const event = create({ semaphore: true });
    const waits = [event.wait(), event.wait()];
    event.signal(3);
    expect(await Promise.all(waits)).toEqual([1n, 1n]);
    expect(event.tryRead()).toBe(1n);
  });

  it('rejects with the reason where its signal has aborted already, and consumes nothing', async () => {
    const event = create({ initial: 1 });
    await expect(event.wait({ signal: AbortSignal.abort('too late') })).rejects.toBe('too late');
    expect(event.tryRead()).toBe(1n);
  });

  it('rejects with the reason where its signal aborts meanwhile, and stops watching', async () => {
    const event = create();
    const abort = new AbortController();
    const wait = event.wait({ signal: abort.signal });
    abort.abort(new Error('changed my mind'));
    await expect(wait).rejects.toThrow('changed my mind');
    event.signal(6);
    await turn();
    expect(event.tryRead()).toBe(6n);
  });

  it('leaves nothing on its signal', async () => {
    const { signal } = new AbortController();
    const event = create({ initial: 1 });
    await event.wait({ signal });
    const wait = event.wait({ signal });
    event.signal();
    await wait;
    const last = event.wait({ signal });
    event.close();
    await expect(last).rejects.toEqual(closed);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('aborts one of several without disturbing the others', async () => {
    const event = create();
    const abort = new AbortController();
    const waits = [event.wait({ signal: abort.signal }), event.wait()];
    abort.abort('this one');
    event.signal();
    expect(await Promise.allSettled(waits)).toEqual([
      { status: 'rejected', reason: 'this one' },
      { status: 'fulfilled', value: 1n },
    ]);
  });

  it('rejects where the EventFd is closed meanwhile', async () => {
    const event = create();
    const waits = [event.wait(), event.wait()];
    event.close();
    for (const wait of waits) await expect(wait).rejects.toEqual(closed);
  });

  it('rejects where the descriptor is released meanwhile', async () => {
    const event = create();
    const wait = event.wait();
    const fd = event.release();
    await expect(wait).rejects.toEqual(closed);
    closeSync(fd);
  });

  it('rejects and does not throw where the EventFd is closed already', async () => {
    const event = create();
    event.close();
    await expect(event.wait()).rejects.toEqual(closed);
  });
});

describe('watch()', () => {
  it('gives each count to all listeners, in order', async () => {
    const event = create();
    const calls: string[] = [];
    const done = new Promise<void>((resolve) => {
      event.watch((count) => calls.push(`first ${count}`));
      event.watch((count) => {
        calls.push(`second ${count}`);
        if (count === 9n) resolve();
        else event.signal(9);
      });
    });
    event.signal(2);
    await done;
    expect(calls).toEqual(['first 2', 'second 2', 'first 9', 'second 9']);
  });

  it('adds up what comes faster than the event loop turns', async () => {
    const event = create();
    const seen = counts(event, 1);
    for (let i = 0; i < 1000; i++) event.signal();
    expect(await seen).toEqual([1000n]);
  });

  it('gives a semaphore unit by unit', async () => {
    const event = create({ initial: 3, semaphore: true });
    expect(await counts(event, 3)).toEqual([1n, 1n, 1n]);
    expect(event.pending).toBe(false);
  });

  it('stops at dispose, twice if you like, and leaves the counter alone', async () => {
    const event = create();
    const seen: bigint[] = [];
    const watch = event.watch((count) => seen.push(count));
    event.signal();
    await turn();
    watch[Symbol.dispose]();
    watch[Symbol.dispose]();
    event.signal(5);
    await turn();
    expect(seen).toEqual([1n]);
    expect(event.tryRead()).toBe(5n);
  });

  it('can be taken up again', async () => {
    const event = create();
    for (let n = 1; n <= 3; n++) {
      const seen = counts(event, 1);
      event.signal(n);
      expect(await seen).toEqual([BigInt(n)]);
    }
  });

  it('does not call a listener that an earlier one disposed of', async () => {
    const event = create();
    const calls: string[] = [];
    event.watch(() => {
      calls.push('first');
      second[Symbol.dispose]();
    });
    const second = event.watch(() => calls.push('second'));
    event.watch(() => calls.push('third'));
    event.signal();
    await turn();
    expect(calls).toEqual(['first', 'third']);
  });

  it('does not lose a count to a wait()', async () => {
    const event = create();
    const seen = counts(event, 1);
    event.signal(3);
    expect(await event.wait()).toBe(3n);
    expect(await seen).toEqual([3n]);
  });

  it('ends with close() in a listener', async () => {
    const event = create();
    let calls = 0;
    event.watch(() => {
      calls++;
      event.close();
    });
    event.watch(() => calls++);
    event.signal();
    await turn();
    expect(calls).toBe(1);
  });

  it('hears of the eventfds of each object that stands for the addon', async () => {
    const one = create();
    const first = counts(one, 1);
    const other = create({ native: { ...linuxNative() } });
    const second = counts(other, 1);
    one.signal(2);
    other.signal(3);
    expect([await first, await second]).toEqual([[2n], [3n]]);
  });

  it('keeps many eventfds apart', async () => {
    const events = Array.from({ length: 200 }, () => create());
    const seen = events.map((event) => counts(event, 1));
    events.forEach((event, i) => {
      event.signal(i + 1);
    });
    expect(await Promise.all(seen)).toEqual(events.map((_, i) => [BigInt(i + 1)]));
  });
});

describe('async iteration', () => {
  it('gives counts until the EventFd is closed', async () => {
    const event = create({ initial: 1 });
    const seen: bigint[] = [];
    for await (const count of event) {
      seen.push(count);
      if (seen.length === 4) event.close();
      else event.signal(seen.length * 10);
    }
    expect(seen).toEqual([1n, 10n, 20n, 30n]);
  });

  it('ends where the EventFd is closed while it waits', async () => {
    const event = create();
    const next = event[Symbol.asyncIterator]().next();
    event.close();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  it('ends where its user leaves while it waits, and consumes nothing afterwards', async () => {
    const event = create();
    const iterator = event[Symbol.asyncIterator]();
    const next = iterator.next();
    expect(await iterator.return()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    event.signal();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(event.tryRead()).toBe(1n);
  });

  it('is empty where the EventFd is closed already', async () => {
    const event = create();
    event.close();
    expect(await event[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
  });

  it('reads nothing while the consumer is busy or gone', async () => {
    const event = create({ initial: 1 });
    for await (const count of event) {
      expect(count).toBe(1n);
      event.signal();
      await turn();
      event.signal();
      break;
    }
    await turn();
    expect(event.tryRead()).toBe(2n);
  });
});
