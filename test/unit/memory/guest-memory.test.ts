import { constants as bufferLimits } from 'node:buffer';
import { once } from 'node:events';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { GuestMemory, type GuestMemoryToken } from '../../../lib/index.js';
import { linuxNative, type Native } from '../../../lib/native.js';
import { hasExternalBuffers } from '../../external-buffers.js';
import { mappings } from '../../mappings.js';
import { openDescriptors } from '../../open-descriptors.js';
import { typescriptWorker } from '../../typescript-program.js';

const { EMFILE, ENOMEM } = constants.errno;
const GiB = 2 ** 30;
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

/** How often the memory of memfds is mapped. */
const mapped = (): number => mappings(/memfd:mshv_memory/).length;

let descriptors = 0;
beforeEach(() => {
  descriptors = openDescriptors();
});
afterEach(() => {
  expect(openDescriptors()).toBe(descriptors);
  expect(mapped()).toBe(0);
});

describe('memory that is closed', () => {
  it('has empty views, throws, and is not mapped', () => {
    const memory = GuestMemory.allocate(8192, { shared: true });
    expect(memory.buffer).toBe(memory.buffer);
    const views = [memory.view(Uint8Array), memory.view(BigUint64Array, 8, 3)];
    expect(views.map(({ length }) => length)).toEqual([8192, 3]);
    expect(mapped()).toBe(1);
    memory.close();
    memory.close();
    expect(views.map(({ length }) => length)).toEqual([0, 0]);
    expect(memory).toMatchObject({ closed: true, size: 8192 });
    for (const use of [
      () => memory.buffer,
      () => memory.view(Uint8Array),
      () => memory.read(0, 1),
      () => {
        memory.write(0, new Uint8Array(1));
      },
      () => memory.share(),
    ])
      expect(use).toThrow(code('ERR_MSHV_CLOSED'));
    expect(inspect(memory)).toBe(
      'GuestMemory { size: 0x2000, shared: true, mappings: 0, closed: true }',
    );
  });

  it('was not lost to a transfer before', () => {
    using memory = GuestMemory.allocate(4096, { shared: true });
    const { buffer } = memory;
    let copy: ArrayBuffer | undefined;
    try {
      copy = structuredClone(buffer, { transfer: [buffer] });
    } catch {
      // Later versions of Node refuse.
    }
    expect(buffer.byteLength).toBe(4096);
    memory.write(0, Uint8Array.of(1));
    expect(new Uint8Array(buffer)[0]).toBe(1);
    expect(new Uint8Array(copy ?? new ArrayBuffer(1))[0]).toBe(0);
  });

  it.runIf('transfer' in ArrayBuffer.prototype)(
    'leaves zeroes in what its buffer was moved to, and made another buffer (needs ArrayBuffer.prototype.transfer: Node 22)',
    () => {
      const memory = GuestMemory.allocate(4096, { shared: true });
      const { buffer } = memory;
      const moved = Reflect.apply(Reflect.get(buffer, 'transfer') as () => ArrayBuffer, buffer, []);
      expect(buffer.byteLength).toBe(0);
      expect(memory.buffer.byteLength).toBe(4096);
      expect(memory.buffer).toBe(memory.buffer);
      memory.write(0, Uint8Array.of(1));
      memory.bytes()[1] = 2;
      const bytes = memory.bytes();
      memory.close();
      expect(bytes.length).toBe(0);
      expect([...new Uint8Array(moved, 0, 3)]).toEqual([0, 0, 0]);
      expect(mapped()).toBe(0);
    },
  );
});

describe('large memory', () => {
  it('is read and written beyond 4 GiB, without a view where the runtime has none so large', () => {
    using memory = GuestMemory.allocate(8 * GiB, { hugePages: true });
    for (const offset of [2 * GiB - 2, 4 * GiB - 2, 4 * GiB, 8 * GiB - 4]) {
      memory.write(offset, Uint8Array.of(1, 2, 3, 4));
      expect([...memory.read(offset, 4)]).toEqual([1, 2, 3, 4]);
    }
    // Another page, had the offset been cut to 32 bits.
    expect([...memory.read(4, 4)]).toEqual([0, 0, 0, 0]);
    if (!hasExternalBuffers || bufferLimits.MAX_LENGTH < 8 * GiB) {
      for (const view of [() => memory.buffer, () => memory.view(Uint8Array, 0, 1)])
        expect(view).toThrow(
          expect.objectContaining({
            code: 'ENOTSUP',
            message: expect.stringContaining('use read(), write() or window()') as unknown,
          }),
        );
    } else {
      expect([...memory.view(Uint8Array, 8 * GiB - 4)]).toEqual([1, 2, 3, 4]);
    }
    if (bufferLimits.MAX_LENGTH < 8 * GiB) {
      expect(() => memory.read(0, bufferLimits.MAX_LENGTH + 1)).toThrow(code('ERR_OUT_OF_RANGE'));
    }
    memory.fill(9, 4 * GiB - 1, 2);
    expect([...memory.read(4 * GiB - 2, 4)]).toEqual([1, 9, 9, 2]);
    expect(() => memory.read(8 * GiB - 4, 5)).toThrow(code('ERR_OUT_OF_RANGE'));
  });

  it('is shared beyond 4 GiB', () => {
    using memory = GuestMemory.allocate(6 * GiB, { shared: true });
    using other = GuestMemory.receive(memory.share());
    memory.write(6 * GiB - 1, Uint8Array.of(7));
    expect([...other.read(6 * GiB - 1, 1)]).toEqual([7]);
    // A Node without buffers of that size has one for a part.
    using end = memory.window(6 * GiB - 4096, 4096);
    expect(hasExternalBuffers ? end.bytes(4095) : end.read(4095, 1)).toEqual(Uint8Array.of(7));
  });

  it('is refused where the address space has no room', () => {
    for (const shared of [false, true])
      expect(() => GuestMemory.allocate(2 ** 47, { shared })).toThrow(code('ENOMEM'));
  });
});

describe('memory of a file', () => {
  it('is the part of it that was asked for, or the rest', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mshv-'));
    const name = join(folder, 'memory');
    const fd = openSync(name, 'w+');
    const readOnly = openSync(name, 'r');
    try {
      ftruncateSync(fd, 3 * 4096 + 5);
      using rest = GuestMemory.fromFd(fd, { offset: 4096 });
      using part = GuestMemory.fromFd(fd, { offset: 8192, size: 4096 });
      expect([rest.size, part.size, rest.shared]).toEqual([8192, 4096, true]);
      rest.write(4096, Uint8Array.of(9));
      expect([...part.read(0, 1)]).toEqual([9]);
      expect(readFileSync(name)[8192]).toBe(9);
      using received = GuestMemory.receive(part.share());
      expect([...received.read(0, 1)]).toEqual([9]);
      expect(() => GuestMemory.fromFd(fd, { offset: 8192, size: 8192 })).toThrow(code('ENXIO'));
      expect(() => GuestMemory.fromFd(fd, { offset: 12288 })).toThrow(
        expect.objectContaining({
          code: 'ERR_OUT_OF_RANGE',
          message: expect.stringMatching(
            /received offset 12288, of a file with 12293 bytes$/,
          ) as unknown,
        }),
      );
      expect(() => GuestMemory.fromFd(readOnly)).toThrow(
        expect.objectContaining({
          code: 'EACCES',
          message: expect.stringMatching(/open for reading and writing$/) as unknown,
        }),
      );
    } finally {
      closeSync(fd);
      closeSync(readOnly);
      rmSync(folder, { recursive: true });
    }
    expect(() => GuestMemory.fromFd(2 ** 20)).toThrow(code('EBADF'));
  });
});

describe('a window', () => {
  it('is the same pages, closed on its own, and can be shared', () => {
    const memory = GuestMemory.allocate(0x4000, { shared: true });
    using window = memory.window(0x1000, 0x2000);
    using inner = window.window(0x1000, 0x1000);
    using received = GuestMemory.receive(inner.share());
    memory.write(0x2000, Uint8Array.of(5));
    memory.close();
    expect(window.read(0x1000, 1)).toEqual(Uint8Array.of(5));
    for (const part of [inner, received]) expect(part.read(0, 1)).toEqual(Uint8Array.of(5));
    expect([window.size, inner.size]).toEqual([0x2000, 0x1000]);
    using lonely = GuestMemory.allocate(0x1000);
    expect(() => lonely.window(0, 0x1000)).toThrow(code('ERR_MSHV_NOT_SHARED'));
  });
});

describe('a token', () => {
  const start = async (token: GuestMemoryToken): Promise<[Worker, unknown]> => {
    const worker = typescriptWorker(new URL('../programs/memory-worker.ts', import.meta.url), {
      workerData: token,
    });
    const [first] = (await once(worker, 'message')) as [unknown];
    return [worker, first];
  };

  it('gives a Worker the same memory, once, whoever closes first', async () => {
    const memory = GuestMemory.allocate(8192, { shared: true });
    memory.write(0, Uint8Array.of(3));
    const [worker, first] = await start(memory.share());
    const [other] = await start(memory.share());
    expect(first).toEqual({ size: 8192, shared: true, second: 'ERR_MSHV_TOKEN_TAKEN' });
    worker.postMessage('double');
    expect(await once(worker, 'message')).toEqual([6]);
    expect([...memory.read(0, 1)]).toEqual([6]);
    // The one that shared it closes; the others have it still.
    memory.close();
    other.postMessage('double');
    expect(await once(other, 'message')).toEqual([12]);
    // A terminated Worker leaves nothing.
    expect(mapped()).toBe(2);
    await worker.terminate();
    expect(mapped()).toBe(1);
    await other.terminate();
  });

  it('can be received by its sender, and passed on', () => {
    using memory = GuestMemory.allocate(4096, { shared: true });
    const token = memory.share();
    using received = GuestMemory.receive(token);
    expect(() => GuestMemory.receive(token)).toThrow(code('ERR_MSHV_TOKEN_TAKEN'));
    using again = GuestMemory.receive(received.share());
    again.write(0, Uint8Array.of(1));
    expect([...memory.read(0, 1)]).toEqual([1]);
    received.close();
    expect([...again.read(0, 1)]).toEqual([1]);
  });

  it('is not to be had of memory that is this process’s alone', () => {
    using memory = GuestMemory.allocate(4096);
    expect(() => memory.share()).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_NOT_SHARED',
        message: 'cannot share this GuestMemory: it has no file; allocate it with shared: true',
      }),
    );
  });

  it('that could not be received can be received again', () => {
    const native = linuxNative();
    const failing = (name: keyof Native, errno: number): Native => ({
      ...native,
      [name]: () => -errno,
    });
    for (const name of ['memoryFd', 'share'] as const) {
      using unshared = GuestMemory.allocate(4096, { shared: true, native: failing(name, EMFILE) });
      const before = openDescriptors();
      expect(() => unshared.share()).toThrow(code('EMFILE'));
      expect(openDescriptors()).toBe(before);
    }
    using memory = GuestMemory.allocate(4096, { shared: true });
    const token = memory.share();
    for (const [call, errno, expected] of [
      ['receiveMemory', ENOMEM, 'ENOMEM'],
      ['receiveMemory', EMFILE, 'EMFILE'],
    ] as const) {
      const before = openDescriptors();
      expect(() => GuestMemory.receive(token, { native: failing(call, errno) })).toThrow(
        code(expected),
      );
      expect([openDescriptors(), mapped()]).toEqual([before, 1]);
    }
    GuestMemory.receive(token).close();
  });
});
