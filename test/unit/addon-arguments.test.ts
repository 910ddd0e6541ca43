import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { linuxNative, type Native, simNative } from '../../lib/native.js';

// What the addons promise to their only callers, the classes of lib: whatever they are given, they
// answer, and touch no memory and no descriptor that is not theirs to touch.

const { EBADF, EINVAL } = constants.errno;

const detached = Uint32Array.of(0, 0);
structuredClone(detached.buffer, { transfer: [detached.buffer] });

const rubbish: readonly unknown[] = [
  undefined,
  null,
  true,
  NaN,
  Infinity,
  -1,
  1.5,
  2 ** 53,
  -1n,
  2n ** 64n,
  '',
  '3',
  Symbol('fd'),
  {},
  [],
  new Uint8Array(8),
  new BigUint64Array(1),
  detached,
  new Proxy({}, {}),
];

const linkOf = (fd: string): string | undefined => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
};

/** The open descriptors, without the one that reading the directory takes. */
const descriptors = (): ReadonlySet<string> =>
  new Set(readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) !== undefined));

/** Closes what a call opened, and what it gave up. */
function closeNew(native: Native, before: ReadonlySet<string>): void {
  for (const fd of descriptors()) {
    if (!before.has(fd) && native.close(Number(fd)) === -EBADF) closeSync(Number(fd));
  }
}

describe.each<[string, Native]>([
  ['mshv', linuxNative()],
  ['mshv_sim', simNative()],
])('the addon %s', (_, native) => {
  const exported = Object.entries(native).filter(
    (entry): entry is [string, (...args: unknown[]) => unknown] => typeof entry[1] === 'function',
  );

  it.each(exported)('answers rubbish to %s() and stays whole', (name, call) => {
    const before = descriptors();
    for (const one of rubbish) {
      for (let position = 0; position < 5; position++) {
        const event = native.eventfdCreate(0, false);
        const right = [event, event, 1, 0].slice(0, position);
        const result = call(...right, one);
        expect(['number', 'bigint', 'string', 'undefined']).toContain(typeof result);
        if (name === 'simCreate' && typeof result === 'number') simNative().simDestroy(result);
        closeNew(native, before);
      }
    }
    expect(descriptors()).toEqual(before);
  });

  it('touches no descriptor that it did not hand out', () => {
    const fd = openSync('/proc/self/status', 'r');
    const event = native.eventfdCreate(0, false);
    const attempts: ((foreign: number) => number | bigint)[] = [
      (foreign) => native.close(foreign),
      (foreign) => native.dup(foreign),
      (foreign) => native.release(foreign),
      (foreign) => native.eventfdSignal(foreign),
      (foreign) => native.eventfdRead(foreign),
      (foreign) => native.eventfdPoll(foreign),
      (foreign) => native.watch(foreign, () => undefined),
      (foreign) => native.unwatch(foreign),
      (foreign) => native.holdLoop(foreign, true),
      (foreign) => native.createPartition(foreign, 0n, 0n),
      (foreign) => native.createPartitionV2(foreign, 0n, 0n, 0n, 0n, 0n),
      (foreign) => native.initializePartition(foreign),
      (foreign) => native.createVp(foreign, 0),
      (foreign) => native.irqfd(foreign, event, -1, 1, 0),
      (foreign) => native.irqfd(event, foreign, -1, 1, 0),
      (foreign) => native.setMsiRouting(foreign, new Uint32Array(2)),
    ];
    for (const attempt of attempts) {
      for (const foreign of [0, 1, 2, fd, -1, 2 ** 31 - 1]) expect(attempt(foreign)).toBe(-EBADF);
    }
    expect(readSync(fd, Buffer.alloc(4))).toBe(4);
    closeSync(fd);
    native.close(event);
  });

  it.each([
    ['nothing', new Uint32Array(0)],
    ['half a header', new Uint32Array(1)],
    ['a header that promises an entry', Uint32Array.of(1, 0)],
    ['an entry that is cut off', Uint32Array.of(1, 0, 1, 0xfee00000, 0)],
    ['a header that promises everything', Uint32Array.of(0xffffffff, 0, 1, 0xfee00000, 0, 0x41)],
    ['words that are gone', detached],
    ['signed words', Int32Array.of(0, 0)],
    ['bytes', new Uint8Array(8)],
    ['a plain array', [0, 0]],
  ])('refuses a routing table of %s before the driver sees it', (_, table) => {
    const event = native.eventfdCreate(0, false);
    const setMsiRouting: unknown = Reflect.get(native, 'setMsiRouting');
    if (typeof setMsiRouting !== 'function') throw new Error('no setMsiRouting()');
    expect(Reflect.apply(setMsiRouting, native, [event, table])).toBe(-EINVAL);
    // What is a table gets as far as the driver, which an eventfd has not got.
    expect(native.setMsiRouting(event, Uint32Array.of(0, 0))).not.toBe(-EINVAL);
    native.close(event);
  });
});
