import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { FakeNative, type FallibleCall } from '../../fake-native.js';
import { openDescriptors } from '../../open-descriptors.js';

// What an EventFd makes of errors that a kernel in good order does not give.

const { EIO, EMFILE, ENFILE, ENOMEM } = constants.errno;

let native: FakeNative;
let event: EventFd;
let before: number;

beforeEach(() => {
  before = openDescriptors();
  native = new FakeNative();
  event = EventFd.create({ native });
});
afterEach(() => {
  event.close();
  expect(openDescriptors()).toBe(before);
});

const failAll = (kind: FallibleCall, errno: number): void => {
  native.record((name) => (name === kind ? errno : undefined));
};

describe.each<[string, FallibleCall, string, () => unknown]>([
  [
    'signal()',
    'eventfdSignal',
    'signal',
    () => {
      event.signal();
    },
  ],
  [
    'signal() of one that others have',
    'eventfdSignalBounded',
    'signal',
    () => {
      expect(event.fd).toBeGreaterThan(0);
      event.signal();
    },
  ],
  ['fd', 'eventfdShow', 'give out a descriptor of', () => event.fd],
  ['tryRead()', 'eventfdRead', 'read', () => event.tryRead()],
  ['pending', 'eventfdPoll', 'poll', () => event.pending],
  ['watch()', 'watch', 'watch', () => event.watch(() => undefined)],
  ['clone()', 'dup', 'clone', () => event.clone()],
])('%s', (_, kind, verb, use) => {
  it('reports the errno and leaves the EventFd as it was', () => {
    failAll(kind, EIO);
    expect(use).toThrow(expect.not.objectContaining({ ioctl: expect.anything() as unknown }));
    expect(use).toThrow(
      expect.objectContaining({
        name: 'MshvError',
        code: 'EIO',
        errno: -EIO,
        syscall: kind,
        message: expect.stringMatching(
          `^cannot ${verb} eventfd \\d+: EIO \\(${kind}\\)$`,
        ) as string,
      }),
    );
    native.record();
    event.signal(2);
    expect(event.tryRead()).toBe(2n);
  });
});

it('wait() rejects where it cannot read, or cannot watch', async () => {
  for (const kind of ['eventfdRead', 'watch'] as const) {
    failAll(kind, EIO);
    await expect(event.wait()).rejects.toMatchObject({ code: 'EIO' });
  }
  native.record();
  const wait = event.wait();
  event.signal();
  expect(await wait).toBe(1n);
});

it('async iteration throws what wait() rejects with', async () => {
  failAll('eventfdRead', EIO);
  await expect(event[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'EIO' });
});

it.each([
  [EMFILE, 'EMFILE', 'ulimit -n'],
  [ENFILE, 'ENFILE', 'fs.file-max'],
])('says what to do where there is no room for a descriptor: errno %i', (errno, code, remedy) => {
  const error = expect.objectContaining({
    code,
    message: expect.stringContaining(remedy) as string,
  }) as unknown;
  failAll('eventfdCreate', errno);
  expect(() => EventFd.create({ native })).toThrow(error);
  failAll('dup', errno);
  expect(() => event.clone()).toThrow(error);
});

it('reports any other errno of eventfd(2)', () => {
  failAll('eventfdCreate', ENOMEM);
  expect(() => EventFd.create({ native })).toThrow(
    expect.objectContaining({
      code: 'ENOMEM',
      syscall: 'eventfdCreate',
      message: expect.stringMatching(
        /^cannot create an eventfd: ENOMEM \(eventfdCreate\)/,
      ) as string,
    }),
  );
});
