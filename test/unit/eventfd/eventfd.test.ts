import { once } from 'node:events';
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
import { closeAll, closed, counts, create } from '../created-eventfds.js';

const most = 2n ** 64n - 2n;

afterEach(closeAll);

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

describe('clone()', () => {
  it('is a second descriptor of the same counter', () => {
    const event = create();
    using clone = event.clone();
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
