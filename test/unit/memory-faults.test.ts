import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { describe, expect, it } from 'vitest';

import { memoryFlags } from '../../lib/abi/memory.js';
import { type Doorbell, EventFd, GuestMemory, MshvError } from '../../lib/index.js';
import { failAt, type Fault, type RecordedCall } from '../fake-native.js';
import { openDescriptors } from '../open-descriptors.js';
import { FakeHost } from './fake-host.js';

// Every operation on guest memory and doorbells with every one of its system calls failing. The calls are not
// listed here: each operation is run once to see them. Afterwards the objects say what they said before, the driver
// has what they say, nothing is left open or mapped, and the operation succeeds when it is tried again.

const { EBADF, EINTR, EINVAL, EIO, EMFILE, ENOENT, ENOMEM } = constants.errno;
const errnos = [EBADF, EINTR, EINVAL, EIO, EMFILE, ENOMEM];

const sharedMappings = (): number =>
  readFileSync('/proc/self/maps', 'latin1').split('memfd:mshv_memory').length - 1;

/** A host with memory in use and out of it, and with doorbells. */
class Situation extends FakeHost {
  readonly #descriptors: number;
  readonly #mappings = sharedMappings();
  readonly #options = { native: this.native };
  /** Mapped twice. */
  readonly memory = GuestMemory.allocate(0x8000, this.#options);
  readonly low = this.partition.mapMemory(this.memory, { gpa: 0x10000, size: 0x4000 });
  readonly high = this.partition.mapMemory(this.memory, {
    gpa: 0x14000,
    offset: 0x4000,
    writable: false,
    name: 'ROM',
  });
  /** Closed, and mapped once. */
  readonly orphan = GuestMemory.allocate(0x1000, { ...this.#options, shared: true });
  readonly orphaned = this.partition.mapMemory(this.orphan, { gpa: 0x100000 });
  readonly unmapped = GuestMemory.allocate(0x3000, { ...this.#options, shared: true });
  readonly token = this.unmapped.share();
  readonly event = EventFd.create(this.#options);
  readonly ringing = this.partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 1 });
  readonly wildcard = this.partition.registerDoorbell({ gpa: 0xfe000000, event: this.event });
  readonly made: { close(): void }[] = [];

  constructor() {
    const descriptors = openDescriptors();
    super();
    this.#descriptors = descriptors;
    this.orphan.close();
    this.unmapped.write(0x1000, Uint8Array.of(1, 2, 3));
  }

  /** Everything that can be seen. */
  memoryState() {
    const { partition, driver, native } = this;
    return {
      mappings: partition.mappings.map(({ gpa, size, offset, writable, executable, name }) => ({
        ...{ gpa, size, offset, writable, executable, name },
      })),
      doorbells: partition.doorbells.map(({ gpa, size, match, event, closed }) => ({
        ...{ gpa, size, match, closed, eventClosed: event.closed },
      })),
      memories: [this.memory, this.orphan, this.unmapped].map(
        ({ size, closed, mappings, shared }) => ({ size, closed, mappings, shared }),
      ),
      mapped: [this.low, this.high, this.orphaned].map(({ mapped }) => mapped),
      content: this.unmapped.closed ? undefined : this.unmapped.read(0x1000, 4).join(),
      driver: {
        mappings: driver.memory.mappings.length,
        doorbells: driver.doorbells.all.length,
      },
      inProcess: native.memories.size,
      sharedMappings: sharedMappings(),
      descriptors: openDescriptors(),
    };
  }

  /** Expects that the driver has of memory and doorbells exactly what the partition says. */
  expectMemoryAgreement(): void {
    const { partition, driver, native } = this;
    expect(native.violations).toEqual([]);
    const flagsOf = ({ writable, executable }: { writable: boolean; executable: boolean }) =>
      (writable ? memoryFlags.WRITABLE : 0) | (executable ? memoryFlags.EXECUTABLE : 0);
    expect(
      [...driver.memory.mappings]
        .sort((one, other) => Number(one.gpa - other.gpa))
        .map(({ gpa, size, offset, flags }) => ({ gpa, size, offset, flags })),
    ).toEqual(
      partition.mappings.map((mapping) => ({
        gpa: mapping.gpa,
        size: BigInt(mapping.size),
        offset: BigInt(mapping.offset),
        flags: flagsOf(mapping),
      })),
    );
    const byText = (one: string, other: string): number => (one < other ? -1 : 1);
    const text = (gpa: bigint, size: number, match: bigint | undefined): string =>
      `${gpa}/${size}/${match}`;
    expect(
      driver.doorbells.all.map(({ gpa, size, match }) => text(gpa, size, match)).sort(byText),
    ).toEqual(
      partition.doorbells.map(({ gpa, size, match }) => text(gpa, size, match)).sort(byText),
    );
  }

  act(operation: Operation, fault?: Fault): { calls: readonly RecordedCall[]; error: unknown } {
    this.native.record(fault);
    let error: unknown;
    try {
      const made = operation.act(this);
      if (made !== undefined) this.made.push(made);
    } catch (thrown) {
      error = thrown;
    }
    const calls = [...this.native.calls];
    this.native.record();
    return { calls, error };
  }

  override [Symbol.dispose](): void {
    for (const one of this.made) one.close();
    super[Symbol.dispose]();
    this.memory.close();
    this.unmapped.close();
    this.event.close();
    if (Atomics.load(this.token.offer, 0) === 0) {
      GuestMemory.receive(this.token, { native: this.native }).close();
    }
    expect(this.native.memories.size).toBe(0);
    expect(this.native.violations).toEqual([]);
    expect(sharedMappings()).toBe(this.#mappings);
    expect(openDescriptors()).toBe(this.#descriptors);
  }
}

interface Operation {
  readonly name: string;
  /** Its system calls where nothing fails. */
  readonly calls: string;
  /** Returns what it made, to be closed at the end. */
  act(situation: Situation): { close(): void } | undefined;
}

const file = join(tmpdir(), `mshv-memory-${process.pid}`);

const operations: readonly Operation[] = [
  {
    name: 'GuestMemory.allocate()',
    calls: 'memoryCreate',
    act: ({ native }) => GuestMemory.allocate(0x2000, { native }),
  },
  {
    name: 'GuestMemory.allocate(), shared',
    calls: 'memoryCreate',
    act: ({ native }) => GuestMemory.allocate(0x2000, { native, shared: true }),
  },
  {
    name: 'GuestMemory.fromFd()',
    calls: 'memoryFromFd',
    act: ({ native }) => {
      writeFileSync(file, new Uint8Array(0x2000));
      const fd = openSync(file, 'r+');
      unlinkSync(file);
      try {
        return GuestMemory.fromFd(fd, { native });
      } finally {
        closeSync(fd);
      }
    },
  },
  {
    name: 'memory.window()',
    calls: 'memoryFd memoryFromFd',
    act: ({ unmapped }) => unmapped.window(0x1000, 0x1000),
  },
  {
    name: 'GuestMemory.receive()',
    calls: 'adopt memoryFromFd',
    act: ({ token, native }) => GuestMemory.receive(token, { native }),
  },
  {
    name: 'memory.share()',
    calls: 'memoryFd dup',
    act: ({ unmapped, native }) => {
      const token = unmapped.share();
      return {
        close: () => {
          GuestMemory.receive(token, { native }).close();
        },
      };
    },
  },
  {
    name: 'memory.buffer',
    calls: 'memoryBuffer',
    act: ({ memory }) => {
      expect(memory.buffer.byteLength).toBe(0x8000);
      return undefined;
    },
  },
  {
    name: 'mapMemory()',
    calls: 'mapMemory',
    act: ({ partition, unmapped }) => {
      partition.mapMemory(unmapped, { gpa: 0x200000 });
      return undefined;
    },
  },
  {
    name: 'mapMemory() between two mappings',
    calls: 'mapMemory',
    act: ({ partition, memory }) => {
      partition.mapMemory(memory, { gpa: 0x18000, executable: false });
      return undefined;
    },
  },
  {
    name: 'unmap()',
    calls: 'mapMemory',
    act: ({ low }) => {
      low.unmap();
      return undefined;
    },
  },
  {
    name: 'unmap() of memory that is closed',
    calls: 'mapMemory',
    act: ({ orphaned }) => {
      orphaned.unmap();
      return undefined;
    },
  },
  {
    name: 'unmapMemory()',
    calls: 'mapMemory',
    act: ({ partition }) => {
      partition.unmapMemory({ gpa: 0x14000, size: 0x4000 });
      return undefined;
    },
  },
  {
    name: 'dirtyPages()',
    calls: 'hypercall',
    act: ({ partition }) => {
      expect(partition.dirtyPages({ gpa: 0x10000, size: 0x8000 }).count).toBe(0);
      return undefined;
    },
  },
  {
    name: 'accessedPages() with clear',
    calls: 'accessBitmap',
    act: ({ partition }) => {
      expect(partition.accessedPages({ gpa: 0x10000, size: 0x8000, clear: true }).pageCount).toBe(
        8,
      );
      return undefined;
    },
  },
  {
    name: 'registerDoorbell()',
    calls: 'eventfdCreate ioeventfd',
    act: ({ partition }) => partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 2 }),
  },
  {
    name: 'registerDoorbell() on an eventfd',
    calls: 'dup ioeventfd',
    act: ({ partition, event }) => partition.registerDoorbell({ gpa: 0xfe000000, size: 8, event }),
  },
  {
    name: 'close() of a doorbell',
    calls: 'ioeventfd',
    act: ({ ringing }) => {
      ringing.close();
      return undefined;
    },
  },
];

const ioctls = {
  mapMemory: 'MSHV_SET_GUEST_MEMORY',
  ioeventfd: 'MSHV_IOEVENTFD',
  accessBitmap: 'MSHV_GET_GPAP_ACCESS_BITMAP',
  hypercall: 'MSHV_ROOT_HVCALL',
} as const;

function ioctlOf(call: RecordedCall | undefined): object {
  const name = call?.name;
  return name !== undefined && Object.hasOwn(ioctls, name)
    ? { ioctl: ioctls[name as keyof typeof ioctls] }
    : {};
}

/** What an operation does where nothing fails. */
function flawless(operation: Operation) {
  using situation = new Situation();
  const { calls, error } = situation.act(operation);
  if (error !== undefined) throw new Error(`${operation.name} fails by itself`, { cause: error });
  situation.expectMemoryAgreement();
  return { calls, after: situation.memoryState() };
}

// A hypercall that a signal kept from beginning is tried again inside.
const errnosOf = (call: RecordedCall | undefined): readonly number[] =>
  call?.name === 'hypercall' ? errnos.filter((errno) => errno !== EINTR) : errnos;

describe.each(operations.map((operation) => [operation.name, operation] as const))(
  '%s',
  (_, operation) => {
    const { calls, after } = flawless(operation);
    const steps = calls.map(({ name }, step): [string, number] => [
      `call ${step + 1} of ${calls.length}, ${name},`,
      step,
    ]);

    it('makes these calls and no more', () => {
      expect(calls.map(({ name }) => name).join(' ')).toBe(operation.calls);
    });

    it.each(steps)('leaves all as it was where %s fails', (_, step) => {
      for (const errno of errnosOf(calls[step])) {
        using situation = new Situation();
        const before = situation.memoryState();
        const { error } = situation.act(operation, failAt(errno, step));
        expect(error).toBeInstanceOf(MshvError);
        expect(error).toMatchObject({
          code: getSystemErrorName(-errno),
          errno: -errno,
          ...ioctlOf(calls[step]),
        });
        expect(situation.memoryState()).toEqual(before);
        situation.expectMemoryAgreement();

        expect(situation.act(operation).error).toBeUndefined();
        expect(situation.memoryState()).toEqual(after);
        situation.expectMemoryAgreement();
      }
    });
  },
);

describe('what somebody else took away', () => {
  it('is unmapped, with an error that says so', () => {
    using situation = new Situation();
    const { driver, native, orphaned, partition } = situation;
    const before = native.memories.size;
    driver.memory.mappings.splice(
      driver.memory.mappings.findIndex(({ gpa }) => gpa === orphaned.gpa),
      1,
    );
    expect(() => {
      orphaned.unmap();
    }).toThrow(expect.objectContaining({ errno: -ENOENT, ioctl: 'MSHV_SET_GUEST_MEMORY' }));
    expect(orphaned.mapped).toBe(false);
    expect(partition.mappings).not.toContain(orphaned);
    expect(native.memories.size).toBe(before - 1);
    situation.expectMemoryAgreement();
    native.record();
    orphaned.unmap();
    expect(native.calls).toEqual([]);
  });

  it('rings no more, with an error that says so', () => {
    using situation = new Situation();
    const { driver, partition, ringing } = situation;
    const before = openDescriptors();
    driver.doorbells.all.splice(0, 1);
    expect(() => {
      ringing.close();
    }).toThrow(expect.objectContaining({ errno: -ENOENT, ioctl: 'MSHV_IOEVENTFD' }));
    expect([ringing.closed, ringing.event.closed]).toEqual([true, true]);
    expect(openDescriptors()).toBe(before - 1);
    expect(partition.doorbells).not.toContain(ringing);
    situation.expectMemoryAgreement();
    partition.registerDoorbell({ gpa: ringing.gpa, size: ringing.size, match: 1 });
  });
});

describe('partition.close()', () => {
  const close = (fault?: Fault) => {
    using situation = new Situation();
    const { native, partition, low, high, orphaned, ringing, wildcard, event, memory } = situation;
    const doorbells: readonly Doorbell[] = [ringing, wildcard];
    native.record(fault);
    let error: unknown;
    try {
      partition.close();
    } catch (thrown) {
      error = thrown;
    }
    const calls = [...native.calls];
    native.record();
    expect(native.partitions.size).toBe(0);
    expect(native.violations).toEqual([]);
    expect([low, high, orphaned].map(({ mapped }) => mapped)).toEqual([false, false, false]);
    expect([partition.mappings, partition.doorbells]).toEqual([[], []]);
    expect(doorbells.map((one) => one.closed && one.event.closed)).toEqual([true, true]);
    // The caller's own stay; what was closed before is gone.
    expect([event.closed, memory.closed, memory.mappings]).toEqual([false, false, 0]);
    expect(native.memories.size).toBe(2);
    return { calls, error };
  };

  it('takes the doorbells away, and lets go of the memory without another call', () => {
    const { calls, error } = close();
    expect(error).toBeUndefined();
    expect(calls.map(({ name }) => name)).toEqual(['ioeventfd', 'ioeventfd']);
  });

  it.each(errnos.map((errno) => [getSystemErrorName(-errno), errno] as const))(
    'closes all the same where doorbells cannot be taken away: %s',
    (code, errno) => {
      const { error } = close((name) => (name === 'ioeventfd' ? errno : undefined));
      const one = { code, ioctl: 'MSHV_IOEVENTFD' };
      expect(error).toMatchObject({ code: 'ERR_MSHV_CLOSE', cause: { errors: [one, one] } });
    },
  );
});
