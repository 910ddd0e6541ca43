import { constants } from 'node:os';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { irqfdFlags } from '../../../lib/abi/irqfd.js';
import { EventFd, type IrqFdRoute, type Mshv, type Partition } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import type { SimNative } from '../../../lib/sim/sim-native.js';
import {
  type GuestInterrupt,
  ScriptedGuest,
  Simulator,
  type SimulatorOptions,
} from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { processThreads } from '../../process-threads.js';

const address = 0xfee00000;
const to = (vp: number): bigint => BigInt(address + (vp << 12));

let simulator: Simulator;
let device: Mshv;
let partition: Partition;
let guest: ScriptedGuest;

function start(options?: SimulatorOptions): void {
  simulator = new Simulator(options);
  device = simulator.open();
  partition = newPartition();
  guest = simulator.guest(partition, 0);
}
function newPartition(): Partition {
  const created = device.createPartition();
  created.initialize();
  created.createVp(0);
  created.createVp(1);
  return created;
}
const newRoute = (data: number, where = to(0)): IrqFdRoute =>
  partition.irqfd.newRoute({ msi: { address: where, data } });
const vectors = (from = partition): number[] =>
  simulator.interrupts(from).map(({ vector }) => vector);
const threads = (): number => processThreads().size;

beforeEach(() => {
  start();
});
afterEach(() => {
  simulator.close();
});

describe('interrupts', () => {
  it('have what the driver asserted, and the time', () => {
    const route = newRoute(0x0141, to(1) + 4n);
    const before = process.hrtime.bigint();
    route.event.signal();
    simulator.settle();
    const after = process.hrtime.bigint();
    const [interrupt, ...others] = simulator.interrupts(partition);
    expect(others).toEqual([]);
    expect(interrupt).toMatchObject({ sequence: 1n, vector: 0x41, type: 1, fast: false });
    expect(interrupt).toMatchObject({ destination: 1, level: false, logical: true });
    expect(interrupt?.time).toBeGreaterThanOrEqual(before);
    expect(interrupt?.time).toBeLessThanOrEqual(after);
  });

  it('are numbered over all partitions and taken by partition', () => {
    const first = newRoute(0x41);
    const other = newPartition();
    const second = other.irqfd.newRoute({ msi: { address: to(0), data: 0x42 } });
    for (const route of [first, second, second, first]) {
      route.event.signal();
    }
    const numbers = (from: Partition) => simulator.interrupts(from).map((one) => one.sequence);
    expect(numbers(partition)).toEqual([1n, 4n]);
    expect(numbers(other)).toEqual([2n, 3n]);
    expect(numbers(partition)).toEqual([]);
  });

  it('are kept until they are taken, one for each signal', () => {
    const route = newRoute(0x41);
    for (let i = 0; i < 1000; i++) {
      route.event.signal();
    }
    const taken = simulator.interrupts(partition);
    expect(taken.map(({ sequence }) => Number(sequence))).toEqual(
      Array.from({ length: 1000 }, (_, i) => i + 1),
    );
  });
});

describe('interrupts that nobody takes', () => {
  const most = 2 ** 18;
  const lost = (count: number): unknown =>
    expect.objectContaining({ code: 'ERR_MSHV_INTERRUPTS_LOST', lost: count });
  const signal = (count: number): void => {
    const { event } = newRoute(0x41);
    for (let i = 0; i < count; i++) event.signal();
  };
  const firstAndCount = (): unknown => {
    const taken = simulator.interrupts(partition);
    return [taken[0]?.sequence, taken.length];
  };

  it('are kept up to 2^18, and then no longer unheard', () => {
    signal(most);
    expect(firstAndCount()).toEqual([1n, most]);
    signal(most + 3);
    // Said once, by whatever is asked next; the others are there.
    expect(() => simulator.interrupts(partition)).toThrow(lost(3));
    expect(firstAndCount()).toEqual([BigInt(most + 4), most]);
    expect(simulator.interrupts(partition)).toEqual([]);
  });

  it('are counted for each partition', () => {
    const other = newPartition();
    signal(most + 1);
    expect(simulator.interrupts(other)).toEqual([]);
    expect(() => simulator.interrupts(partition)).toThrow(lost(1));
  });

  it('take nothing with them that was taken before', () => {
    const native = Simulator.native as SimNative;
    signal(256);
    const take = native.simInterrupts.bind(native);
    const spy = vi.spyOn(native, 'simInterrupts').mockImplementationOnce((fd, words) => {
      const count = take(fd, words);
      signal(most + 2);
      return count;
    });
    expect(firstAndCount()).toEqual([1n, 256]);
    spy.mockRestore();
    expect(() => simulator.interrupts(partition)).toThrow(lost(2));
    expect(firstAndCount()).toEqual([259n, most]);
  });

  it('end an iteration, which can begin anew', async () => {
    signal(most + 1);
    const watch = simulator.watchInterrupts(partition);
    await expect(watch.next()).rejects.toEqual(lost(1));
    const again = simulator.watchInterrupts(partition);
    expect((await again.next()).value).toMatchObject({ sequence: 2n });
    await again.return(undefined);
  });
});

describe('a guest that never runs', () => {
  it('can have 65536 steps before it', () => {
    const message = new Uint8Array(0);
    while (guest.pending < 65_536) simulator.queueMessage(partition, 0, message);
    expect(() => {
      simulator.queueMessage(partition, 0, message);
    }).toThrow(expect.objectContaining({ code: 'ENOBUFS' }));
    expect(() => guest.halt()).toThrow(expect.objectContaining({ code: 'ENOBUFS' }));
    expect(guest.pending).toBe(65_536);
    simulator.queueMessage(partition, 1, message);
  });
});

describe('watchInterrupts', () => {
  it('gives what was not taken yet, then what comes', async () => {
    const route = newRoute(0x41);
    route.event.signal();
    const seen: bigint[] = [];
    for await (const { sequence } of simulator.watchInterrupts(partition)) {
      seen.push(sequence);
      if (sequence === 5n) break;
      setImmediate(() => {
        route.event.signal();
      });
    }
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it.each<[string, () => void]>([
    [
      'the partition is closed',
      () => {
        partition.close();
      },
    ],
    [
      'the simulator is closed',
      () => {
        simulator.close();
      },
    ],
  ])('ends when %s', async (_, end) => {
    const descriptors = openDescriptors();
    const interrupts = simulator.watchInterrupts(partition);
    const next = interrupts.next();
    setImmediate(end);
    expect(await next).toEqual({ done: true, value: undefined });
    expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
  });

  it('ends at once where the partition is closed before it begins', async () => {
    const late = simulator.watchInterrupts(partition);
    partition.close();
    expect(await late.next()).toEqual({ done: true, value: undefined });
  });
});

describe('endOfInterrupt', () => {
  const arm = (data: number) => {
    const event = EventFd.create({ native: Simulator.native });
    const resample = EventFd.create({ native: Simulator.native });
    const { native } = Simulator;
    native.setMsiRouting(partition.fd, Uint32Array.of(1, 0, 0x41, address, 0, data));
    expect(native.irqfd(partition.fd, event.fd, resample.fd, 0x41, 2)).toBe(0);
    return { event, resample };
  };

  it('says how many resample eventfds the driver signalled', () => {
    const { resample } = arm(0x8041);
    const other = arm(0x8041);
    expect(simulator.endOfInterrupt(partition, 0, 0x41)).toEqual({ resampled: 2, cleared: 0 });
    expect(resample.tryRead()).toBe(1n);
    expect(other.resample.tryRead()).toBe(1n);
    expect(simulator.endOfInterrupt(partition, 0, 0x42)).toEqual({ resampled: 0, cleared: 0 });
  });

  it('clears the virtual interrupt where the route is ExtINT, on x64', () => {
    arm(0x8741);
    expect(simulator.endOfInterrupt(partition, 1, 0x41)).toEqual({
      resampled: 1,
      cleared: 1,
    });
  });
});

describe('failNext', () => {
  it('lets some calls pass, then fails some, before any effect', () => {
    simulator.failNext('MSHV_CREATE_VP', 'ENOMEM', { after: 1, count: 2 });
    partition.createVp(2);
    for (let i = 0; i < 2; i++) {
      expect(() => partition.createVp(3)).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    }
    partition.createVp(3);
  });

  it('fails one call where nothing else is said, with an errno by name or number', () => {
    simulator.failNext('MSHV_CREATE_PARTITION', constants.errno.EMFILE);
    expect(() => device.createPartition()).toThrow(
      expect.objectContaining({ code: 'EMFILE', ioctl: 'MSHV_CREATE_PARTITION' }),
    );
    device.createPartition();
  });

  it('replaces the plan before, and a count of 0 takes it back', () => {
    simulator.failNext('MSHV_IRQFD', 'EIO', { after: 5, count: 5 });
    simulator.failNext('MSHV_IRQFD', 'EBUSY');
    const route = partition.irqfd.newRoute();
    expect(() => {
      route.setMsi(to(0), 0x41);
    }).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(simulator.routes(partition)).toEqual([]);
    simulator.failNext('MSHV_IRQFD', 'EIO', { after: 1, count: 9 });
    simulator.failNext('MSHV_IRQFD', 'EIO', { count: 0 });
    route.setMsi(to(0), 0x41);
    route.setMsi(to(0), 0x42);
  });

  it('concerns one simulator and one ioctl', () => {
    using other = new Simulator();
    other.failNext('MSHV_CREATE_VP', 'EIO');
    simulator.failNext('MSHV_IRQFD', 'EIO');
    partition.createVp(2);
  });
});

describe('calls', () => {
  it('counts each ioctl, failures included', () => {
    const before = simulator.calls('MSHV_CREATE_VP');
    partition.createVp(2);
    expect(() => partition.createVp(2)).toThrow();
    simulator.failNext('MSHV_CREATE_VP', 'EIO');
    expect(() => partition.createVp(3)).toThrow();
    expect(simulator.calls('MSHV_CREATE_VP') - before).toBe(3);
  });
});

describe('what the driver holds', () => {
  it('is its table and its irqfds, ascending by GSI', () => {
    const [one, two, three] = [newRoute(0x41), newRoute(0x42, to(1)), newRoute(0x43)];
    one.clearMsi();
    one.setMsi(to(0), 0x44);
    two.mask();
    const level = partition.irqfd.newResampleRoute({
      vector: 0x50,
      msi: { address: to(0), data: 0xc050 },
    });
    expect(simulator.routes(partition)).toEqual([
      { gsi: level.gsi, address: to(0), data: 0xc050 },
      { gsi: one.gsi, address: to(0), data: 0x44 },
      { gsi: two.gsi, address: to(1), data: 0x42 },
      { gsi: three.gsi, address: to(0), data: 0x43 },
    ]);
    expect(simulator.irqFds(partition)).toEqual([
      { gsi: level.gsi, resample: true },
      { gsi: one.gsi, resample: false },
      { gsi: three.gsi, resample: false },
    ]);
  });
});

describe('an older driver', () => {
  it('refuses feature banks, so that partitions are v1', () => {
    using old = new Simulator({ driver: 'v1' });
    expect(old.open().createPartition().generation).toBe('v1');
    expect(() => old.open().createPartition({ nestedVirtualization: true })).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    expect(partition.generation).toBe('v2');
  });
});

describe('fast injection (x64 only)', () => {
  const fast = { scheduler: 'root', fastInjection: true } as const;

  beforeEach(() => {
    simulator.close();
    start(fast);
  });

  it('passes the vector on and nothing else', () => {
    newRoute(0x0141, to(1)).event.signal();
    expect(simulator.interrupts(partition)).toEqual([
      expect.objectContaining({
        vector: 0x41,
        destination: 1,
        type: 0,
        level: false,
        logical: false,
        fast: true,
      }),
    ]);
  });

  it('never resamples what came through a register page', () => {
    const { native } = Simulator;
    using event = EventFd.create({ native });
    using resample = EventFd.create({ native });
    // A route refuses it.
    const words = Uint32Array.of(1, 0, 0x50, Number(to(1)), 0, 0xc050);
    expect(native.setMsiRouting(partition.fd, words)).toBe(0);
    expect(native.irqfd(partition.fd, event.fd, resample.fd, 0x50, irqfdFlags.RESAMPLE)).toBe(0);
    event.signal();
    expect(vectors()).toEqual([0x50]);
    expect(simulator.endOfInterrupt(partition, 1, 0x50).resampled).toBe(0);
    expect(resample.pending).toBe(false);
  });

  it('leaves logical destinations, and what is pending when a route is armed, to the hypercall', () => {
    const logical = newRoute(0x0041, to(1) + 4n);
    logical.event.signal();
    const route = newRoute(0x42);
    route.mask();
    route.event.signal();
    route.unmask();
    expect(simulator.interrupts(partition)).toEqual([
      expect.objectContaining({ vector: 0x41, logical: true, fast: false }),
      expect.objectContaining({ vector: 0x42, fast: false }),
    ]);
  });

  it('takes an unrouted GSI for vector 0, past the end of the table too', () => {
    const { native } = Simulator;
    using event = EventFd.create({ native });
    expect(native.irqfd(partition.fd, event.fd, -1, 3, 0)).toBe(0);
    event.signal();
    expect(vectors()).toEqual([0]);
  });

  it.each<SimulatorOptions>([
    { scheduler: 'root' },
    { scheduler: 'hypervisor', fastInjection: true },
  ])('is not used with %o', (options) => {
    simulator.close();
    start(options);
    newRoute(0x0141).event.signal();
    expect(simulator.interrupts(partition)).toEqual([
      expect.objectContaining({ vector: 0x41, type: 1, fast: false }),
    ]);
  });

  it('crashes the host where the destination has no VP', () => {
    const { native } = Simulator;
    using event = EventFd.create({ native });
    const armed = newRoute(0x41);
    const words = Uint32Array.of(1, 0, 9, Number(to(7)), 0, 0x42);
    expect(native.setMsiRouting(partition.fd, words)).toBe(0);
    expect(native.irqfd(partition.fd, event.fd, -1, 9, 0)).toBe(0);
    expect(simulator.oops).toBeUndefined();
    event.signal();
    expect(simulator.oops).toMatch(/NULL pointer .* GSI 9 .* VP 7/);
    armed.event.signal();
    expect(vectors()).toEqual([]);
    expect(native.setMsiRouting(partition.fd, words)).toBe(-constants.errno.EIO);
    expect(() => device.createPartition()).toThrow(expect.objectContaining({ code: 'EIO' }));
    simulator.close();
    expect(partition.closed).toBe(true);
  });
});

describe('close', () => {
  it('takes back planned failures, which are not meant for it', () => {
    newRoute(0x41);
    simulator.failNext('MSHV_IRQFD', 'EIO', { count: 9 });
    simulator.failNext('MSHV_SET_MSI_ROUTING', 'ENOMEM');
    simulator.close();
    expect(device.closed).toBe(true);
  });

  it('closes the devices and leaves neither descriptors nor a thread', async () => {
    simulator.close();
    const before = { descriptors: openDescriptors(), threads: threads() };
    start();
    newRoute(0x41).event.signal();
    const interrupts = simulator.watchInterrupts(partition);
    await interrupts.next();
    const end = interrupts.next();
    simulator.close();
    simulator.close();
    expect(await end).toEqual({ done: true, value: undefined });
    expect(simulator.closed).toBe(true);
    expect(device.closed).toBe(true);
    expect({ descriptors: openDescriptors(), threads: threads() }).toEqual(before);
  });

  it('leaves what is open otherwise with EIO, and eventfds as ordinary ones', () => {
    const { native } = Simulator;
    const fd = native.open(simulator.path);
    const created = native.createPartition(fd, 1n, 0n);
    using event = EventFd.create({ native });
    expect(native.irqfd(created, event.fd, -1, 1, 0)).toBe(0);
    simulator.close();
    expect(native.initializePartition(created)).toBe(-constants.errno.EIO);
    expect(native.open(simulator.path)).toBe(-constants.errno.ENOENT);
    event.signal(3);
    expect(event.tryRead()).toBe(3n);
    native.close(created);
    native.close(fd);
  });

  it.each<[string, () => unknown]>([
    ['open', () => simulator.open()],
    ['interrupts', () => simulator.interrupts(partition)],
    ['watchInterrupts', () => simulator.watchInterrupts(partition)],
    ['endOfInterrupt', () => simulator.endOfInterrupt(partition, 0, 0x41)],
    [
      'failNext',
      () => {
        simulator.failNext('MSHV_IRQFD', 'EIO');
      },
    ],
    ['calls', () => simulator.calls('MSHV_IRQFD')],
    [
      'settle',
      () => {
        simulator.settle();
      },
    ],
    ['routes', () => simulator.routes(partition)],
    ['irqFds', () => simulator.irqFds(partition)],
    ['doorbells', () => simulator.doorbells(partition)],
    ['memory', () => simulator.memory(partition)],
    ['intercepts', () => simulator.intercepts(partition)],
    ['interceptResults', () => simulator.interceptResults(partition)],
    ['guest', () => simulator.guest(partition, 0)],
    ['a step of a guest', () => guest.halt()],
    ['the steps of a guest', () => guest.pending],
    [
      'queueMessage',
      () => {
        simulator.queueMessage(partition, 0, new Uint8Array(16));
      },
    ],
    ['readMemory', () => simulator.readMemory(partition, 0, 1)],
    [
      'writeMemory',
      () => {
        simulator.writeMemory(partition, 0, new Uint8Array(1));
      },
    ],
    ['writeMmio', () => simulator.writeMmio(partition, 0, 1, 0)],
    [
      'refuse',
      () => {
        simulator.refuse({ hypercall: 0x44, status: 5 });
      },
    ],
    ['oops', () => simulator.oops],
  ])('makes %s an error', (_, use) => {
    simulator.close();
    expect(use).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });
});

describe('wrong arguments', () => {
  const type = 'ERR_INVALID_ARG_TYPE';
  const range = 'ERR_OUT_OF_RANGE';
  const value = 'ERR_INVALID_ARG_VALUE';
  /** What is wrong, the argument that is named, the error's code, and the call. */
  type Row = [string, string, string, () => unknown];
  /** The rows of a method for its use of one argument. */
  type Rows = (method: string, use: (value: never) => unknown) => Row[];

  const wrong =
    (argument: string, error: string, ...values: unknown[]): Rows =>
    (method, use) =>
      values.map((value) => [
        `${method}(${inspect(value)})`,
        argument,
        error,
        () => use(value as never),
      ]);
  const both =
    (...all: Rows[]): Rows =>
    (method, use) =>
      all.flatMap((rows) => rows(method, use));
  const integers = (argument: string, least: number, most: number, orName = false): Rows =>
    both(
      wrong(argument, type, 1n, null, {}, true, ...(orName ? [] : ['1'])),
      wrong(argument, range, least - 1, most + 1, least + 0.5, NaN, Infinity),
    );
  const quantities = (argument: string, most: bigint): Rows =>
    both(
      wrong(argument, type, '1', null, {}, true),
      wrong(argument, range, -1n, -1, most + 1n, 0.5, NaN, 2 ** 53),
    );
  const pages = (argument: string): Rows =>
    both(quantities(argument, 2n ** 64n - 1n), wrong(argument, range, 0x1001n, 0x1800));
  const sizes = (...others: number[]): Rows =>
    both(wrong('size', type, '4', 4n, null, undefined), wrong('size', range, 0, 9, 1.5, ...others));
  const perPartition: Rows = (method, use) =>
    wrong('partition', type, {}, 3, null, undefined, { fd: 3 })(method, use);
  const perVp = (method: string, use: (it: never, vp: never) => unknown): Row[] => [
    ...perPartition(method, (it) => use(it, 0 as never)),
    ...integers('vp', 0, 255)(method, (vp) => use(partition as never, vp)),
    // An absent one.
    ...wrong('vp', range, 2)(method, (vp) => use(partition as never, vp)),
  ];

  const rows: Row[] = [
    ['options', 'options', type, () => new Simulator(4 as never)],
    ['a misspelt option', 'options', value, () => new Simulator({ schedular: 'root' } as never)],
    [
      'architecture',
      'options.architecture',
      range,
      () => new Simulator({ architecture: 'riscv64' as never }),
    ],
    [
      'architecture',
      'options.architecture',
      type,
      () => new Simulator({ architecture: 1 as never }),
    ],
    ['scheduler', 'options.scheduler', range, () => new Simulator({ scheduler: 'core' as never })],
    ['scheduler', 'options.scheduler', type, () => new Simulator({ scheduler: 4 as never })],
    [
      'fastInjection',
      'options.fastInjection',
      type,
      () => new Simulator({ fastInjection: 1 as never }),
    ],
    ['driver', 'options.driver', range, () => new Simulator({ driver: 'v3' as never })],
    [
      'registerPage',
      'options.registerPage',
      type,
      () => new Simulator({ registerPage: 'yes' as never }),
    ],
    ['deposits', 'options.deposits', range, () => new Simulator({ deposits: 'never' as never })],
    ['deposits', 'options.deposits', type, () => new Simulator({ deposits: true as never })],
    ...perPartition('doorbells', (it) => simulator.doorbells(it)),
    ...perPartition('memory', (it) => simulator.memory(it)),
    ...perPartition('intercepts', (it) => simulator.intercepts(it)),
    ...perPartition('interceptResults', (it) => simulator.interceptResults(it)),
    ...perVp('guest', (it, vp) => simulator.guest(it, vp)),
    ...perVp('queueMessage', (it, vp) => {
      simulator.queueMessage(it, vp, new Uint8Array(16));
    }),
    ...perPartition('readMemory', (it) => simulator.readMemory(it, 0, 1)),
    ...perPartition('writeMemory', (it) => {
      simulator.writeMemory(it, 0, new Uint8Array(1));
    }),
    ...perPartition('writeMmio', (it) => simulator.writeMmio(it, 0, 1, 0)),
    ...wrong(
      'message',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
      new ArrayBuffer(16),
    )('queueMessage', (message) => {
      simulator.queueMessage(partition, 0, message);
    }),
    ...wrong(
      'message',
      range,
      new Uint8Array(257),
    )('queueMessage', (message) => {
      simulator.queueMessage(partition, 0, message);
    }),
    ...quantities('gpa', 2n ** 64n - 1n)('readMemory', (gpa) =>
      simulator.readMemory(partition, gpa, 1),
    ),
    ...integers(
      'length',
      0,
      2 ** 30,
    )('readMemory', (length) => simulator.readMemory(partition, 0, length)),
    ...quantities('gpa', 2n ** 64n - 1n)('writeMemory', (gpa) => {
      simulator.writeMemory(partition, gpa, new Uint8Array(1));
    }),
    ...wrong(
      'bytes',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
    )('writeMemory', (bytes) => {
      simulator.writeMemory(partition, 0, bytes);
    }),
    ...quantities('gpa', 2n ** 64n - 1n)('writeMmio', (gpa) =>
      simulator.writeMmio(partition, gpa, 1, 0),
    ),
    ...sizes(3, 16)('writeMmio', (size) => simulator.writeMmio(partition, 0, size, 0)),
    ...quantities('value', 0xffffn)('writeMmio', (value) =>
      simulator.writeMmio(partition, 0, 2, value),
    ),
    ...wrong(
      'options',
      type,
      null,
      5,
      '',
      [],
    )('refuse', (options) => {
      simulator.refuse(options);
    }),
    ...wrong('options', value, { hypercall: 1, status: 5, time: 1 })('refuse', (options) => {
      simulator.refuse(options);
    }),
    ...integers(
      'options.hypercall',
      0,
      0xffff,
      true,
    )('refuse', (hypercall) => {
      simulator.refuse({ hypercall, status: 5 });
    }),
    ...wrong(
      'options.hypercall',
      range,
      'HVCALL_NOTHING',
    )('refuse', (hypercall) => {
      simulator.refuse({ hypercall, status: 5 });
    }),
    ...integers(
      'options.status',
      1,
      0xffff,
      true,
    )('refuse', (status) => {
      simulator.refuse({ hypercall: 0x44, status });
    }),
    ...wrong(
      'options.status',
      range,
      'HV_STATUS_NOTHING',
      'HV_STATUS_SUCCESS',
    )('refuse', (status) => {
      simulator.refuse({ hypercall: 0x44, status });
    }),
    ...integers(
      'options.after',
      0,
      2 ** 32 - 1,
    )('refuse', (after) => {
      simulator.refuse({ hypercall: 0x44, status: 5, after });
    }),
    ...integers(
      'options.count',
      0,
      2 ** 32 - 1,
    )('refuse', (count) => {
      simulator.refuse({ hypercall: 0x44, status: 5, count });
    }),
    ...integers(
      'options.reps',
      0,
      4095,
    )('refuse', (reps) => {
      simulator.refuse({ hypercall: 0x44, status: 5, reps });
    }),
    ...integers('port', 0, 0xffff)('out', (port) => guest.out(port, 1, 0)),
    ...sizes(3, 8)('out', (size) => guest.out(1, size, 0)),
    ...integers('value', 0, 0xffff)('out', (value) => guest.out(1, 2, value)),
    ...integers('port', 0, 0xffff)('in', (port) => guest.in(port, 1)),
    ...sizes(3, 8)('in', (size) => guest.in(1, size)),
    ...integers('msr', 0, 0xffff_ffff)('rdmsr', (msr) => guest.rdmsr(msr)),
    ...integers('msr', 0, 0xffff_ffff)('wrmsr', (msr) => guest.wrmsr(msr, 0)),
    ...quantities('value', 2n ** 64n - 1n)('wrmsr', (value) => guest.wrmsr(1, value)),
    ...integers('leaf', 0, 0xffff_ffff)('cpuid', (leaf) => guest.cpuid(leaf)),
    ...integers('subleaf', 0, 0xffff_ffff)('cpuid', (subleaf) => guest.cpuid(1, subleaf)),
    ...wrong('type', range, 'restart')('reset', (kind) => guest.reset(kind)),
    ...wrong('type', type, 1, null, undefined)('reset', (kind) => guest.reset(kind)),
    ...integers('code', 0, 0xffff_ffff)('reset', (code) => guest.reset('reboot', code)),
    ...quantities('control', 2n ** 64n - 1n)('hypercall', (control) => guest.hypercall(control)),
    ...quantities('input', 2n ** 64n - 1n)('hypercall', (input) => guest.hypercall(1, input)),
    ...quantities('output', 2n ** 64n - 1n)('hypercall', (output) => guest.hypercall(1, 2, output)),
    ...quantities('gpa', 2n ** 64n - 1n)('mmioWrite', (gpa) => guest.mmioWrite(gpa, 1, 0)),
    ...sizes(3, 16)('mmioWrite', (size) => guest.mmioWrite(0, size, 0)),
    ...quantities('value', 0xffn)('mmioWrite', (value) => guest.mmioWrite(0, 1, value)),
    ...quantities('gpa', 2n ** 64n - 1n)('mmioRead', (gpa) => guest.mmioRead(gpa, 1)),
    ...sizes(3, 16)('mmioRead', (size) => guest.mmioRead(0, size)),
    ...wrong('setup', type, null, 5, '', [])('enableSynic', (setup) => guest.enableSynic(setup)),
    ...wrong('setup', value, { sint: 2 })('enableSynic', (setup) => guest.enableSynic(setup)),
    ...pages('setup.simp')('enableSynic', (simp) => guest.enableSynic({ simp })),
    ...pages('setup.siefp')('enableSynic', (siefp) => guest.enableSynic({ simp: 0, siefp })),
    ...wrong(
      'setup.sints',
      type,
      null,
      5,
      '',
      [],
    )('enableSynic', (sints) => guest.enableSynic({ simp: 0, sints })),
    ...wrong(
      'setup.sints',
      range,
      { 16: 32 },
      { '-1': 32 },
      { '': 32 },
      { '0x2': 32 },
      { a: 32 },
    )('enableSynic', (sints) => guest.enableSynic({ simp: 0, sints })),
    ...integers(
      'setup.sints[2]',
      16,
      255,
    )('enableSynic', (vector) => guest.enableSynic({ sints: { 1: 32, 2: vector } })),
    ...integers(
      'connectionId',
      0,
      0xffff_ffff,
    )('postMessage', (connection) => guest.postMessage(connection, 1, new Uint8Array(1), 0)),
    ...integers(
      'type',
      0,
      0xffff_ffff,
    )('postMessage', (type) => guest.postMessage(1, type, new Uint8Array(1), 0)),
    ...wrong(
      'payload',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
    )('postMessage', (payload) => guest.postMessage(1, 1, payload, 0)),
    ...wrong(
      'payload',
      range,
      new Uint8Array(241),
    )('postMessage', (payload) => guest.postMessage(1, 1, payload, 0)),
    ...quantities('inputGpa', 2n ** 64n - 256n)('postMessage', (gpa) =>
      guest.postMessage(1, 1, new Uint8Array(1), gpa),
    ),
    ...integers(
      'connectionId',
      0,
      0xffff_ffff,
    )('signalEvent', (connection) => guest.signalEvent(connection)),
    ...integers('flag', 0, 0xffff)('signalEvent', (flag) => guest.signalEvent(1, flag)),
    ...pages('simp')('takeMessage', (simp) => guest.takeMessage(simp, 0)),
    ...integers('sint', 0, 15)('takeMessage', (sint) => guest.takeMessage(0, sint)),
    ['partition', 'partition', type, () => simulator.interrupts({ fd: 3 } as never)],
    ['partition', 'partition', type, () => simulator.routes(3 as never)],
    ['partition', 'partition', type, () => simulator.irqFds(undefined as never)],
    ['partition', 'partition', type, () => simulator.watchInterrupts(null as never)],
    [
      'signal',
      'options.signal',
      type,
      () => simulator.watchInterrupts(partition, { signal: {} as never }),
    ],
    [
      'options of watchInterrupts',
      'options',
      value,
      () => simulator.watchInterrupts(partition, { abort: 1 } as never),
    ],
    ['vp', 'vp', type, () => simulator.endOfInterrupt(partition, '0' as never, 0x41)],
    ['vp', 'vp', range, () => simulator.endOfInterrupt(partition, 256, 0x41)],
    ['an absent vp', 'vp', range, () => simulator.endOfInterrupt(partition, 2, 0x41)],
    ['vector', 'vector', range, () => simulator.endOfInterrupt(partition, 0, 256)],
    ['vector', 'vector', range, () => simulator.endOfInterrupt(partition, 0, NaN)],
    [
      'ioctl',
      'ioctl',
      range,
      () => {
        simulator.failNext('MSHV_IRQ' as never, 'EIO');
      },
    ],
    ['ioctl', 'ioctl', type, () => simulator.calls(0x4010b803 as never)],
    [
      'error',
      'error',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'ENOTHING');
      },
    ],
    [
      'error',
      'error',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', -5);
      },
    ],
    [
      'error',
      'error',
      type,
      () => {
        simulator.failNext('MSHV_IRQFD', null as never);
      },
    ],
    [
      'after',
      'options.after',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'EIO', { after: -1 });
      },
    ],
    [
      'count',
      'options.count',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'EIO', { count: 0.5 });
      },
    ],
  ];

  it.each(rows)('%s: names "%s" with %s and changes nothing', (_, argument, code, use) => {
    expect(use).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining(`"${argument}"`) as string,
      }),
    );
    expect(partition.createVp(2).index).toBe(2);
    expect(guest.pending).toBe(0);
  });

  it('are known for every method that takes an argument', () => {
    const without = ['constructor', 'open', 'settle', 'close', 'halt', 'tripleFault'];
    for (const { prototype } of [Simulator, ScriptedGuest]) {
      const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype))
        .filter(([name, { value }]) => typeof value === 'function' && !without.includes(name))
        .map(([name]) => name);
      for (const name of methods) {
        const known = rows.some(
          ([label, , , use]) => label.startsWith(`${name}(`) || String(use).includes(`.${name}(`),
        );
        expect({ name, known }).toEqual({ name, known: true });
      }
    }
  });

  it('refuses a partition of another simulator, or a closed one', () => {
    using other = new Simulator();
    expect(() => other.interrupts(partition)).toThrow(
      expect.objectContaining({ code: range, name: 'RangeError' }),
    );
    partition.close();
    expect(() => simulator.interrupts(partition)).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }),
    );
  });
});

describe('the simulated device', () => {
  it('is opened by its path only', () => {
    const { native } = Simulator;
    for (const path of [
      '/dev/mshv',
      'sim:',
      'sim:x',
      `${simulator.path} `,
      'sim:-1',
      '/dev/null',
    ]) {
      expect(native.open(path)).toBe(-constants.errno.ENOENT);
    }
    expect(linuxNative().open(simulator.path)).toBe(-constants.errno.ENOENT);
  });

  it('keeps the order of simulators apart', () => {
    using other = new Simulator();
    const elsewhere = other.open().createPartition();
    elsewhere.initialize();
    elsewhere.createVp(0);
    const routes = [
      newRoute(0x41),
      elsewhere.irqfd.newRoute({ msi: { address: to(0), data: 0x42 } }),
    ];
    for (const route of routes) {
      route.event.signal();
    }
    const first = (all: GuestInterrupt[]) => all.map(({ sequence, vector }) => [sequence, vector]);
    expect(first(simulator.interrupts(partition))).toEqual([[1n, 0x41]]);
    expect(first(other.interrupts(elsewhere))).toEqual([[1n, 0x42]]);
  });
});
