import { randomFill } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  createWriteStream,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import * as fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { deflate, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

import { GuestMemory, type Partition } from '../../../lib/index.js';
import { linuxNative, type Native } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import { addressSpace } from '../../address-space.js';
import { BlockedPipe } from '../../blocked-pipe.js';
import { collectGarbage } from '../../collect-garbage.js';
import { runToSignal } from '../../scenario-run.js';
import { typescriptWorker } from '../../typescript-program.js';
import type { ReadWork } from '../programs/reading-worker.js';

const size = 1 << 16;
const GiB = 2 ** 30;
const hasTransfer = 'transfer' in ArrayBuffer.prototype;

const read = promisify(fs.read);
const write = promisify(fs.write);
const readv = promisify(fs.readv);

/** A file of the host that memory is a part of, and what it holds. */
class File implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  readonly #name = join(this.#folder, 'memory');
  readonly fd = openSync(this.#name, 'w+');

  constructor() {
    ftruncateSync(this.fd, size);
  }

  get bytes(): Uint8Array {
    return readFileSync(this.#name);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    rmSync(this.#folder, { recursive: true });
  }
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** Memory that the freed addresses would be taken for, had they been freed. */
const nextMemories = (): GuestMemory[] =>
  Array.from({ length: 4 }, () => GuestMemory.allocate(size));

function expectNobodys(memories: readonly GuestMemory[]): void {
  for (const memory of memories) {
    expect(isZero(memory.read(0, size))).toBe(true);
    memory.close();
  }
}

interface Reading {
  /** What the thread reads into. */
  readonly into?: Uint8Array;
  /** Closes it in a way of its own. */
  readonly close?: () => void;
  /** Those who share the memory. */
  readonly others?: readonly GuestMemory[];
}

/** Closes memory while a thread reads into it: what it has read is nobody's. */
async function expectNobodysRead(
  memory: GuestMemory,
  { into = memory.bytes(), close, others = [] }: Reading = {},
): Promise<void> {
  using pipe = new BlockedPipe();
  const reading = read(pipe.fd, into, 0, size, null);
  const bytes = memory.bytes();
  if (close === undefined) memory.close();
  else close();
  expect(bytes.length).toBe(0);
  const next = nextMemories();
  pipe.feed(size);
  expect((await reading).bytesRead).toBeGreaterThan(0);
  expectNobodys([...next, ...others]);
}

describe.each<[string, Native]>([
  ['mshv', linuxNative()],
  ['mshv_sim', Simulator.native],
])('memory of %s that is closed while a thread writes into it', (_, native) => {
  it.each<[string, () => GuestMemory]>([
    ['private', () => GuestMemory.allocate(size, { native })],
    ['shared', () => GuestMemory.allocate(size, { native, shared: true })],
    ['private and huge', () => GuestMemory.allocate(size, { native, hugePages: true })],
    [
      'shared and huge',
      () => GuestMemory.allocate(size, { native, hugePages: true, shared: true }),
    ],
  ])('keeps its addresses, and its pages are gone: %s', async (_, allocate) => {
    await expectNobodysRead(allocate());
  });

  it('leaves the file behind it and those who share it alone', async () => {
    using pipe = new BlockedPipe();
    using file = new File();
    const memory = GuestMemory.fromFd(file.fd, { native });
    using received = GuestMemory.receive(memory.share(), { native });
    const window = received.window(0, 4096);
    // As much as each is fed: one that takes more would leave nothing to the other.
    const reading = [memory, window].map((one) => read(pipe.fd, one.bytes(), 0, 4096, null));
    memory.close();
    window.close();
    pipe.feed(4096);
    pipe.feed(4096);
    await Promise.all(reading);
    expect(isZero(file.bytes)).toBe(true);
    expect(isZero(received.bytes())).toBe(true);
  });

  it('is the guest’s until the last unmap, and nobody’s then', async () => {
    using pipe = new BlockedPipe();
    using simulator = new Simulator();
    using partition: Partition = simulator.open().createPartition();
    partition.initialize();
    const memory = GuestMemory.allocate(size, { native: Simulator.native });
    const mapped = partition.mapMemory(memory, { gpa: 0 });
    const bytes = memory.bytes();
    const first = read(pipe.fd, bytes, 0, 1, null);
    const second = read(pipe.fd, bytes, 4096, 4096, null);
    memory.close();
    expect(bytes.length).toBe(0);
    pipe.feed(1);
    await Promise.race([first, second]);
    const seen = new Uint8Array(4097);
    partition.readMemory(0n, seen);
    expect(isZero(seen)).toBe(false);
    mapped.unmap();
    const next = nextMemories();
    pipe.feed(4096);
    await Promise.all([first, second]);
    expectNobodys(next);
  });
});

describe('memory that is closed where the host refuses what its pages are replaced by', () => {
  const native = simNative();

  /** Closes it with the nth call failing. Returns the calls that closing makes. */
  const closeFailing = (memory: GuestMemory, nth: number): string[] => {
    native.simFailSystemCall(nth < 0 ? 0 : constants.errno.ENOMEM, Math.max(nth, 0));
    memory.close();
    return native.simSystemCalls().trim().split(' ');
  };

  const file = ['memfd_create', 'ftruncate', 'fcntl', 'mmap'];
  const anonymous = ['mmap'];

  it.each<[string, boolean, calls: string[], otherWay: string[]]>([
    ['shared', true, file, anonymous],
    ['private', false, anonymous, file],
  ])('is nobody’s all the same: %s', async (_, shared, calls, otherWay) => {
    for (let nth = -1; nth < calls.length; nth++) {
      const memory = GuestMemory.allocate(size, { native, shared });
      using others = shared ? GuestMemory.receive(memory.share(), { native }) : undefined;
      let made: string[] = [];
      await expectNobodysRead(memory, {
        close: () => (made = closeFailing(memory, nth)),
        others: others === undefined ? [] : [others],
      });
      // Those up to the one that fails, and the other way after it.
      const before = calls.slice(0, nth < 0 ? undefined : nth + 1);
      expect(made).toEqual(nth < 0 ? before : [...before, ...otherWay]);
    }
  });
});

describe('memory that is closed while it is used', () => {
  it.each<[string, (file: FileHandle, bytes: Uint8Array) => Promise<unknown>]>([
    ['fs.read()', ({ fd }, bytes) => read(fd, bytes, 0, bytes.length, null)],
    ['fs.readv()', ({ fd }, bytes) => readv(fd, [bytes.subarray(0, 4096), bytes.subarray(4096)])],
    ['read() of a FileHandle', (file, bytes) => file.read(bytes, 0, bytes.length)],
    ['readv() of a FileHandle', (file, bytes) => file.readv([bytes])],
  ])('has its addresses until then, whatever garbage is collected: %s', async (_, use) => {
    using pipe = new BlockedPipe();
    await collectGarbage();
    const before = addressSpace().size;
    const file = await open(`/proc/self/fd/${pipe.fd}`, 'r+');
    const readAndClose = async (): Promise<void> => {
      const memory = GuestMemory.allocate(2 * GiB);
      const reading = use(file, memory.bytes(0, size));
      memory.close();
      await reading;
    };
    const reading = readAndClose();
    // Where it fails at once, nobody awaits it yet.
    reading.catch(() => undefined);
    await collectGarbage();
    await collectGarbage();
    expect(addressSpace().size - before).toBeGreaterThan(1.5 * GiB);
    pipe.feed(size);
    await reading;
    await file.close();
    await collectGarbage();
    expect(addressSpace().size - before).toBeLessThan(GiB / 2);
  });

  it('reads as zeroes, in a snapshot that is being written', async () => {
    using pipe = new BlockedPipe();
    pipe.fill();
    const memory = GuestMemory.allocate(size);
    memory.fill(7);
    const writing = write(pipe.fd, memory.bytes(0, 4096));
    const stream = createWriteStream('', { fd: pipe.fd, autoClose: false });
    const written = once(stream, 'finish');
    stream.end(memory.bytes(4096, 4096));
    // A stream begins in a turn of the loop.
    await setImmediate();
    memory.close();
    let zeroes = 0;
    while (zeroes < 8192) {
      for (const byte of pipe.drain()) {
        expect(byte).not.toBe(7);
        if (byte === 0) zeroes++;
      }
      await setImmediate();
    }
    await Promise.all([writing, written]);
  });

  it('ends crypto and zlib in pages of nobody', async () => {
    const memory = GuestMemory.allocate(16 << 20);
    const filling = promisify(randomFill)(memory.bytes());
    // No more than Node does in one step: it refuses to take the next one from a buffer that is detached.
    const plain = GuestMemory.allocate(size);
    const deflating = promisify(deflate)(plain.bytes());
    for (const one of [memory, plain]) one.close();
    const next = nextMemories();
    await filling;
    expect(inflateSync(await deflating)).toHaveLength(size);
    expectNobodys(next);
  });
});

describe.runIf(hasTransfer)(
  'memory whose buffer was transferred (needs ArrayBuffer.prototype.transfer: Node 22)',
  () => {
    const transferred = (memory: GuestMemory): ArrayBuffer => {
      const { buffer } = memory;
      return Reflect.apply(Reflect.get(buffer, 'transfer') as () => ArrayBuffer, buffer, []);
    };

    it('has its pages given back, and its addresses kept, whatever garbage is collected', async () => {
      await collectGarbage();
      const before = addressSpace();
      const memory = GuestMemory.allocate(GiB);
      memory.fill(7, 0, 64 << 20);
      const moved = transferred(memory);
      expect(new Uint8Array(moved)[1]).toBe(7);
      memory.close();
      expect(addressSpace().resident - before.resident).toBeLessThan(32 << 20);
      expect(isZero(new Uint8Array(moved, 0, 4096))).toBe(true);
      await collectGarbage();
      // Still there: V8 would not notice.
      new Uint8Array(moved)[GiB - 1] = 1;
      expect(addressSpace().size - before.size).toBeGreaterThan(GiB / 2);
    });

    it('leaves what is read into the buffer that it was moved to to nobody', async () => {
      const memory = GuestMemory.allocate(size, { shared: true });
      using shared = GuestMemory.receive(memory.share());
      const into = new Uint8Array(transferred(memory));
      await expectNobodysRead(memory, { into, others: [shared] });
    });
  },
);

describe('memory whose buffer is marked as untransferable', () => {
  it('is closed, or stays open where nobody can detach the buffer', async () => {
    const program = new URL('../programs/marked-memory.ts', import.meta.url);
    const { said, signal } = await runToSignal(program);
    // It ends itself: Node would, over such a buffer.
    expect(signal).toBe('SIGKILL');
    const [major = 0] = process.versions.node.split('.').map(Number);
    expect(said).toEqual(
      major < 24 ? ['closed', 'closed', '0'] : ['ERR_MSHV_UNTRANSFERABLE', '7', '1'],
    );
  });
});

describe('memory of a Worker', () => {
  const start = async (work: ReadWork): Promise<Worker> => {
    const worker = typescriptWorker(new URL('../programs/reading-worker.ts', import.meta.url), {
      workerData: work,
    });
    await once(worker, 'message');
    return worker;
  };

  it.each([
    ['that closes it', true],
    ['that is terminated', false],
  ])('is nobody’s after its end, whatever still writes into it: %s', async (_, closes) => {
    using pipe = new BlockedPipe();
    using memory = GuestMemory.allocate(size, { shared: true });
    const worker = await start({ token: memory.share(), fd: pipe.fd, closes });
    const ended = worker.terminate();
    const next = nextMemories();
    // Node waits for its threads before a Worker ends: until then the memory is the Worker's where it is open.
    pipe.feed(size);
    await ended;
    expectNobodys(next);
    expect(isZero(memory.bytes())).toBe(closes);
  });

  it('goes on where the one who shared it closes, and is written into', async () => {
    using pipe = new BlockedPipe();
    const memory = GuestMemory.allocate(size, { shared: true });
    const worker = await start({ token: memory.share(), fd: pipe.fd, closes: false });
    const read = once(worker, 'message');
    memory.close();
    pipe.feed(1);
    expect(await read).toEqual([255]);
    await worker.terminate();
  });
});

describe('a page of a VP', () => {
  it('that is closed while a thread writes into it is nobody’s', async () => {
    const { native } = Simulator;
    using pipe = new BlockedPipe();
    using simulator = new Simulator();
    using partition: Partition = simulator.open().createPartition();
    partition.initialize();
    using other = partition.createVp(1);
    const pages = [0, 1].map((number) => {
      const vp = native.createVp(partition.fd, 2 + number);
      native.close(native.vpAttach(vp, -1));
      const page = native.vpPage(vp, number);
      if (typeof page === 'number') throw new Error(`vpPage(): ${page}`);
      const reading = read(pipe.fd, new Uint8Array(page), 0, 4096, null);
      native.close(vp);
      expect(page.byteLength).toBe(0);
      return reading;
    });
    const valid = other.registerPage?.valid;
    const next = nextMemories();
    pipe.feed(4096);
    pipe.feed(4096);
    for (const reading of pages) expect((await reading).bytesRead).toBe(4096);
    expect(other.registerPage?.valid).toBe(valid);
    expectNobodys(next);
  });
});
