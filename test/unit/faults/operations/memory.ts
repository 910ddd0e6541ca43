import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

import { EventFd, GuestMemory } from '../../../../lib/index.js';
import type { GuestMemoryToken } from '../../../../lib/index.js';
import { type Operation, replaced } from '../engine.js';
import type { Situation } from '../situation.js';

const file = join(tmpdir(), `mshv-faults-${process.pid}`);

/** Memory in use and out of it, and doorbells. */
function arranged(situation: Situation) {
  const { partition, native } = situation;
  /** Mapped twice. */
  const memory = situation.own(GuestMemory.allocate(0x8000, { native }));
  const low = situation.own(partition.mapMemory(memory, { gpa: 0x10000, size: 0x4000 }));
  const options = { gpa: 0x14000, offset: 0x4000, writable: false, name: 'ROM' };
  situation.own(partition.mapMemory(memory, options));
  /** Closed, and mapped once. */
  const orphan = situation.own(GuestMemory.allocate(0x1000, { native, shared: true }));
  const orphaned = situation.own(partition.mapMemory(orphan, { gpa: 0x100000 }));
  orphan.close();
  const unmapped = situation.own(GuestMemory.allocate(0x3000, { native, shared: true }));
  unmapped.write(0x1000, Uint8Array.of(1, 2, 3));
  situation.observe(() => (unmapped.closed ? undefined : unmapped.read(0x1000, 4).join()));
  const token = unmapped.share();
  takenBackAtEnd(situation, token);
  const event = situation.own(EventFd.create({ native }));
  const ringing = situation.own(partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 1 }));
  situation.own(partition.registerDoorbell({ gpa: 0xfe000000, event }));
  return { partition, native, memory, low, orphaned, unmapped, token, event, ringing };
}

function takenBackAtEnd(situation: Situation, token: GuestMemoryToken): void {
  const { native } = situation;
  situation.atEnd(() => {
    if (Atomics.load(token.offer, 0) === 0) GuestMemory.receive(token, { native }).close();
  });
}

type Arranged = ReturnType<typeof arranged>;

/** An operation on that. What it returns is looked at, and closed in the end. */
function onMemory(
  name: string,
  steps: string,
  act: (arranged: Arranged, situation: Situation) => object | undefined,
): Operation {
  return {
    name,
    steps,
    arrange: (situation) => {
      const there = arranged(situation);
      return () => {
        const made = act(there, situation);
        if (made !== undefined) situation.own(made);
      };
    },
  };
}

export const memory: readonly Operation[] = [
  onMemory('GuestMemory.allocate()', 'memoryCreate', ({ native }) =>
    GuestMemory.allocate(0x2000, { native }),
  ),
  onMemory('GuestMemory.allocate(), shared', 'memoryCreate', ({ native }) =>
    GuestMemory.allocate(0x2000, { native, shared: true }),
  ),
  onMemory('GuestMemory.allocate(), shared, of huge pages', 'memoryCreate', ({ native }) =>
    GuestMemory.allocate(0x400000, { native, shared: true, hugePages: true }),
  ),
  onMemory('partition.allocateMemory()', 'memoryCreate', ({ partition }) =>
    partition.allocateMemory(0x2000, { shared: true }),
  ),
  onMemory('device.allocateMemory()', 'memoryCreate', (_, { device }) =>
    device.allocateMemory(0x2000, { shared: true }),
  ),
  onMemory('memory.fd', 'memoryFd', ({ unmapped }) => {
    expect(unmapped.fd).toBe(unmapped.fd);
    return undefined;
  }),
  onMemory('GuestMemory.fromFd()', 'memoryFromFd', ({ native }) => {
    writeFileSync(file, new Uint8Array(0x2000));
    const fd = openSync(file, 'r+');
    unlinkSync(file);
    try {
      return GuestMemory.fromFd(fd, { native });
    } finally {
      closeSync(fd);
    }
  }),
  onMemory('memory.window()', 'memoryFd memoryFromFd', ({ unmapped }) =>
    unmapped.window(0x1000, 0x1000),
  ),
  onMemory('GuestMemory.receive()', 'receiveMemory', ({ token, native }) =>
    GuestMemory.receive(token, { native }),
  ),
  onMemory('memory.share()', 'memoryFd share', ({ unmapped }, situation) => {
    takenBackAtEnd(situation, unmapped.share());
    return undefined;
  }),
  onMemory('memory.buffer', 'memoryBuffer', ({ memory: { buffer } }) => {
    expect(buffer.byteLength).toBe(0x8000);
    return undefined;
  }),
  onMemory('memory.dataView', 'memoryBuffer', ({ memory: { dataView } }) => {
    expect(dataView.byteLength).toBe(0x8000);
    return undefined;
  }),
  onMemory('memory.view()', 'memoryBuffer', ({ memory }) => memory.view(Uint32Array, 4, 2)),
  onMemory('memory.bytes()', 'memoryBuffer', ({ memory }) => memory.bytes(4, 2)),
  onMemory('memory.read(), write() and fill()', '', ({ memory }) => {
    memory.fill(7);
    memory.write(2, Uint8Array.of(1));
    expect(memory.read(1, 3).join()).toBe('7,1,7');
    return undefined;
  }),
  ...(['close', Symbol.dispose] as const).map((method) =>
    onMemory(`${String(method)} of memory`, '', ({ unmapped }) => {
      unmapped[method]();
      return undefined;
    }),
  ),
  {
    name: 'close of memory that has a buffer',
    arrange: (situation) => {
      const { unmapped } = arranged(situation);
      expect(unmapped.buffer.byteLength).toBe(0x3000);
      return () => {
        unmapped.close();
      };
    },
    outcome: replaced,
  },
  onMemory('mapMemory()', 'mapMemory', ({ partition, unmapped }) =>
    partition.mapMemory(unmapped, { gpa: 0x200000 }),
  ),
  onMemory('mapMemory() between two mappings', 'mapMemory', ({ partition, memory }) =>
    partition.mapMemory(memory, { gpa: 0x18000, executable: false }),
  ),
  ...(['unmap', 'close', Symbol.dispose] as const).map((method) =>
    onMemory(`${String(method)} of a mapping`, 'mapMemory', ({ low }) => {
      low[method]();
      return undefined;
    }),
  ),
  onMemory('unmap() of memory that is closed', 'mapMemory', ({ orphaned }) => {
    orphaned.unmap();
    return undefined;
  }),
  onMemory('unmapMemory()', 'mapMemory', ({ partition, low }) => {
    if (low.mapped && partition.mappings.some(({ gpa }) => gpa === 0x14000n)) {
      partition.unmapMemory({ gpa: 0x14000, size: 0x4000 });
    }
    return undefined;
  }),
  onMemory('dirtyPages()', 'hypercall', ({ partition }) => {
    expect(partition.dirtyPages({ gpa: 0x10000, size: 0x8000 }).count).toBe(0);
    return undefined;
  }),
  onMemory('dirtyPages() with clear', 'accessBitmap', ({ partition }) =>
    partition.dirtyPages({ gpa: 0x10000, size: 0x8000, clear: true }),
  ),
  onMemory('accessedPages()', 'hypercall', ({ partition }) =>
    partition.accessedPages({ gpa: 0x10000, size: 0x8000 }),
  ),
  onMemory('accessedPages() with clear', 'accessBitmap', ({ partition }) => {
    const pages = partition.accessedPages({ gpa: 0x10000, size: 0x8000, clear: true });
    expect(pages.pageCount).toBe(8);
    expect(pages.has(0x10000)).toBe(false);
    expect([...pages]).toEqual([]);
    return pages;
  }),
  onMemory('readMemory(), writeMemory() and mappingAt()', '', ({ partition, low }) => {
    expect(partition.writeMemory(0x10000, Uint8Array.of(1))).toBe(true);
    expect(partition.readMemory(0x10000, new Uint8Array(1))).toBe(true);
    expect(partition.mappingAt(0x10000)).toBe(low);
    return undefined;
  }),
  onMemory('registerDoorbell()', 'create ioeventfd', ({ partition }) =>
    partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 2 }),
  ),
  onMemory('registerDoorbell() on an eventfd', 'dup ioeventfd', ({ partition, event }) =>
    partition.registerDoorbell({ gpa: 0xfe000000, size: 8, event }),
  ),
  ...(['close', Symbol.dispose] as const).map((method) =>
    onMemory(`${String(method)} of a doorbell`, 'ioeventfd', ({ ringing }) => {
      ringing[method]();
      return undefined;
    }),
  ),
];
