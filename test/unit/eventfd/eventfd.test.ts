import { getEventListeners, once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { openDescriptors, openFiles } from '../../open-descriptors.js';
import { typescriptWorker } from '../../typescript-program.js';

const most = 2n ** 64n - 2n;

const created: EventFd[] = [];

function create(...options: Parameters<typeof EventFd.create>): EventFd {
  const event = EventFd.create(...options);
  created.push(event);
  return event;
}

afterEach(() => {
  for (const event of created.splice(0)) event.close();
});

const closed = expect.objectContaining({
  name: 'MshvError',
  code: 'ERR_MSHV_CLOSED',
  message: 'EventFd is closed',
}) as unknown;

/** The next `length` counts that a new listener gets. */
async function counts(event: EventFd, length: number): Promise<bigint[]> {
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
async function turn(): Promise<void> {
  const bell = EventFd.create({ initial: 1 });
  // The bell is heard when the loop polls; what was readable then has been read when this resolves.
  await counts(bell, 1);
  bell.close();
  await new Promise(setImmediate);
}

describe('create()', () => {
  it('begins at 0', () => {
    expect(create().tryRead()).toBeUndefined();
  });

  it.each([1, 5, 2 ** 32 - 1])('begins at %i where told to', (initial) => {
    const event = create({ initial });
    expect(event.tryRead()).toBe(BigInt(initial));
    expect(event.tryRead()).toBeUndefined();
  });

  it('makes a semaphore, which gives one unit a read', () => {
    const event = create({ initial: 2, semaphore: true });
    expect([event.tryRead(), event.tryRead(), event.tryRead()]).toEqual([1n, 1n, undefined]);
  });

  it('makes a descriptor that is non-blocking and close-on-exec', () => {
    const [, flags = ''] =
      /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${create().fd}`, 'utf8')) ?? [];
    expect(parseInt(flags, 8) & 0o2004000).toBe(0o2004000);
  });
});

describe('semaphore', () => {
  it('says what was created, and of what it is a clone', () => {
    for (const semaphore of [false, true]) {
      const event = create({ semaphore });
      using clone = event.clone();
      expect([event.semaphore, clone.semaphore]).toEqual([semaphore, semaphore]);
    }
    const event = create({ semaphore: true });
    const { fd } = event;
    expect(inspect(event)).toBe(`EventFd { fd: ${fd}, semaphore: true, closed: false }`);
  });

  it('says what was adopted, on a kernel that tells (Linux 6.9 or later)', () => {
    for (const semaphore of [false, true]) {
      const fd = create({ semaphore }).release();
      const told = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes('eventfd-semaphore');
      using event = EventFd.adopt(fd);
      expect(event.semaphore).toBe(semaphore && told);
    }
  });
});

describe('signal() and tryRead()', () => {
  it('adds up', () => {
    const event = create();
    event.signal();
    event.signal(2);
    event.signal(3n);
    expect(event.tryRead()).toBe(6n);
    expect(event.tryRead()).toBeUndefined();
  });

  it('carries whole 64-bit counts', () => {
    const event = create();
    for (const count of [1n, 2n ** 53n + 1n, 2n ** 63n, most]) {
      event.signal(count);
      expect(event.tryRead()).toBe(count);
    }
  });

  it('refuses to overflow with EAGAIN and keeps the count', () => {
    const event = create();
    event.signal(most);
    for (const n of [undefined, 1, 2, most]) {
      expect(() => {
        event.signal(n);
      }).toThrow(
        expect.objectContaining({
          code: 'EAGAIN',
          syscall: 'write',
          message: `cannot signal eventfd ${event.fd}: EAGAIN (write): the counter would overflow`,
        }),
      );
    }
    expect(event.tryRead()).toBe(most);
  });
});

describe('pending', () => {
  it('says whether the counter is not 0 and consumes nothing', () => {
    const event = create();
    expect(event.pending).toBe(false);
    event.signal(2);
    expect([event.pending, event.pending]).toEqual([true, true]);
    expect(event.tryRead()).toBe(2n);
    expect(event.pending).toBe(false);
  });

  it('stays true until a semaphore is used up', () => {
    const event = create({ initial: 2, semaphore: true });
    event.tryRead();
    expect(event.pending).toBe(true);
    event.tryRead();
    expect(event.pending).toBe(false);
  });
});

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

describe('clone()', () => {
  it('is a second descriptor of the same counter', () => {
    const event = create();
    const clone = event.clone();
    created.push(clone);
    expect(clone.fd).not.toBe(event.fd);
    clone.signal(2);
    expect(event.tryRead()).toBe(2n);
    event.close();
    clone.signal(3);
    expect(clone.tryRead()).toBe(3n);
  });
});

describe('share() and receive()', () => {
  it('give an eventfd to a Worker, whose end closes what it has', async () => {
    const before = openDescriptors();
    const requests = create();
    const answers = create();
    const worker = typescriptWorker(new URL('../programs/eventfd-worker.ts', import.meta.url), {
      workerData: { requests: requests.share(), answers: answers.share() },
    });
    await once(worker, 'message');
    for (const n of [1n, 21n, 2n ** 60n]) {
      const answer = answers.wait();
      requests.signal(n);
      expect(await answer).toBe(n * 2n);
    }
    await worker.terminate();
    requests.close();
    answers.close();
    expect(openDescriptors()).toBe(before);
  });

  it('leave a count that is on its way to a Worker which is terminated in the counter', async () => {
    const requests = create();
    const answers = create();
    const worker = typescriptWorker(new URL('../programs/eventfd-worker.ts', import.meta.url), {
      workerData: { requests: requests.share(), answers: answers.share(), busy: true },
    });
    await once(worker, 'message');
    requests.signal(7n);
    await worker.terminate();
    expect(requests.tryRead()).toBe(7n);
    expect(answers.tryRead()).toBeUndefined();
    requests.close();
    answers.close();
  });
});

describe('release() and adopt()', () => {
  it('hand a descriptor over without closing it', () => {
    const before = openDescriptors();
    const event = create();
    const fd = event.release();
    expect(event.closed).toBe(true);
    expect(openDescriptors()).toBe(before + 1);
    using adopted = EventFd.adopt(fd);
    expect(openDescriptors()).toBe(before + 1);
    expect(() => {
      closeSync(fd);
    }).toThrow('EBADF');
    adopted.signal();
    expect(adopted.tryRead()).toBe(1n);
    adopted.close();
    expect(openDescriptors()).toBe(before);
  });

  it('refuses a descriptor that is not open', () => {
    const event = create();
    const { fd } = event;
    event.close();
    expect(() => EventFd.adopt(fd)).toThrow(
      expect.objectContaining({
        code: 'EBADF',
        syscall: 'fcntl',
        message: `cannot adopt descriptor ${fd}: EBADF (fcntl): it is not open`,
      }),
    );
  });

  it.each([
    ['the same addon', linuxNative],
    ['the other addon', simNative],
  ])('refuses a descriptor that an EventFd owns, for %s', (_, native) => {
    const event = create();
    expect(() => EventFd.adopt(event.fd, { native: native() })).toThrow(
      expect.objectContaining({
        code: 'EBUSY',
        message: expect.stringContaining('clone() that one') as string,
      }),
    );
    event.signal();
    expect(event.tryRead()).toBe(1n);
  });

  const foreign = async (kind: string): Promise<[fd: number, close: () => void]> => {
    if (kind === 'file') {
      const fd = openSync(fileURLToPath(import.meta.url), 'r');
      return [
        fd,
        () => {
          closeSync(fd);
        },
      ];
    }
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const found = [...openFiles()].find(([, file]) => file.startsWith(kind));
    if (found === undefined) throw new Error(`this process has no ${kind}`);
    return [Number(found[0]), () => server.close()];
  };

  it.each(['file', 'socket:', 'pipe:', 'anon_inode:[eventpoll]'])(
    'refuses a foreign %s and leaves it alone',
    async (kind) => {
      const [fd, close] = await foreign(kind);
      const info = (): string | undefined =>
        /^flags:.*$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[0];
      const before = info();
      expect(() => EventFd.adopt(fd)).toThrow(
        expect.objectContaining({
          code: 'EINVAL',
          message: `cannot adopt descriptor ${fd}: EINVAL (readlink): it is not an eventfd`,
        }),
      );
      expect(info()).toBe(before);
      close();
    },
  );
});

describe('close()', () => {
  it('gives the descriptor back, once', () => {
    const before = openDescriptors();
    {
      using event = create();
      expect(event.closed).toBe(false);
      const { fd } = event;
      expect(inspect(event)).toBe(`EventFd { fd: ${fd}, semaphore: false, closed: false }`);
      event.close();
      event.close();
      expect(event.closed).toBe(true);
      expect(inspect(event)).toBe('EventFd { closed: true }');
    }
    expect(openDescriptors()).toBe(before);
  });

  const uses: [string, (event: EventFd) => unknown][] = [
    ['fd', (event) => event.fd],
    [
      'signal()',
      (event) => {
        event.signal();
      },
    ],
    [
      'signal(2n)',
      (event) => {
        event.signal(2n);
      },
    ],
    ['tryRead()', (event) => event.tryRead()],
    ['pending', (event) => event.pending],
    ['watch()', (event) => event.watch(() => undefined)],
    ['clone()', (event) => event.clone()],
    ['release()', (event) => event.release()],
    ['ref()', (event) => event.ref()],
    ['unref()', (event) => event.unref()],
  ];

  it.each(uses)('makes %s an ERR_MSHV_CLOSED that touches no recycled descriptor', (_, use) => {
    const event = create();
    const { fd } = event;
    event.close();
    const successor = create({ initial: 7 });
    expect(successor.fd).toBe(fd);
    const before = openDescriptors();
    expect(() => use(event)).toThrow(closed);
    event.close();
    expect(openDescriptors()).toBe(before);
    expect(successor.tryRead()).toBe(7n);
  });

  it('keeps old listeners and promises from the successor of a descriptor', async () => {
    const event = create();
    const { fd } = event;
    const seen: bigint[] = [];
    const watch = event.watch((count) => seen.push(count));
    const wait = event.wait();
    event.signal(3);
    event.close();
    await expect(wait).rejects.toEqual(closed);
    const successor = create();
    expect(successor.fd).toBe(fd);
    const counted = counts(successor, 1);
    watch[Symbol.dispose]();
    successor.signal(5);
    expect(await counted).toEqual([5n]);
    expect(seen).toEqual([]);
  });
});
