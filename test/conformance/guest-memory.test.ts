import { constants } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';

import { memoryFlags, pageAccessOperations, pageAccessTypes } from '../../lib/abi/memory.js';
import {
  GuestMemory,
  type GuestMemoryOptions,
  type PageBitmap,
  type Partition,
} from '../../lib/index.js';
import { pageIn } from '../page-in.js';
import { mappings } from '../mappings.js';
import { guestSideForTests } from './guest-side-for-tests.js';

const { EEXIST, EINVAL, ENOENT } = constants.errno;
const { WRITABLE, EXECUTABLE, UNMAP } = memoryFlags;
const { ACCESSED, DIRTY } = pageAccessTypes;
const { NOOP, CLEAR, SET } = pageAccessOperations;

const page = 4096;
/** The driver populates as many at once. */
const pagesPerFault = 512;

const guest = await guestSideForTests();
let partition: Partition;
const memories: GuestMemory[] = [];

beforeEach(() => {
  partition = guest.createPartition(1);
  return () => {
    partition.close();
    for (const memory of memories.splice(0)) memory.close();
    expect(sharedMappings()).toBe(0);
  };
});

/** Shared, so that its mapping has a name. */
function allocate(pages: number, options: GuestMemoryOptions = {}): GuestMemory {
  const memory = GuestMemory.allocate(pages * page, {
    shared: true,
    native: guest.native,
    ...options,
  });
  memories.push(memory);
  return memory;
}

function sharedMappings(): number {
  return mappings(/memfd:mshv_memory/).length;
}

const read = (gpa: number, length = 4, from = partition): number[] => [
  ...guest.readMemory(from, BigInt(gpa), length),
];
const write = (gpa: number, ...bytes: number[]): void => {
  guest.writeMemory(partition, BigInt(gpa), Uint8Array.from(bytes));
};
const touch = (gpa: number, access: 'read' | 'write' | 'execute' = 'read', of = partition) =>
  pageIn(guest, of, BigInt(gpa), access);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });
const calls = (): number => guest.calls('MSHV_SET_GUEST_MEMORY');

describe.each<[string, GuestMemoryOptions]>([
  ['private', { shared: false }],
  ['shared', {}],
  ['huge', { shared: false, hugePages: true }],
])('memory that is %s', (_, options) => {
  it('is the same for guest and host', () => {
    const memory = allocate(4, options);
    partition.mapMemory(memory, { gpa: 0x10000 });
    expect(touch(0x10000)).toBe(true);
    memory.write(page - 2, Uint8Array.of(1, 2, 3, 4));
    expect(read(0x10000 + page - 2)).toEqual([1, 2, 3, 4]);
    write(0x10000 + page - 1, 8, 9);
    expect([...memory.read(page - 2, 4)]).toEqual([1, 8, 9, 4]);
    const view = memory.view(Uint32Array, 8, 2);
    write(0x10008, 0x78, 0x56, 0x34, 0x12);
    expect([...view]).toEqual([0x12345678, 0]);
    view[1] = 0x01020304;
    expect(read(0x1000c)).toEqual([4, 3, 2, 1]);
  });
});

describe('a mapping', () => {
  it('begins where it is told to', () => {
    const memory = allocate(8);
    for (let i = 0; i < 8; i++) memory.write(i * page, Uint8Array.of(i + 1));
    const mapping = partition.mapMemory(memory, {
      gpa: 0x40000n,
      offset: 3 * page,
      size: 2 * page,
    });
    expect(mapping).toMatchObject({
      gpa: 0x40000n,
      offset: 3 * page,
      size: 2 * page,
      mapped: true,
    });
    touch(0x40000);
    expect([read(0x40000, 1), read(0x41000, 1)]).toEqual([[4], [5]]);
    for (const gpa of [0x3f000, 0x42000]) expect(() => read(gpa)).toThrow(code('ENXIO'));
  });

  it('gives the rights that it has and no others', () => {
    partition.mapMemory(allocate(1), { gpa: 0x1000, writable: false, executable: false });
    partition.mapMemory(allocate(1), { gpa: 0x2000 });
    expect(touch(0x1000, 'write')).toBe(false);
    expect(touch(0x1000, 'execute')).toBe(false);
    expect(() => read(0x1000)).toThrow(code('EACCES'));
    expect(touch(0x1000, 'read')).toBe(true);
    expect(read(0x1000)).toEqual([0, 0, 0, 0]);
    expect(() => {
      write(0x1000, 1);
    }).toThrow(code('EACCES'));
    expect(touch(0x2000, 'execute')).toBe(true);
    write(0x2000, 1);
  });

  it('can end where all addresses end', () => {
    const memory = allocate(2);
    const gpa = 2n ** 64n - BigInt(2 * page);
    const mapping = partition.mapMemory(memory, { gpa });
    expect(() => partition.mapMemory(memory, { gpa: gpa + BigInt(page), size: page })).toThrow(
      code('ERR_MSHV_GPA_IN_USE'),
    );
    expect(pageIn(guest, partition, gpa)).toBe(true);
    guest.writeMemory(partition, gpa + BigInt(2 * page - 1), Uint8Array.of(7));
    expect([...memory.read(2 * page - 1, 1)]).toEqual([7]);
    expect([...partition.dirtyPages({ gpa, size: 2 * page })]).toEqual([gpa + BigInt(page)]);
    mapping.unmap();
    expect(partition.mappings).toEqual([]);
  });

  it('is paged in by the run of a VP, 512 pages from its start on at a time', () => {
    partition.mapMemory(allocate(2 * pagesPerFault + 10), { gpa: 0x3000 });
    const at = (index: number): number => 0x3000 + index * page;
    expect(() => read(at(0))).toThrow(code('EACCES'));
    expect(touch(at(pagesPerFault + 7))).toBe(true);
    for (const index of [pagesPerFault, 2 * pagesPerFault - 1]) expect(read(at(index))[0]).toBe(0);
    for (const index of [0, pagesPerFault - 1, 2 * pagesPerFault])
      expect(() => read(at(index))).toThrow(code('EACCES'));
    expect(touch(at(2 * pagesPerFault + 9))).toBe(true);
    expect(read(at(2 * pagesPerFault))[0]).toBe(0);
  });

  it('goes from under the guest, which keeps nothing that it has touched', () => {
    const memory = allocate(2);
    const mapping = partition.mapMemory(memory, { gpa: 0x10000 });
    touch(0x10000);
    write(0x10000, 5);
    mapping.unmap();
    expect(mapping.mapped).toBe(false);
    expect(partition.mappings).toEqual([]);
    for (const gpa of [0x10000, 0x11000]) expect(() => read(gpa)).toThrow(code('ENXIO'));
    expect(touch(0x10000)).toBe(false);
    const before = calls();
    mapping.unmap();
    mapping[Symbol.dispose]();
    expect(calls()).toBe(before);

    const other = allocate(2);
    other.write(0, Uint8Array.of(6));
    partition.mapMemory(other, { gpa: 0x10000 });
    touch(0x10000);
    expect([read(0x10000, 1), [...memory.read(0, 1)]]).toEqual([[6], [5]]);
  });

  it('leaves pages that were never touched mapped without access, and other memory can be mapped there', () => {
    const mapping = partition.mapMemory(allocate(1), { gpa: 0x10000 });
    mapping.unmap();
    expect(() => read(0x10000)).toThrow(code('EACCES'));
    expect(touch(0x10000)).toBe(false);
    partition.mapMemory(allocate(1), { gpa: 0x10000 });
    expect(touch(0x10000)).toBe(true);
    expect(read(0x10000)[0]).toBe(0);
  });

  it('can be one of several of the same memory', () => {
    const memory = allocate(2);
    const one = partition.mapMemory(memory, { gpa: 0x10000 });
    partition.mapMemory(memory, { gpa: 0x80000, offset: page, writable: false });
    using elsewhere = guest.createPartition(1);
    elsewhere.mapMemory(memory, { gpa: 0x10000 });
    touch(0x10000);
    touch(0x80000);
    touch(0x10000, 'read', elsewhere);
    write(0x11000, 7);
    expect([read(0x80000, 1), read(0x11000, 1, elsewhere)]).toEqual([[7], [7]]);
    one.unmap();
    memory.write(page, Uint8Array.of(8));
    expect([read(0x80000, 1), read(0x11000, 1, elsewhere)]).toEqual([[8], [8]]);
  });

  it('keeps memory that is closed, until the last one goes', () => {
    const memory = allocate(1);
    const [one, other] = [0x1000, 0x2000].map((gpa) => partition.mapMemory(memory, { gpa }));
    using elsewhere = guest.createPartition(1);
    elsewhere.mapMemory(memory, { gpa: 0x1000 });
    const view = new Uint8Array(memory.buffer);
    view[0] = 3;
    touch(0x1000);
    memory.close();
    expect(view).toHaveLength(0);
    expect(read(0x1000, 1)).toEqual([3]);
    // Not what was touched before only.
    touch(0x2000);
    expect(read(0x2000, 1)).toEqual([3]);
    expect(sharedMappings()).toBe(1);
    one?.unmap();
    other?.unmap();
    expect(sharedMappings()).toBe(1);
    touch(0x1000, 'read', elsewhere);
    expect(read(0x1000, 1, elsewhere)).toEqual([3]);
    elsewhere.close();
    expect(sharedMappings()).toBe(0);
    expect(() => partition.mapMemory(memory, { gpa: 0x1000 })).toThrow(code('ERR_MSHV_CLOSED'));
  });

  it('ends with its partition, and the memory stays', () => {
    const memory = allocate(1);
    const mapping = partition.mapMemory(memory, { gpa: 0x1000 });
    partition.close();
    expect(mapping.mapped).toBe(false);
    mapping.unmap();
    memory.write(0, Uint8Array.of(1));
    expect([...memory.read(0, 1)]).toEqual([1]);
    expect(() => partition.mapMemory(memory, { gpa: 0x1000 })).toThrow(code('ERR_MSHV_CLOSED'));
    expect(() => {
      partition.unmapMemory({ gpa: 0x1000, size: page });
    }).toThrow(code('ERR_MSHV_CLOSED'));
  });

  it('of 1 GiB is made and unmapped', () => {
    const memory = allocate(2 ** 18);
    partition.mapMemory(memory, { gpa: 2 ** 32 });
    const last = 2 ** 32 + 2 ** 30 - 4;
    touch(last);
    memory.write(2 ** 30 - 4, Uint8Array.of(1, 2, 3, 4));
    expect(read(last)).toEqual([1, 2, 3, 4]);
    partition.unmapMemory({ gpa: 2 ** 32, size: 2 ** 30 });
    expect(() => read(last)).toThrow(code('ENXIO'));
  });
});

describe('before the driver is asked', () => {
  it('says whose memory is where another should go', () => {
    partition.mapMemory(allocate(4), { gpa: 0x10000, name: 'low RAM' });
    partition.mapMemory(allocate(4), { gpa: 0x20000 });
    const memory = allocate(32);
    const before = calls();
    for (const [gpa, pages] of [
      [0x10000, 4],
      [0x10000, 1],
      [0x13000, 1],
      [0xf000, 2],
      [0x13000, 2],
      [0xf000, 32],
    ] as const)
      expect(() => partition.mapMemory(memory, { gpa, size: pages * page })).toThrow(
        expect.objectContaining({
          code: 'ERR_MSHV_GPA_IN_USE',
          message: expect.stringMatching(/'low RAM' \(0x10000 to 0x13fff\) is there$/) as unknown,
        }),
      );
    expect(() => partition.mapMemory(memory, { gpa: 0x1f000, size: 2 * page })).toThrow(
      /the mapping of 0x20000 to 0x23fff is there$/,
    );
    expect(calls()).toBe(before);
    expect(partition.mappings.map(({ gpa }) => gpa)).toEqual([0x10000n, 0x20000n]);
    // Right before, between and behind.
    for (const gpa of [0xf000, 0x14000, 0x1f000, 0x24000])
      partition.mapMemory(memory, { gpa, size: page });
    expect(partition.mappings).toHaveLength(6);
  });

  it('refuses to unmap what is not exactly one mapping', () => {
    partition.mapMemory(allocate(4), { gpa: 0x10000, name: 'low RAM' });
    partition.mapMemory(allocate(1), { gpa: 0x14000 });
    const before = calls();
    const unmap = (gpa: number, pages: number) => () => {
      partition.unmapMemory({ gpa, size: pages * page });
    };
    for (const [gpa, pages] of [
      [0xf000, 1],
      [0x15000, 3],
      [0, 1],
    ] as const)
      expect(unmap(gpa, pages)).toThrow(code('ERR_MSHV_GPA_NOT_MAPPED'));
    for (const [gpa, pages] of [
      [0x10000, 3],
      [0x11000, 3],
      [0x11000, 1],
      [0xf000, 5],
      [0x10000, 5],
      [0xf000, 8],
    ] as const)
      expect(unmap(gpa, pages)).toThrow(
        expect.objectContaining({
          code: 'ERR_MSHV_PARTIAL_UNMAP',
          message: expect.stringContaining('low RAM') as unknown,
        }),
      );
    expect(calls()).toBe(before);
    unmap(0x10000, 4)();
    unmap(0x14000, 1)();
    expect(partition.mappings).toEqual([]);
  });
});

describe('page bitmaps', () => {
  const gpa = 0x100000;
  const pages = 8192;
  const size = pages * page;
  // At the edges of words, of the driver's batches, and of the range.
  const written = [0, 1, 63, 64, 65, 511, 4094, 4095, 4096, 8190, 8191];
  const indices = (bitmap: PageBitmap): number[] =>
    [...bitmap].map((address) => (Number(address) - gpa) / page);

  beforeEach(() => {
    partition.mapMemory(allocate(pages), { gpa });
    for (let i = 0; i < pages; i += pagesPerFault) touch(gpa + i * page);
    for (const index of written) write(gpa + index * page + 5, 1);
    read(gpa + 100 * page);
  });

  it('say exactly which pages were written and which were accessed, and change nothing', () => {
    for (let again = 0; again < 2; again++) {
      const dirty = partition.dirtyPages({ gpa, size });
      expect(indices(dirty)).toEqual(written);
      expect(dirty).toMatchObject({
        count: written.length,
        pageCount: pages,
        firstGpa: BigInt(gpa),
      });
      expect([dirty.has(gpa + 63 * page + 4095), dirty.has(gpa + 66 * page)]).toEqual([
        true,
        false,
      ]);
      const accessed = [...written, 100].sort((one, other) => one - other);
      expect(indices(partition.accessedPages({ gpa, size }))).toEqual(accessed);
    }
    const part = partition.dirtyPages({ gpa: gpa + 63 * page, size: 3 * page });
    expect(indices(part)).toEqual([63, 64, 65]);
    expect([...part.words]).toEqual([0b111n]);
  });

  it('are cleared in the range that is read', () => {
    const part = { gpa: gpa + page, size: 100 * page };
    expect(indices(partition.dirtyPages({ ...part, clear: true }))).toEqual([1, 63, 64, 65]);
    expect(indices(partition.dirtyPages(part))).toEqual([]);
    expect(indices(partition.accessedPages(part))).toEqual([1, 63, 64, 65, 100]);
    write(gpa + 64 * page, 2);
    expect(indices(partition.dirtyPages(part))).toEqual([64]);
    expect(indices(partition.dirtyPages({ gpa, size, clear: true }))).toEqual([
      0,
      64,
      ...written.slice(5),
    ]);
    expect(partition.dirtyPages({ gpa, size }).count).toBe(0);
  });

  it('of accesses take the dirty bits with them where they are cleared', () => {
    expect(partition.accessedPages({ gpa, size, clear: true }).count).toBe(written.length + 1);
    expect(partition.accessedPages({ gpa, size }).count).toBe(0);
    expect(partition.dirtyPages({ gpa, size }).count).toBe(0);
  });

  it('do not know what the host writes', () => {
    partition.dirtyPages({ gpa, size, clear: true });
    partition.mappings[0]?.memory.write(0, new Uint8Array(page));
    expect(partition.dirtyPages({ gpa, size }).count).toBe(0);
  });

  it('are refused where the range has a hole, before, within or behind the memory', () => {
    partition.mapMemory(allocate(1), { gpa: gpa + size + page });
    for (const range of [
      { gpa: gpa - page, size: 2 * page },
      { gpa: gpa + size - page, size: 2 * page },
      { gpa: gpa + size - page, size: 3 * page },
      { gpa: 0, size: page },
    ]) {
      const calls = guest.calls('MSHV_GET_GPAP_ACCESS_BITMAP') + guest.calls('MSHV_ROOT_HVCALL');
      for (const access of ['dirtyPages', 'accessedPages'] as const) {
        for (const clear of [false, true])
          expect(() => partition[access]({ ...range, clear })).toThrow(
            code('ERR_MSHV_GPA_NOT_MAPPED'),
          );
      }
      expect(guest.calls('MSHV_GET_GPAP_ACCESS_BITMAP') + guest.calls('MSHV_ROOT_HVCALL')).toBe(
        calls,
      );
      // What the hypervisor says to it.
      const [first, count] = [BigInt(range.gpa / page), range.size / page];
      const words = new BigUint64Array(1);
      for (const operation of [CLEAR, NOOP])
        expect(guest.native.accessBitmap(partition.fd, DIRTY, operation, first, count, words)).toBe(
          -EINVAL,
        );
      expect(() => partition.accessStates({ gpa: range.gpa, pages: count })).toThrow(
        expect.objectContaining({
          code: 'EINVAL',
          hypercall: 'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
        }),
      );
    }
  });

  it('reach over mappings that touch', () => {
    partition.mapMemory(allocate(2), { gpa: gpa + size });
    touch(gpa + size);
    write(gpa + size + page, 1);
    const range = { gpa: gpa + size - 2 * page, size: 4 * page };
    expect(indices(partition.dirtyPages(range))).toEqual([8190, 8191, 8193]);
    expect(indices(partition.dirtyPages({ ...range, clear: true }))).toEqual([8190, 8191, 8193]);
    expect(partition.dirtyPages(range).count).toBe(0);
  });

  it('come from an ioctl that sets the bits where it should only look', () => {
    const words = new BigUint64Array(2);
    const bitmap = (type: number, operation: number, count = 70, out = words): number =>
      guest.native.accessBitmap(partition.fd, type, operation, BigInt(gpa / page), count, out);
    const range = { gpa, size: 70 * page };
    // Whole bytes: the rest of the last one is 0.
    words.fill(0x5555555555555555n);
    expect(bitmap(DIRTY, NOOP)).toBe(0);
    expect([...words]).toEqual([0x8000000000000003n, 0x5555555555555503n]);
    expect(partition.dirtyPages(range).count).toBe(70);
    expect(partition.accessedPages(range).count).toBe(70);
    bitmap(ACCESSED, CLEAR);
    expect(bitmap(ACCESSED, NOOP)).toBe(0);
    expect([...words]).toEqual([0n, 0x5555555555555500n]);
    expect(partition.accessedPages(range).count).toBe(70);
    expect(partition.dirtyPages(range).count).toBe(0);
    expect(bitmap(DIRTY, SET)).toBe(0);
    expect(partition.dirtyPages(range).count).toBe(70);
    expect(bitmap(DIRTY, CLEAR)).toBe(0);
    expect(partition.accessedPages(range).count).toBe(70);

    expect(bitmap(2, CLEAR)).toBe(-EINVAL);
    expect(bitmap(DIRTY, 3)).toBe(-EINVAL);
    expect(bitmap(DIRTY, CLEAR, 0)).toBe(-EINVAL);
    expect(bitmap(DIRTY, CLEAR, 129)).toBe(-EINVAL);
  });
});

describe('MSHV_SET_GUEST_MEMORY', () => {
  let memory: number;
  let other: number;
  beforeEach(() => {
    memory = guest.native.memoryCreate(BigInt(16 * page), true, false);
    other = guest.native.memoryCreate(BigInt(16 * page), true, false);
    return () => {
      guest.native.memoryUnmap(memory);
      guest.native.memoryUnmap(other);
    };
  });

  const set = (
    gpa: number,
    pages: number,
    flags: number,
    offset = 0,
    from = memory,
    fd = partition.fd,
  ): number =>
    guest.native.mapMemory(
      fd,
      from,
      BigInt(offset * page),
      BigInt(pages * page),
      BigInt(gpa),
      flags,
    );

  it('refuses any overlap of guest addresses, and none of the host', () => {
    expect(set(0x10000, 4, WRITABLE)).toBe(0);
    for (const [gpa, pages] of [
      [0x10000, 4],
      [0xf000, 2],
      [0x13000, 1],
      [0xe000, 16],
    ] as const)
      expect(set(gpa, pages, WRITABLE, 0, other)).toBe(-EEXIST);
    expect(set(0x14000, 4, EXECUTABLE)).toBe(0);
    expect(set(0x18000, 4, 0, 2)).toBe(0);
  });

  it('refuses flags that it does not know, and sizes of nothing', () => {
    for (const flags of [8, 0x80]) expect(set(0x10000, 1, flags)).toBe(-EINVAL);
    expect(set(0x10000, 0, WRITABLE)).toBe(-EINVAL);
  });

  it('unmaps exactly what was mapped, whatever the other flags', () => {
    expect(set(0x10000, 1, UNMAP)).toBe(-ENOENT);
    set(0x10000, 4, WRITABLE, 1);
    expect(set(0x14000, 4, UNMAP, 1)).toBe(-ENOENT);
    for (const [gpa, pages, offset, from] of [
      [0x10000, 3, 1, memory],
      [0x11000, 3, 2, memory],
      [0x11000, 4, 1, memory],
      [0x10000, 5, 1, memory],
      [0x10000, 4, 0, memory],
      [0x10000, 4, 1, other],
    ] as const)
      expect(set(gpa, pages, UNMAP, offset, from)).toBe(-EINVAL);
    expect(set(0x10000, 4, UNMAP | WRITABLE | EXECUTABLE, 1)).toBe(0);
    expect(set(0x10000, 4, UNMAP, 1)).toBe(-ENOENT);
  });

  it('works before the partition is initialized', () => {
    using early = guest.device.createPartition();
    expect(set(0x10000, 4, WRITABLE, 0, memory, early.fd)).toBe(0);
    expect(set(0x10000, 4, UNMAP, 0, memory, early.fd)).toBe(0);
  });

  it('maps what the host takes away again without access', () => {
    const gone = guest.native.memoryCreate(BigInt(page), true, false);
    set(0x10000, 1, WRITABLE, 0, gone);
    touch(0x10000);
    expect(read(0x10000)[0]).toBe(0);
    guest.native.memoryUnmap(gone);
    expect(() => read(0x10000)).toThrow(code('EACCES'));
    expect(touch(0x10000)).toBe(false);
  });
});
