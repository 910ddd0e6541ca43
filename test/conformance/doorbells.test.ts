import { constants } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';

import { ioeventfdFlags } from '../../lib/abi/ioeventfd.js';
import { EventFd, type DoorbellOptions } from '../../lib/index.js';
import { openDescriptors } from '../open-descriptors.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

const { EBADF, EEXIST, EINVAL, ENOENT, EOPNOTSUPP } = constants.errno;
const { DATAMATCH, PIO, DEASSIGN } = ioeventfdFlags;

const gpa = 0xd0000000n;

const guest = await guestSideForTests();

partitionForEachTest(guest, 1);

const ring = (size: 1 | 2 | 4 | 8, value = 0n, at = gpa): boolean =>
  guest.writeMmio(partition, at, size, value);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('a doorbell', () => {
  it('takes any write to its address, and none beside it', () => {
    using bell = partition.registerDoorbell({ gpa });
    for (const size of [1, 2, 4, 8] as const) expect(ring(size, 0xffn)).toBe(true);
    expect(bell.event.tryRead()).toBe(4n);
    for (const at of [gpa - 1n, gpa + 1n, gpa + 4n]) expect(ring(4, 0n, at)).toBe(false);
    expect(bell.event.tryRead()).toBeUndefined();
  });

  it.each([1, 2, 4, 8] as const)('of %s bytes takes writes of that size', (size) => {
    using bell = partition.registerDoorbell({ gpa, size });
    for (const other of [1, 2, 4, 8] as const) expect(ring(other)).toBe(other === size);
    expect(bell.event.tryRead()).toBe(1n);
  });

  it.each([
    [1, 0xffn],
    [2, 0xffffn],
    [4, 0xffffffffn],
    [8, 0x7fffffffffffffffn],
    [0, 0x123456789abcdef0n],
    [4, 0n],
  ] as const)('of %s bytes that wants %s takes nothing else', (size, match) => {
    using bell = partition.registerDoorbell({ gpa, size, match });
    const width = size === 0 ? 8 : size;
    expect(ring(width, match)).toBe(true);
    expect(ring(width, match ^ 1n)).toBe(false);
    // The upper half counts.
    if (width === 8) expect(ring(width, match ^ (1n << 40n))).toBe(false);
    expect(bell.event.tryRead()).toBe(1n);
    expect(bell).toMatchObject({ gpa, size, match, closed: false });
  });

  it('of any size and one of 4 bytes at the same address both ring', () => {
    using any = partition.registerDoorbell({ gpa });
    using four = partition.registerDoorbell({ gpa, size: 4 });
    expect(ring(4)).toBe(true);
    expect(ring(2)).toBe(true);
    expect([any.event.tryRead(), four.event.tryRead()]).toEqual([2n, 1n]);
  });

  it('for each of several values rings alone', () => {
    const bells = [1n, 2n, 3n].map((match) => partition.registerDoorbell({ gpa, size: 4, match }));
    ring(4, 2n);
    ring(4, 3n);
    ring(4, 3n);
    expect(ring(4, 4n)).toBe(false);
    expect(bells.map(({ event }) => event.tryRead())).toEqual([undefined, 1n, 2n]);
    bells[2]?.close();
    expect(ring(4, 3n)).toBe(false);
    expect(ring(4, 2n)).toBe(true);
  });

  it('signals an eventfd of the caller, who keeps it', () => {
    using event = EventFd.create({ native: guest.native });
    using one = partition.registerDoorbell({ gpa, event });
    using other = partition.registerDoorbell({ gpa: gpa + 8n, event });
    ring(4);
    ring(4, 0n, gpa + 8n);
    expect(event.tryRead()).toBe(2n);
    one.close();
    expect(ring(4)).toBe(false);
    expect(ring(4, 0n, gpa + 8n)).toBe(true);
    expect(event.tryRead()).toBe(1n);
    event.close();
    expect(ring(4, 0n, gpa + 8n)).toBe(true);
    expect(other.event.tryRead()).toBe(1n);
  });

  it('is seen by a listener', async () => {
    using bell = partition.registerDoorbell({ gpa });
    const rung = new Promise<bigint>((resolve) => {
      bell.event.watch(resolve);
    });
    ring(4);
    expect(await rung).toBe(1n);
  });

  it('ends with close(), and its eventfd with it', () => {
    const descriptors = openDescriptors();
    const bell = partition.registerDoorbell({ gpa, name: 'queue 0' });
    expect(() => {
      bell.event.close();
    }).toThrow(code('ERR_MSHV_OWNED'));
    expect(partition.doorbells).toEqual([bell]);
    bell.close();
    bell.close();
    expect([bell.closed, bell.event.closed, partition.doorbells]).toEqual([true, true, []]);
    expect(ring(4)).toBe(false);
    expect(openDescriptors()).toBe(descriptors);
    // The place is free.
    using again = partition.registerDoorbell({ gpa });
    expect(ring(4)).toBe(true);
    expect(again.event.pending).toBe(true);
  });

  it('ends with its partition', () => {
    const descriptors = openDescriptors();
    using short = guest.createPartition(1);
    const bells = [
      short.registerDoorbell({ gpa }),
      short.registerDoorbell({ gpa, size: 4, match: 1 }),
    ];
    using event = EventFd.create({ native: guest.native });
    short.registerDoorbell({ gpa: gpa + 4n, event });
    short.close();
    for (const { closed, event: own } of bells) expect([closed, own.closed]).toEqual([true, true]);
    event.close();
    expect(openDescriptors()).toBe(descriptors);
    expect(() => short.registerDoorbell({ gpa })).toThrow(code('ERR_MSHV_CLOSED'));
  });

  it('belongs to one partition', () => {
    using other = guest.createPartition(1);
    using here = partition.registerDoorbell({ gpa });
    using there = other.registerDoorbell({ gpa });
    guest.writeMmio(other, gpa, 4, 0n);
    expect([here.event.tryRead(), there.event.tryRead()]).toEqual([undefined, 1n]);
  });

  it('is one of a thousand', () => {
    const short = guest.createPartition(0);
    const descriptors = openDescriptors();
    const at = (index: number): bigint => gpa + BigInt(index >> 2) * 4n;
    const rung = (value: bigint, where: bigint): boolean => guest.writeMmio(short, where, 4, value);
    const bells = Array.from({ length: 1000 }, (_, index) =>
      short.registerDoorbell({ gpa: at(index), size: 4, match: index & 3 }),
    );
    expect(short.doorbells).toHaveLength(1000);
    for (const index of [0, 1, 499, 998, 999]) {
      expect(rung(BigInt(index & 3), at(index))).toBe(true);
      expect(bells.filter(({ event }) => event.pending)).toEqual([bells[index]]);
      expect(bells[index]?.event.tryRead()).toBe(1n);
    }
    for (const bell of bells.filter((_, index) => index % 2 === 0)) bell.close();
    expect(rung(0n, at(500))).toBe(false);
    expect(rung(1n, at(501))).toBe(true);
    short.close();
    expect(bells.every(({ closed }) => closed)).toBe(true);
    // The partition's own.
    expect(openDescriptors()).toBe(descriptors - 1);
  });
});

describe('a collision is found before the driver is asked', () => {
  it.each<[string, Omit<DoorbellOptions, 'gpa'>, Omit<DoorbellOptions, 'gpa'>]>([
    ['any value, twice', {}, {}],
    ['any value and one', { size: 4 }, { size: 4, match: 1 }],
    ['one value and any', { size: 8, match: 1 }, { size: 8 }],
    ['one value, twice', { size: 2, match: 0 }, { size: 2, match: 0 }],
  ])('%s', (_, first, second) => {
    using holder = partition.registerDoorbell({ gpa, name: 'queue 0', ...first });
    const calls = guest.calls('MSHV_IOEVENTFD');
    const descriptors = openDescriptors();
    expect(() => partition.registerDoorbell({ gpa, ...second })).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_DOORBELL_IN_USE',
        message: expect.stringMatching(
          /'queue 0', the doorbell at 0xd0000000 \(.*\), rings there$/,
        ) as unknown,
      }),
    );
    expect(guest.calls('MSHV_IOEVENTFD')).toBe(calls);
    expect(openDescriptors()).toBe(descriptors);
    const { size = 0, match = 0n } = first;
    expect(ring(size === 0 ? 4 : size, BigInt(match))).toBe(true);
    expect(holder.event.tryRead()).toBe(1n);
  });

  it.each<[string, Omit<DoorbellOptions, 'gpa'>, Omit<DoorbellOptions, 'gpa'>]>([
    ['different values', { size: 4, match: 1 }, { size: 4, match: 2 }],
    ['different sizes', { size: 4 }, { size: 8 }],
    ['any size and one', {}, { size: 4 }],
    ['different addresses', {}, {}],
  ])('which these are not: %s', (name, first, second) => {
    using one = partition.registerDoorbell({ gpa, ...first });
    const at = name === 'different addresses' ? gpa + 1n : gpa;
    using other = partition.registerDoorbell({ gpa: at, ...second });
    expect(partition.doorbells).toEqual([one, other]);
  });
});

describe('MSHV_IOEVENTFD', () => {
  let event: EventFd;
  beforeEach(() => {
    event = EventFd.create({ native: guest.native });
    return () => {
      event.close();
    };
  });

  const set = (size: number, flags: number, match = 0n, at = gpa, fd = event.fd): number =>
    guest.native.ioeventfd(partition.fd, fd, at, size, match, flags);

  it('knows no port I/O, no other flags and no other sizes', () => {
    expect(set(4, PIO)).toBe(-EOPNOTSUPP);
    expect(set(4, PIO | DEASSIGN)).toBe(-EOPNOTSUPP);
    expect(set(4, 8)).toBe(-EINVAL);
    expect(set(4, 8 | PIO)).toBe(-EINVAL);
    for (const size of [3, 5, 6, 7, 9, 16]) expect(set(size, 0)).toBe(-EINVAL);
  });

  it('refuses an address whose write would pass the end', () => {
    const end = 2n ** 64n - 1n;
    expect(set(1, 0, 0n, end)).toBe(-EINVAL);
    expect(set(8, 0, 0n, end - 7n)).toBe(-EINVAL);
    expect(set(0, 0, 0n, end)).toBe(0);
    expect(set(8, 0, 0n, end - 8n)).toBe(0);
  });

  it('wants an eventfd', () => {
    const memory = guest.native.memoryCreate(4096n, true, false);
    const file = guest.native.memoryFd(memory);
    expect(set(4, 0, 0n, gpa, file)).toBe(-EINVAL);
    expect(set(4, DEASSIGN, 0n, gpa, file)).toBe(-EINVAL);
    guest.native.close(file);
    guest.native.memoryUnmap(memory);
    expect(set(4, 0, 0n, gpa, 2 ** 20)).toBe(-EBADF);
  });

  it('refuses what collides by address, size and value', () => {
    expect(set(4, DATAMATCH, 1n)).toBe(0);
    expect(set(4, DATAMATCH, 1n)).toBe(-EEXIST);
    expect(set(4, 0)).toBe(-EEXIST);
    expect(set(4, DATAMATCH, 2n)).toBe(0);
    expect(set(0, 0)).toBe(0);
    expect(set(0, DATAMATCH, 5n)).toBe(-EEXIST);
    expect(set(8, 0)).toBe(0);
    expect(set(8, DATAMATCH, 1n)).toBe(-EEXIST);
  });

  it('deassigns what is exactly as it was assigned', () => {
    using other = EventFd.create({ native: guest.native });
    set(4, DATAMATCH, 7n);
    expect(set(4, DEASSIGN)).toBe(-ENOENT);
    expect(set(4, DEASSIGN | DATAMATCH, 8n)).toBe(-ENOENT);
    expect(set(8, DEASSIGN | DATAMATCH, 7n)).toBe(-ENOENT);
    expect(set(0, DEASSIGN | DATAMATCH, 7n)).toBe(-ENOENT);
    expect(set(4, DEASSIGN | DATAMATCH, 7n, gpa + 4n)).toBe(-ENOENT);
    expect(set(4, DEASSIGN | DATAMATCH, 7n, gpa, other.fd)).toBe(-ENOENT);
    expect(ring(4, 7n)).toBe(true);
    // The eventfd and not the descriptor.
    using copy = event.clone();
    expect(set(4, DEASSIGN | DATAMATCH, 7n, gpa, copy.fd)).toBe(0);
    expect(set(4, DEASSIGN | DATAMATCH, 7n)).toBe(-ENOENT);
    expect(ring(4, 7n)).toBe(false);
  });

  it('keeps a doorbell whose eventfd is closed', () => {
    set(4, 0);
    event.close();
    expect(ring(4)).toBe(true);
  });
});
