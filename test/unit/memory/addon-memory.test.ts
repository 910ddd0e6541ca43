import { constants as bufferLimits } from 'node:buffer';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { linuxNative, type Native } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { addressSpace } from '../../address-space.js';
import { collectGarbage } from '../../collect-garbage.js';
import { hasExternalBuffers } from '../../external-buffers.js';
import { openDescriptors } from '../../open-descriptors.js';

const { EACCES, EBADF, EINVAL, ENODEV, ENOTSUP, ENXIO } = constants.errno;

const page = 4096n;
const hugePage = 2n << 20n;

/** The mappings of a file of this process, as [first address, size]. */
function mappings(file: string): [bigint, bigint][] {
  return readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes(file))
    .map((line) => {
      const [start = '', end = ''] = (line.split(' ', 1)[0] ?? '').split('-');
      return [BigInt(`0x${start}`), BigInt(`0x${end}`) - BigInt(`0x${start}`)];
    });
}

/** The size of the process's address space in GiB, to the nearest. */
const gibibytes = (): number => Math.round(addressSpace().size / 2 ** 30);

function viewOf(native: Native, memory: number): Uint8Array {
  const buffer = native.memoryBuffer(memory);
  if (typeof buffer === 'number') throw new Error(`memoryBuffer(): ${buffer}`);
  return new Uint8Array(buffer);
}

function bytesOf(native: Native, memory: number, offset: bigint, length: number): number[] {
  const bytes = new Uint8Array(length);
  expect(native.memoryRead(memory, offset, bytes)).toBe(0);
  return [...bytes];
}

describe.each<[string, Native]>([
  ['mshv', linuxNative()],
  ['mshv_sim', simNative()],
])('guest memory of the addon %s', (_, native) => {
  it.each([
    ['private', false, false],
    ['shared', true, false],
    ['private and huge', false, true],
    ['shared and huge', true, true],
  ])('is zero, and what was written into it: %s', (_, shared, hugePages) => {
    const memory = native.memoryCreate(3n * page, shared, hugePages);
    const view = viewOf(native, memory);
    expect(view).toEqual(new Uint8Array(Number(3n * page)));
    view.fill(7, 4096, 8192);
    const bytes = new Uint8Array(4);
    expect(native.memoryRead(memory, page - 2n, bytes)).toBe(0);
    expect(bytes).toEqual(Uint8Array.of(0, 0, 7, 7));
    expect(native.memoryWrite(memory, 3n * page - 2n, Uint8Array.of(8, 9))).toBe(0);
    expect(view.slice(-3)).toEqual(Uint8Array.of(0, 8, 9));
    expect(native.memoryUnmap(memory)).toBe(0);
  });

  it('has one view, which is empty once detached, and the memory is still there', () => {
    const memory = native.memoryCreate(page, false, false);
    const view = viewOf(native, memory);
    expect(native.memoryBuffer(memory)).toBe(view.buffer);
    view[0] = 5;
    expect(native.memoryDetach(memory)).toBe(0);
    expect([view.length, view.buffer.byteLength, view[0]]).toEqual([0, 0, undefined]);
    expect(native.memoryDetach(memory)).toBe(0);
    expect(viewOf(native, memory)[0]).toBe(5);
    expect(native.memoryUnmap(memory)).toBe(0);
  });

  it('is unmapped with an empty view, and its handle is never used again', async () => {
    await collectGarbage();
    const descriptors = openDescriptors();
    const before = gibibytes();
    const memory = native.memoryCreate(4n << 30n, false, false);
    expect(gibibytes()).toBe(before + 4);
    const shared = native.memoryCreate(page, true, false);
    expect(mappings('memfd:mshv_memory')).toHaveLength(1);
    const views = [viewOf(native, memory), viewOf(native, shared)];
    expect([native.memoryUnmap(memory), native.memoryUnmap(shared)]).toEqual([0, 0]);
    expect(views.map(({ length }) => length)).toEqual([0, 0]);
    expect(mappings('memfd:mshv_memory')).toHaveLength(0);
    // Somebody may still use what he had of the view.
    expect(gibibytes()).toBe(before + 4);
    views.length = 0;
    await collectGarbage();
    expect(gibibytes()).toBe(before);
    expect(openDescriptors()).toBe(descriptors);
    const next = native.memoryCreate(page, false, false);
    expect([memory, shared]).not.toContain(next);
    native.memoryUnmap(next);
  });

  it('is the same memory for whoever maps its file, at its offset', () => {
    const memory = native.memoryCreate(4n * page, true, false);
    const fd = native.memoryFd(memory);
    const other = native.memoryFromFd(fd, page, 2n * page);
    native.close(fd);
    native.memoryWrite(memory, page + 5n, Uint8Array.of(3));
    expect(bytesOf(native, other, 5n, 1)).toEqual([3]);
    native.memoryUnmap(memory);
    native.memoryWrite(other, 6n, Uint8Array.of(4));
    // The file that was mapped, whatever part of it.
    const whole = native.memoryFd(other);
    const again = native.memoryFromFd(whole, 0n, 4n * page);
    expect(bytesOf(native, again, page + 4n, 4)).toEqual([0, 3, 4, 0]);
    native.close(whole);
    native.memoryUnmap(other);
    native.memoryUnmap(again);
  });

  it('cannot be cut off under those who have it mapped', () => {
    const memory = native.memoryCreate(page, true, false);
    const fd = native.memoryFd(memory);
    for (const size of [0, 4095, 8192])
      expect(() => {
        ftruncateSync(fd, size);
      }).toThrow('EPERM');
    native.close(fd);
    native.memoryUnmap(memory);
  });

  it('has no file where it is private', () => {
    const memory = native.memoryCreate(page, false, false);
    expect(native.memoryFd(memory)).toBe(-ENODEV);
    native.memoryUnmap(memory);
  });

  it('begins at a huge page where those are asked for', () => {
    const sizes = [page, hugePage, 3n * hugePage + page];
    const memories = sizes.map((size) => native.memoryCreate(size, true, true));
    const mapped = mappings('memfd:mshv_memory');
    expect(mapped.map(([, size]) => size).sort()).toEqual([...sizes].sort());
    for (const [address] of mapped) expect(address % hugePage).toBe(0n);
    for (const memory of memories) native.memoryUnmap(memory);
    expect(mappings('memfd:mshv_memory')).toHaveLength(0);
  });

  it.each([
    ['nothing', 0n],
    ['less than a page', 1n],
    ['a page and a bit', 4097n],
    ['more than there can be addresses', 2n ** 63n],
    ['all bits', 2n ** 64n - 4096n],
  ])('is not created with %s', (_, size) => {
    const descriptors = openDescriptors();
    for (const shared of [false, true]) {
      for (const huge of [false, true]) {
        expect(native.memoryCreate(size, shared, huge)).toBe(-EINVAL);
      }
    }
    expect(openDescriptors()).toBe(descriptors);
  });

  it('leaves nothing behind where there are not so many addresses', () => {
    const descriptors = openDescriptors();
    for (const shared of [false, true]) {
      for (const huge of [false, true]) {
        expect(native.memoryCreate(2n ** 62n, shared, huge)).toBeLessThan(0);
      }
    }
    expect(openDescriptors()).toBe(descriptors);
    expect(mappings('memfd:mshv_memory')).toHaveLength(0);
  });

  it('is created larger than the longest view of Node 20, and is read and written then', () => {
    const size = 1n << 40n;
    const memory = native.memoryCreate(size, false, false);
    const buffer = native.memoryBuffer(memory);
    const longest = hasExternalBuffers && bufferLimits.MAX_LENGTH >= size ? Number(size) : -ENOTSUP;
    expect(typeof buffer === 'number' ? buffer : buffer.byteLength).toBe(longest);
    expect(native.memoryWrite(memory, size - 4n, Uint8Array.of(1, 2, 3, 4))).toBe(0);
    const bytes = new Uint8Array(2);
    expect(native.memoryRead(memory, size - 3n, bytes)).toBe(0);
    expect(bytes).toEqual(Uint8Array.of(2, 3));
    native.memoryUnmap(memory);
  });

  it('is copied inside its bounds only', () => {
    const memory = native.memoryCreate(page, false, false);
    for (const copy of ['memoryRead', 'memoryWrite'] as const) {
      const at = (offset: bigint, length: number): number =>
        native[copy](memory, offset, new Uint8Array(length));
      expect([at(0n, 4096), at(4095n, 1), at(4096n, 0)]).toEqual([0, 0, 0]);
      expect([at(0n, 4097), at(4096n, 1), at(4097n, 0)]).toEqual([-EINVAL, -EINVAL, -EINVAL]);
      expect([at(2n ** 64n - 1n, 1), at(2n ** 64n - 1n, 4096)]).toEqual([-EINVAL, -EINVAL]);
    }
    native.memoryUnmap(memory);
  });

  it('is copied from a part of it to another', () => {
    const memory = native.memoryCreate(page, false, false);
    const view = viewOf(native, memory);
    view.set([1, 2, 3, 4]);
    expect(native.memoryWrite(memory, 1n, view.subarray(0, 4))).toBe(0);
    expect([...view.subarray(0, 6)]).toEqual([1, 1, 2, 3, 4, 0]);
    native.memoryUnmap(memory);
  });

  it('has bits of its words set and taken, by the side of all others', () => {
    const memory = native.memoryCreate(page, false, false);
    const word = new Uint8Array(8);
    native.memoryWrite(memory, 4088n, Uint8Array.of(1, 0, 0, 0x80, 2, 0, 0, 0));
    expect(native.memorySetBits(memory, 4088n, 0x8000_0006)).toBe(6n);
    expect(native.memorySetBits(memory, 4088n, 6)).toBe(0n);
    expect(native.memoryTakeBits(memory, 4088n, 0x8000_0012)).toBe(0x8000_0002n);
    expect(native.memoryTakeBits(memory, 4088n, 0x8000_0012)).toBe(0n);
    expect(native.memoryRead(memory, 4088n, word)).toBe(0);
    expect([...word]).toEqual([5, 0, 0, 0, 2, 0, 0, 0]);
    for (const change of ['memorySetBits', 'memoryTakeBits'] as const) {
      for (const offset of [1n, 2n, 4093n, 4096n, 2n ** 64n - 4n]) {
        expect(native[change](memory, offset, 1)).toBe(-EINVAL);
      }
    }
    native.memoryUnmap(memory);
  });

  it('comes from regular files and character devices that are long enough', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mshv-'));
    const name = join(folder, 'memory');
    const file = openSync(name, 'w+');
    const readOnly = openSync(name, 'r');
    const directory = openSync(folder, 'r');
    const zero = openSync('/dev/zero', 'r+');
    const event = native.eventfdCreate(0, false);
    const descriptors = openDescriptors();
    try {
      ftruncateSync(file, 8192);
      expect(native.memoryFromFd(file, 0n, 3n * page)).toBe(-ENXIO);
      expect(native.memoryFromFd(file, page, 2n * page)).toBe(-ENXIO);
      expect(native.memoryFromFd(file, 2n * page, page)).toBe(-ENXIO);
      expect(native.memoryFromFd(file, 2n ** 63n - page, page)).toBe(-EINVAL);
      expect(native.memoryFromFd(file, 2n ** 64n - page, 2n * page)).toBe(-EINVAL);
      expect(native.memoryFromFd(file, 1n, page)).toBe(-EINVAL);
      expect(native.memoryFromFd(file, 0n, 1n)).toBe(-EINVAL);
      expect(native.memoryFromFd(file, 0n, 0n)).toBe(-EINVAL);
      expect(native.memoryFromFd(readOnly, 0n, page)).toBe(-EACCES);
      expect(native.memoryFromFd(directory, 0n, page)).toBe(-ENODEV);
      expect(native.memoryFromFd(event, 0n, page)).toBe(-ENODEV);
      expect(native.memoryFromFd(-1, 0n, page)).toBe(-EBADF);
      expect(openDescriptors()).toBe(descriptors);

      const memory = native.memoryFromFd(file, page, page);
      native.memoryWrite(memory, 2n, Uint8Array.of(9));
      expect(readFileSync(name)[4098]).toBe(9);
      expect(mappings(name)).toHaveLength(1);
      native.memoryUnmap(memory);
      expect(mappings(name)).toHaveLength(0);

      const zeroes = native.memoryFromFd(zero, 0n, page);
      expect(bytesOf(native, zeroes, 0n, 1)).toEqual([0]);
      native.memoryUnmap(zeroes);
      expect(openDescriptors()).toBe(descriptors);
    } finally {
      for (const fd of [file, readOnly, directory, zero]) closeSync(fd);
      native.close(event);
      rmSync(folder, { recursive: true });
    }
  });
});
