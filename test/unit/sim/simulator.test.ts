import { constants } from 'node:os';
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
