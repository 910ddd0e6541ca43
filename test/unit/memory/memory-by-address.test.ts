import { beforeEach, describe, expect, it } from 'vitest';

import { GuestMemory, SharedPartition } from '../../../lib/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { FakeHost } from '../fake-host.js';

// partition.readMemory(), writeMemory() and mappingAt(): guest memory by its address, wherever it comes from.

const pageSize = 4096;
const end = 2n ** 64n;
const closed: unknown = expect.objectContaining({ code: 'ERR_MSHV_CLOSED' });

let host: FakeHost;
/** At 0x1000 to 0x2fff, its second and third page. */
let low: GuestMemory;
/** At 0x3000 to 0x3fff, read-only. */
let high: GuestMemory;

beforeEach(() => {
  const before = openDescriptors();
  host = new FakeHost();
  const { native, partition } = host;
  low = GuestMemory.allocate(4 * pageSize, { native });
  high = GuestMemory.allocate(pageSize, { native });
  // Not in the order of their addresses.
  partition.mapMemory(high, { gpa: 0x3000, writable: false });
  partition.mapMemory(low, { gpa: 0x1000, offset: pageSize, size: 2 * pageSize });
  native.record();
  return () => {
    host[Symbol.dispose]();
    low.close();
    high.close();
    expect(openDescriptors()).toBe(before);
    expect(native.memories).toEqual(new Set());
  };
});

/** Bytes that tell where they are. */
const numbered = (length: number, first = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => first + i);

/** Reads into bytes that are 0xee, and returns them; undefined where that is refused. */
function read(gpa: number | bigint, length: number): number[] | undefined {
  const into = new Uint8Array(length + 2).fill(0xee);
  const isRead = host.partition.readMemory(gpa, into.subarray(1, -1));
  expect([into[0], into.at(-1)]).toEqual([0xee, 0xee]);
  if (isRead) return [...into.subarray(1, -1)];
  expect(into.every((byte) => byte === 0xee)).toBe(true);
  return undefined;
}

describe('a mapping', () => {
  it('is found by every address in it', () => {
    const [first, second] = host.partition.mappings;
    const at = (gpa: number | bigint): unknown => host.partition.mappingAt(gpa);
    expect([at(0xfff), at(0x4000), at(0), at(end - 1n)]).toEqual(Array(4).fill(undefined));
    for (const gpa of [0x1000, 0x1fff, 0x2000n, 0x2fff]) expect(at(gpa)).toBe(first);
    for (const gpa of [0x3000, 0x3fff]) expect(at(gpa)).toBe(second);
    second?.unmap();
    expect(at(0x3000)).toBeUndefined();
    host.partition.mapMemory(high, { gpa: end - 4096n });
    expect(at(end - 1n)).toMatchObject({ gpa: end - 4096n });
    host.partition.close();
    expect(at(0x1000)).toBeUndefined();
  });
});

describe('memory at an address', () => {
  it('is that of the mapping, from its offset on', () => {
    low.write(pageSize, numbered(8));
    expect(read(0x1000, 8)).toEqual([...numbered(8)]);
    expect(read(0x1003n, 2)).toEqual([4, 5]);
    expect(host.partition.writeMemory(0x2ffe, numbered(2, 50))).toBe(true);
    expect([...low.read(3 * pageSize - 3, 4)]).toEqual([0, 50, 51, 0]);
    // No other page of it.
    expect([...low.read(0, pageSize)].every((byte) => byte === 0)).toBe(true);
  });

  it('is read and written across mappings that are side by side', () => {
    expect(host.partition.writeMemory(0x2ffd, numbered(6))).toBe(true);
    expect([...low.read(3 * pageSize - 4, 5)]).toEqual([0, 1, 2, 3, 0]);
    expect([...high.read(0, 4)]).toEqual([4, 5, 6, 0]);
    expect(read(0x2ffc, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 0]);
    const all = numbered(3 * pageSize).map((byte) => byte * 7);
    expect(host.partition.writeMemory(0x1000, all)).toBe(true);
    expect(read(0x1000, 3 * pageSize)).toEqual([...all]);
  });

  it('is written where the guest may only read', () => {
    expect(host.partition.writeMemory(0x3ff0, numbered(16))).toBe(true);
    expect([...high.read(0xff0, 16)]).toEqual([...numbered(16)]);
  });

  it('is not written where the guest may only read if it is written as the guest', () => {
    const write = (gpa: number, length: number): boolean =>
      host.partition.writeMemory(gpa, numbered(length), { asGuest: true });
    expect([write(0x3000, 1), write(0x3ff0, 16), write(0x2ff8, 16), write(0x8000, 1)]).toEqual(
      Array(4).fill(false),
    );
    expect([...low.read(0, low.size), ...high.read(0, high.size)].every((b) => b === 0)).toBe(true);
    expect(write(0x2ff8, 8)).toBe(true);
    expect([...low.read(3 * pageSize - 8, 8)]).toEqual([...numbered(8)]);
  });

  it.each<[string, bigint, number]>([
    ['nothing is mapped', 0x8000n, 1],
    ['it begins before the first mapping', 0xfffn, 2],
    ['it ends behind the last mapping', 0x3ff8n, 9],
    ['it begins behind the last mapping', 0x4000n, 1],
    ['it is at the end of all addresses', end - 1n, 1],
    ['it goes beyond all addresses', end - 1n, 2],
  ])('is not there where %s: nothing is copied', (_, gpa, length) => {
    expect(read(gpa, length)).toBeUndefined();
    expect(host.partition.writeMemory(gpa, numbered(length))).toBe(false);
    expect([...low.read(0, low.size), ...high.read(0, high.size)].every((b) => b === 0)).toBe(true);
  });

  it('is not there where a hole is in the middle: nothing is copied', () => {
    host.partition.unmapMemory({ gpa: 0x3000, size: pageSize });
    host.partition.mapMemory(high, { gpa: 0x4000 });
    expect(read(0x2ff0, 0x1020)).toBeUndefined();
    expect(host.partition.writeMemory(0x2ff0, numbered(0x1020))).toBe(false);
    expect([...low.read(0, low.size), ...high.read(0, high.size)].every((b) => b === 0)).toBe(true);
    expect(read(0x2ff0, 0x10)).toEqual(Array(16).fill(0));
  });

  it('may end where all addresses end', () => {
    host.partition.mapMemory(high, { gpa: end - 4096n });
    expect(host.partition.writeMemory(end - 2n, numbered(2))).toBe(true);
    expect(read(end - 2n, 2)).toEqual([1, 2]);
    expect(read(end - 2n, 3)).toBeUndefined();
    expect([...high.read(pageSize - 2, 2)]).toEqual([1, 2]);
  });

  it('may be none, anywhere', () => {
    for (const gpa of [0n, 0x1000n, 0x8000n, end - 1n]) {
      expect(read(gpa, 0)).toEqual([]);
      expect(host.partition.writeMemory(gpa, new Uint8Array())).toBe(true);
    }
  });

  it('is there when its GuestMemory is closed, until it is unmapped', () => {
    host.partition.writeMemory(0x1000, numbered(4));
    low.close();
    expect(read(0x1000, 4)).toEqual([...numbered(4)]);
    expect(host.partition.writeMemory(0x1002, numbered(2, 9))).toBe(true);
    expect(read(0x1000, 4)).toEqual([1, 2, 9, 10]);
    host.partition.mappingAt(0x1000)?.unmap();
    expect(read(0x1000, 4)).toBeUndefined();
  });

  it('can be the memory itself, where there are buffers over it', () => {
    high.write(0, numbered(8));
    expect(host.partition.readMemory(0x3000, high.bytes(4, 8))).toBe(true);
    expect([...high.read(0, 12)]).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(host.partition.writeMemory(0x3002, high.bytes(0, 4))).toBe(true);
    expect([...high.read(0, 8)]).toEqual([1, 2, 1, 2, 3, 4, 3, 4]);
  });

  it('costs no system call', () => {
    read(0x1000, 16);
    host.partition.writeMemory(0x1000, numbered(16));
    expect(host.native.calls).toEqual([]);
  });

  it('is none of a closed partition', () => {
    host.partition.close();
    expect(() => host.partition.readMemory(0x1000, new Uint8Array(1))).toThrow(closed);
    expect(() => host.partition.writeMemory(0x1000, new Uint8Array())).toThrow(closed);
  });
});

describe('hasVp()', () => {
  it('is true of VPs that were created, closed or not', () => {
    const { partition } = host;
    expect([0, 3, 4, 255].map((index) => partition.hasVp(index))).toEqual([
      ...[true, true, false, false],
    ]);
    partition.createVp(255);
    partition.vps[0]?.close();
    expect([partition.hasVp(0), partition.hasVp(255)]).toEqual([true, true]);
    partition.close();
    expect([partition.hasVp(3), partition.hasVp(4)]).toEqual([true, false]);
  });

  it('is the same wherever the partition is shared', () => {
    using shared = SharedPartition.receive(host.partition.share(), { native: host.native });
    expect([shared.hasVp(0), shared.hasVp(255)]).toEqual([true, false]);
    host.partition.createVp(255);
    expect(shared.hasVp(255)).toBe(true);
  });
});
