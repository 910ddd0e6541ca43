import { closeSync, openSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { adopt } from '../adopt.js';
import { linuxNative, type Native } from '../../lib/native.js';
import { simNative } from '../../lib/sim/sim-native.js';
import { openFiles } from '../open-descriptors.js';

// What the addons promise to their only callers, the classes of lib: whatever they are given, they
// answer, and touch no memory and no descriptor that is not theirs to touch.

const { EBADF, EBUSY, EEXIST, EINVAL, ENODEV, ENOTTY, ESTALE } = constants.errno;

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

const bytes = new Uint8Array(4096);

const onVps: readonly ((native: Native, vp: number) => number | ArrayBuffer)[] = [
  (native, vp) => native.vpUseBlock(vp, bytes),
  (native, vp) => native.vpRun(vp),
  (native, vp) => native.vpCancel(vp),
  (native, vp) => native.vpLastRun(vp),
  (native, vp) => native.vpStart(vp, () => undefined),
  (native, vp) => native.vpResume(vp),
  (native, vp) => native.vpStop(vp),
  (native, vp) => native.vpHoldLoop(vp, true),
  (native, vp) => native.vpPage(vp, 0),
  (native, vp) => native.vpReadRegisterPage(vp, bytes, 0),
  (native, vp) => native.vpWriteRegisterPage(vp, new Uint32Array(1), new BigUint64Array(1), 0),
  (native, vp) => native.vpCompleteExit(vp, 0, 0, 0),
  (native, vp) => native.vpGetState(vp, 0, bytes),
  (native, vp) => native.vpSetState(vp, 0, bytes),
];

const descriptors = (): ReadonlySet<string> => new Set(openFiles().keys());

/** Closes what a call opened, and what it gave up. */
function closeNew(native: Native, before: ReadonlySet<string>): void {
  for (const fd of descriptors()) {
    // An eventfd's second number goes with the first.
    if (before.has(fd) || !openFiles().has(fd)) continue;
    if (native.close(Number(fd)) === -EBADF) closeSync(Number(fd));
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
    const memory = native.memoryCreate(4096n, false, false);
    const attempts: ((foreign: number) => number | bigint | ArrayBuffer)[] = [
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
      (foreign) => native.ioeventfd(foreign, event, 0n, 0, 0n, 0),
      (foreign) => native.ioeventfd(event, foreign, 0n, 0, 0n, 0),
      (foreign) => native.mapMemory(foreign, memory, 0n, 4096n, 0n, 0),
      (foreign) => native.accessBitmap(foreign, 0, 0, 0n, 1, new BigUint64Array(1)),
      (foreign) => native.hypercall(foreign, 0, 0, bytes, bytes, new Uint32Array(2)),
      (foreign) => native.vpAttach(foreign, -1),
      (foreign) => (foreign === -1 ? -EBADF : native.vpAttach(event, foreign)),
      ...onVps.map((call) => (foreign: number) => call(native, foreign)),
    ];
    for (const attempt of attempts) {
      for (const foreign of [0, 1, 2, fd, -1, 2 ** 31 - 1]) expect(attempt(foreign)).toBe(-EBADF);
    }
    expect(readSync(fd, Buffer.alloc(4))).toBe(4);
    closeSync(fd);
    native.close(event);
    native.memoryUnmap(memory);
  });

  it('takes no descriptor for a VP that was not attached', () => {
    const event = native.eventfdCreate(0, false);
    for (const call of onVps) expect(call(native, event)).toBe(-EBADF);
    native.close(event);
  });

  it('takes no number for memory that it did not hand out', () => {
    const memory = native.memoryCreate(4096n, false, false);
    const event = native.eventfdCreate(0, false);
    native.memoryUnmap(memory);
    for (const foreign of [memory, memory + 1, event, -1, 2 ** 31 - 1]) {
      expect(native.memoryFd(foreign)).toBe(-EBADF);
      expect(native.memoryBuffer(foreign)).toBe(-EBADF);
      expect(native.memoryRead(foreign, 0n, bytes)).toBe(-EBADF);
      expect(native.memoryWrite(foreign, 0n, bytes)).toBe(-EBADF);
      expect(native.memoryDetach(foreign)).toBe(-EBADF);
      expect(native.memoryUnmap(foreign)).toBe(-EBADF);
      expect(native.mapMemory(event, foreign, 0n, 4096n, 0n, 0)).toBe(-EBADF);
    }
    native.close(event);
  });

  it.each([
    ['an empty range', 0n, 0n, 0n, true],
    ['all of it', 0n, 8192n, 0n, true],
    ['more than there is', 0n, 12288n, 0n, false],
    ['from behind its end', 12288n, 4096n, 0n, false],
    ['over its end', 4096n, 8192n, 0n, false],
    ['a range that comes round', 4096n, 2n ** 64n - 4096n, 0n, false],
    ['from an offset that comes round', 2n ** 64n - 4096n, 8192n, 0n, false],
    ['at an address inside a page', 0n, 4096n, 1n, false],
    ['at the end of all addresses', 0n, 8192n, 2n ** 64n - 4096n, false],
  ])('lets the driver map %s only where it is memory', (_, offset, size, gpa, isMemory) => {
    const memory = native.memoryCreate(8192n, false, false);
    const event = native.eventfdCreate(0, false);
    const result = native.mapMemory(event, memory, offset, size, gpa, 3);
    // What is memory gets as far as the driver, which an eventfd has not got.
    expect(result).toBe(isMemory ? -ENOTTY : -EINVAL);
    expect(native.mapMemory(event, memory, 0n, 4096n, 0n, 256)).toBe(-EINVAL);
    native.close(event);
    native.memoryUnmap(memory);
  });

  it('has the driver write no bitmap, message or result that is too short', () => {
    const event = native.eventfdCreate(0, false);
    const bitmap = (words: number, pages: number): number =>
      native.accessBitmap(event, 0, 1, 0n, pages, new BigUint64Array(words));
    expect([bitmap(0, 1), bitmap(1, 65), bitmap(2, 129)]).toEqual([-EINVAL, -EINVAL, -EINVAL]);
    expect(bitmap(2, 2 ** 32 - 1)).toBe(-EINVAL);
    expect([bitmap(1, 64), bitmap(2, 65)]).toEqual([-ENOTTY, -ENOTTY]);
    expect(native.accessBitmap(event, 256, 1, 0n, 1, new BigUint64Array(1))).toBe(-EINVAL);
    expect(native.accessBitmap(event, 0, 256, 0n, 1, new BigUint64Array(1))).toBe(-EINVAL);

    const call = (code: number, reps: number, input: number, output: number, words = 2): number =>
      native.hypercall(
        event,
        code,
        reps,
        new Uint8Array(input),
        new Uint8Array(output),
        new Uint32Array(words),
      );
    expect(call(0x44, 0, 16, 8)).toBe(-ENOTTY);
    expect(call(0x44, 0, 4096, 4096)).toBe(-ENOTTY);
    expect(call(0x10044, 0, 16, 8)).toBe(-EINVAL);
    expect(call(0x44, 0x10000, 16, 8)).toBe(-EINVAL);
    expect(call(0x44, 0, 4097, 8)).toBe(-EINVAL);
    expect(call(0x44, 0, 16, 4097)).toBe(-EINVAL);
    expect(call(0x44, 0, 16, 8, 1)).toBe(-EINVAL);

    const arbiter = native.vpAttach(event, -1);
    const shared = new SharedArrayBuffer(400);
    const notBlocks = [
      new Uint8Array(384),
      new Uint8Array(shared, 0, 383),
      new Uint8Array(shared, 4, 384),
      new Uint8Array(0),
    ];
    for (const block of notBlocks) expect(native.vpUseBlock(event, block)).toBe(-EINVAL);
    const withoutBlock = [
      native.vpRun(event),
      native.vpStart(event, () => undefined),
      native.vpCompleteExit(event, 0, 0, 0),
    ];
    expect(withoutBlock).toEqual([-EINVAL, -EINVAL, -EINVAL]);
    expect(native.vpUseBlock(event, new Uint8Array(shared, 8, 384))).toBe(0);
    expect(native.vpUseBlock(event, new Uint8Array(shared, 8, 384))).toBe(-EEXIST);
    expect(native.vpRun(event)).toBe(-ENOTTY);
    const complete = (place: number, count: number, run = native.vpLastRun(event)): number => {
      new Uint32Array(shared, 8 + 344, 10)[1] = place;
      return native.vpCompleteExit(event, run, count, 0);
    };
    for (const place of [1, 4, 9, 692, 696, 4096, 2 ** 32 - 8]) {
      expect([complete(place, 2), complete(place, 1)]).toEqual([-EINVAL, -ENODEV]);
    }
    expect([complete(688, 10), complete(688, 11)]).toEqual([-ENODEV, -EINVAL]);
    expect(complete(8, 2, native.vpLastRun(event) - 1)).toBe(-ESTALE);
    for (const name of ['vpGetState', 'vpSetState'] as const) {
      const transfer = (type: number, size: number): number =>
        native[name](event, type, new Uint8Array(size));
      expect([transfer(0, 0), transfer(256, 4096)]).toEqual([-EINVAL, -EINVAL]);
      expect([transfer(0, 507 * 4096 + 1), transfer(0, 507 * 4096)]).toEqual([-EINVAL, -ENOTTY]);
      expect(transfer(0, 1)).toBe(-ENOTTY);
    }
    expect(native.vpPage(event, 2)).toBe(-EINVAL);
    expect(native.vpPage(event, 0)).toBe(-ENODEV);
    const readPage = (size: number): number =>
      native.vpReadRegisterPage(event, new Uint8Array(size), 0);
    expect([readPage(4097), readPage(4096), readPage(0)]).toEqual([-EINVAL, -ENODEV, -ENODEV]);
    const writePage = (places: readonly number[], words: number): number =>
      native.vpWriteRegisterPage(event, Uint32Array.from(places), new BigUint64Array(words), 0);
    for (const place of [1, 4, 9, 692, 696, 4096, 2 ** 32 - 8]) {
      expect(writePage([8, place], 2)).toBe(-EINVAL);
    }
    expect([writePage([8, 688], 1), writePage([8, 688], 2)]).toEqual([-EINVAL, -ENODEV]);
    native.close(arbiter);
    native.close(event);
  });

  it('receives nothing but what it is told to expect', () => {
    const event = native.eventfdCreate(0, false);
    const arbiter = native.vpAttach(event, -1);
    const memory = native.memoryCreate(4096n, true, false);
    const file = openSync('/proc/self/status', 'r');
    const kinds = { partition: 0, vp: 1, arbiter: 2 };
    const foreign = native.release(native.memoryFd(memory));
    for (const kind of [...Object.values(kinds), 3, 2 ** 32 - 1]) {
      expect(adopt(native, event, kind)).toBe(-EBUSY);
      expect(adopt(native, file, kind)).toBe(-EINVAL);
      expect(adopt(native, foreign, kind)).toBe(-EINVAL);
    }
    for (const kind of Object.values(kinds)) {
      expect(adopt(native, 2 ** 31 - 1, kind)).toBe(-EBADF);
      expect(adopt(native, -1, kind)).toBe(-EBADF);
    }
    expect(native.release(arbiter)).toBe(arbiter);
    expect(adopt(native, arbiter, kinds.vp)).toBe(-EINVAL);
    expect(adopt(native, arbiter, kinds.arbiter)).toBe(arbiter);
    // The eventfd is attached, its copy is not, and only an arbiter can be given for it.
    const copy = native.dup(event);
    expect(native.vpAttach(event, arbiter)).toBe(-EEXIST);
    expect(native.vpAttach(copy, event)).toBe(-EINVAL);
    expect(native.vpAttach(copy, arbiter)).toBe(arbiter);
    for (const fd of [copy, arbiter, event]) native.close(fd);
    closeSync(file);
    closeSync(foreign);
    native.memoryUnmap(memory);
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
