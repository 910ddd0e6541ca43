import { describe, expect, it } from 'vitest';

import { EventFd, type IrqFdRoute } from '../../lib/index.js';
import type { SeenInterrupt } from '../guest-side.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

const edge = (vector: number, destination = 0) => ({
  msi: { address: 0xfee00000n | (BigInt(destination) << 12n), data: vector },
  interrupt: { vector, destination, type: 0, level: false, logical: false },
});

const guest = await guestSideForTests();
// What makes the driver pass on all of an interrupt, and not its vector alone: by a logical destination, where it injects
// through register pages.
const isWholeLogical = guest.fastInjection;
const whole = isWholeLogical ? 4n : 0n;

partitionForEachTest(guest);

const seen = () => guest.interrupts(partition);

describe('a route', () => {
  it('injects its MSI for each signal', () => {
    const { msi, interrupt } = edge(0x41, 2);
    const route = partition.irqfd.newRoute({ msi });
    expect(route).toMatchObject({ gsi: 256, armed: true, masked: false, route: msi });
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
  });

  it.each<[string, bigint, number, Partial<SeenInterrupt>]>([
    ['fixed, edge', 0xfee01000n, 0x0041, { vector: 0x41, destination: 1, type: 0 }],
    // For one VP it is the same as fixed.
    ['lowest priority', 0xfee00000n, 0x0141, { vector: 0x41, type: guest.fastInjection ? 0 : 1 }],
    [
      'NMI',
      0xfee03000n | whole,
      0x0402,
      { vector: 2, destination: 3, type: 4, logical: isWholeLogical },
    ],
    [
      'INIT',
      0xfee01000n | whole,
      0x0500,
      { vector: 0, destination: 1, type: 5, logical: isWholeLogical },
    ],
    ['logical', 0xfee0f004n, 0x0041, { vector: 0x41, destination: 15, logical: true }],
    ['highest vector', 0xfee00000n, 0x00ff, { vector: 0xff }],
    ['bits the driver ignores', 0xfee00003n, 0xffff7841, { vector: 0x41 }],
  ])('decodes an MSI as the driver does: %s', (_, address, data, interrupt) => {
    const route = partition.irqfd.newRoute({ msi: { address, data } });
    route.event.signal();
    const plain = { destination: 0, type: 0, level: false, logical: false };
    expect(seen()).toEqual([{ ...plain, ...interrupt }]);
  });

  it('injects once for a signal of many', () => {
    const { msi, interrupt } = edge(0x50);
    const route = partition.irqfd.newRoute({ msi });
    route.event.signal(5);
    expect(seen()).toEqual([interrupt]);
  });

  it('consumes the counter while armed, so that nothing is ever pending', () => {
    const route = partition.irqfd.newRoute({ msi: edge(0x50).msi });
    route.event.signal(3);
    expect(route.event.tryRead()).toBeUndefined();
    expect(route.event.pending).toBe(false);
    expect(route.pending).toBe(false);
    expect(route.takePending()).toBe(0n);
  });

  it('keeps signals from before its first MSI and injects once for them', () => {
    const { msi, interrupt } = edge(0x51);
    const route = partition.irqfd.newRoute();
    expect(route).toMatchObject({ armed: false, route: undefined });
    route.event.signal();
    route.event.signal();
    expect(seen()).toEqual([]);
    expect(route.pending).toBe(true);
    route.setMsi(msi.address, msi.data);
    expect(route.pending).toBe(false);
    expect(seen()).toEqual([interrupt]);
  });

  it('keeps signals while masked and injects once for them at unmask', () => {
    const { msi, interrupt } = edge(0x52, 1);
    const route = partition.irqfd.newRoute({ msi });
    route.mask();
    expect(route).toMatchObject({ masked: true, armed: false, route: msi, pending: false });
    for (let i = 0; i < 10; i++) {
      route.event.signal();
    }
    expect(route.pending).toBe(true);
    expect(seen()).toEqual([]);
    route.unmask();
    expect(route).toMatchObject({ masked: false, armed: true, pending: false });
    expect(route.event.pending).toBe(false);
    expect(seen()).toEqual([interrupt]);
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
  });

  it('does not inject again what unmasking delivered', () => {
    const { msi, interrupt } = edge(0x53);
    const route = partition.irqfd.newRoute({ msi, masked: true });
    route.event.signal();
    route.unmask();
    route.mask();
    route.unmask();
    route.setMsi(0xfee01000n, 0x54);
    expect(seen()).toEqual([interrupt]);
    expect(route.takePending()).toBe(0n);
  });

  it('gives pending signals to takePending, and then injects none', () => {
    const route = partition.irqfd.newRoute({ msi: edge(0x55).msi, masked: true });
    route.event.signal(7n);
    expect(route.takePending()).toBe(7n);
    expect(route.takePending()).toBe(0n);
    route.unmask();
    expect(seen()).toEqual([]);
  });

  it('takes a new MSI while masked and uses it at unmask', () => {
    const route = partition.irqfd.newRoute({ msi: edge(0x56).msi, masked: true });
    route.event.signal();
    const { msi, interrupt } = edge(0x57, 3);
    route.setMsi(msi.address, msi.data);
    expect(route.armed).toBe(false);
    route.unmask();
    expect(seen()).toEqual([interrupt]);
  });

  it('changes a live MSI: signals before have the old one, signals after the new one', () => {
    const before = edge(0x58);
    const after = edge(0x59, 1);
    const route = partition.irqfd.newRoute({ msi: before.msi });
    route.event.signal();
    route.setMsi(after.msi.address, after.msi.data);
    expect(route.armed).toBe(true);
    route.event.signal();
    expect(seen()).toEqual([before.interrupt, after.interrupt]);
  });

  it('keeps signals without an MSI', () => {
    const { msi, interrupt } = edge(0x5a);
    const route = partition.irqfd.newRoute({ msi });
    route.clearMsi();
    expect(route).toMatchObject({ armed: false, route: undefined });
    route.event.signal();
    expect(seen()).toEqual([]);
    expect(route.takePending()).toBe(1n);
    route.unmask();
    expect(route.armed).toBe(false);
    route.setMsi(msi.address, msi.data);
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
  });

  it('ends at close: the GSI is free, a clone of the event injects nothing', () => {
    const route = partition.irqfd.newRoute({ msi: edge(0x5b).msi });
    using clone = route.event.clone();
    route.close();
    route.close();
    expect(route).toMatchObject({ closed: true, armed: false });
    clone.signal();
    expect(seen()).toEqual([]);
    expect(clone.tryRead()).toBe(1n);
    expect(partition.irqfd.gsisInUse).toBe(0);
    expect(partition.irqfd.newRoute().gsi).toBe(route.gsi);
    expect(() => {
      route.mask();
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });

  it('takes the lowest free GSI above the vectors', () => {
    const routes = [0, 1, 2, 3].map(() => partition.irqfd.newRoute());
    expect(routes.map((route) => route.gsi)).toEqual([256, 257, 258, 259]);
    routes[1]?.close();
    routes[2]?.close();
    expect(partition.irqfd.newRoute().gsi).toBe(257);
  });

  it('leaves every vector to resample routes, which the guest chooses late', () => {
    for (let i = 0; i < 200; i++) partition.irqfd.newRoute({ msi: edge(0x40).msi });
    for (let vector = 16; vector < 256; vector++) {
      expect(partition.irqfd.newResampleRoute({ vector }).gsi).toBe(vector);
    }
    expect(partition.irqfd.newRoute().gsi).toBe(256 + 200);
  });

  it('is independent of its neighbours and of other partitions', () => {
    const other = guest.createPartition();
    const one = edge(0x60);
    const two = edge(0x61, 1);
    const first = partition.irqfd.newRoute({ msi: one.msi });
    const second = partition.irqfd.newRoute({ msi: two.msi });
    const elsewhere = other.irqfd.newRoute({ msi: edge(0x62).msi });
    first.mask();
    first.event.signal();
    second.event.signal();
    elsewhere.event.signal();
    expect(seen()).toEqual([two.interrupt]);
    expect(guest.interrupts(other)).toEqual([edge(0x62).interrupt]);
    other.close();
    first.unmask();
    expect(seen()).toEqual([one.interrupt]);
  });

  it('works on an eventfd of the caller, who may close it', () => {
    const { msi, interrupt } = edge(0x63);
    const event = EventFd.create({ native: guest.native });
    const route = partition.irqfd.newRoute({ event, msi });
    event.signal();
    expect(seen()).toEqual([interrupt]);
    event.close();
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
  });

  it('refuses an eventfd that is armed in the partition already', () => {
    const first = partition.irqfd.newRoute({ msi: edge(0x64).msi });
    expect(() => partition.irqfd.newRoute({ event: first.event, msi: edge(0x65).msi })).toThrow(
      expect.objectContaining({
        code: 'EBUSY',
        ioctl: 'MSHV_IRQFD',
        message: expect.stringContaining('already bound in the partition') as string,
      }),
    );
    expect(partition.irqfd).toMatchObject({ size: 1, gsisInUse: 1 });
    first.event.signal();
    expect(seen()).toEqual([edge(0x64).interrupt]);
  });

  it('runs out of GSIs after 4095 and says so', () => {
    const routes = partition.irqfd.batch(() =>
      Array.from({ length: 4095 }, () => partition.irqfd.newRoute({ msi: edge(0x70).msi })),
    );
    expect(routes[4095 - 256]?.gsi).toBe(4095);
    expect(routes.at(-1)?.gsi).toBe(255);
    expect(() => partition.irqfd.newRoute()).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_GSI_EXHAUSTED',
        message: expect.stringContaining('4095') as string,
      }),
    );
    routes.at(-1)?.event.signal();
    expect(seen()).toEqual([edge(0x70).interrupt]);
    routes[99]?.close();
    expect(partition.irqfd.newRoute().gsi).toBe(256 + 99);
  });
});

describe('a resample route', () => {
  const level = (vector: number, destination = 0) => ({
    msi: { address: 0xfee00000n | (BigInt(destination) << 12n) | whole, data: 0xc000 | vector },
    interrupt: { vector, destination, type: 0, level: true, logical: isWholeLogical },
  });

  it('has the vector as its GSI and hears of the end of its interrupt', () => {
    const { msi, interrupt } = level(0x41);
    const route = partition.irqfd.newResampleRoute({ vector: 0x41, msi });
    expect(route.gsi).toBe(0x41);
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
    expect(route.resampleEvent?.pending).toBe(false);
    guest.endOfInterrupt(partition, 0, 0x41);
    expect(route.resampleEvent?.tryRead()).toBe(1n);
    route.event.signal();
    expect(seen()).toEqual([interrupt]);
  });

  it('does not hear of other vectors, nor while masked', () => {
    const other = partition.irqfd.newResampleRoute({ vector: 0x43, msi: level(0x43).msi });
    const route = partition.irqfd.newResampleRoute({ vector: 0x42, msi: level(0x42).msi });
    guest.endOfInterrupt(partition, 0, 0x43);
    expect(route.resampleEvent?.pending).toBe(false);
    expect(other.resampleEvent?.tryRead()).toBe(1n);
    route.mask();
    guest.endOfInterrupt(partition, 0, 0x42);
    expect(route.resampleEvent?.pending).toBe(false);
    route.unmask();
    guest.endOfInterrupt(partition, 0, 0x42);
    expect(route.resampleEvent?.tryRead()).toBe(1n);
  });

  it('names the holder where the GSI is taken', () => {
    partition.irqfd.newResampleRoute({ vector: 16, name: 'queue 16' });
    expect(() => partition.irqfd.newResampleRoute({ vector: 16 })).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_GSI_IN_USE',
        message: expect.stringContaining("route 'queue 16'") as string,
      }),
    );
  });

  it('refuses an MSI that the driver would never resample', () => {
    const route = partition.irqfd.newResampleRoute({ vector: 0x44 });
    for (const data of [0x44, 0xc045, 0x8044]) {
      expect(() => {
        route.setMsi(0xfee00000n, data);
      }).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
    }
    expect(route.armed).toBe(false);
  });
});

describe('pushes of the routing table', () => {
  const pushes = (action: () => void): number => {
    const before = guest.calls('MSHV_SET_MSI_ROUTING');
    action();
    return guest.calls('MSHV_SET_MSI_ROUTING') - before;
  };

  it('is one for a batch of 2048 routes, each of which works', () => {
    let routes: IrqFdRoute[] = [];
    const count = pushes(() => {
      routes = partition.irqfd.batch(() =>
        Array.from({ length: 2048 }, (_, i) =>
          partition.irqfd.newRoute({ msi: edge(16 + (i % 240), i % 4).msi }),
        ),
      );
    });
    expect(count).toBe(1);
    expect(routes.every((route) => route.armed)).toBe(true);
    for (const route of routes) {
      route.event.signal();
    }
    expect(seen()).toEqual(routes.map((_, i) => edge(16 + (i % 240), i % 4).interrupt));
    expect(
      pushes(() => {
        partition.irqfd.batch(() => {
          routes.forEach((route) => {
            route.close();
          });
        });
      }),
    ).toBe(1);
  });

  it('is none for mask and unmask', () => {
    const routes = Array.from({ length: 8 }, () =>
      partition.irqfd.newRoute({ msi: edge(0x45).msi }),
    );
    const count = pushes(() => {
      for (let i = 0; i < 50; i++) {
        for (const route of routes) {
          route.mask();
          route.unmask();
        }
      }
    });
    expect(count).toBe(0);
  });

  it('is none for an unchanged MSI, one for a changed one', () => {
    const { msi } = edge(0x46);
    const route = partition.irqfd.newRoute({ msi });
    expect(
      pushes(() => {
        route.setMsi(msi.address, msi.data);
        route.setMsi(Number(msi.address), msi.data);
      }),
    ).toBe(0);
    expect(
      pushes(() => {
        route.setMsi(msi.address, 0x47);
      }),
    ).toBe(1);
  });

  it('disarms and arms nothing that a change does not touch', () => {
    const routes = [0x50, 0x51, 0x52].map((vector) =>
      partition.irqfd.newRoute({ msi: edge(vector).msi }),
    );
    const before = guest.calls('MSHV_IRQFD');
    routes[1]?.setMsi(0xfee00000n, 0x53);
    expect(guest.calls('MSHV_IRQFD') - before).toBe(2);
  });
});

describe('a batch', () => {
  it('records inside and applies afterwards', () => {
    const one = partition.irqfd.newRoute({ msi: edge(0x71).msi });
    const two = partition.irqfd.newRoute({ msi: edge(0x72).msi });
    const result = partition.irqfd.batch(() => {
      one.setMsi(0xfee01000n, 0x73);
      two.mask();
      one.event.signal();
      two.event.signal();
      expect(one).toMatchObject({ armed: true, route: { address: 0xfee01000n, data: 0x73 } });
      expect(two).toMatchObject({ armed: true, masked: true });
      expect(seen()).toEqual([edge(0x71).interrupt, edge(0x72).interrupt]);
      return 'done';
    });
    expect(result).toBe('done');
    expect(two.armed).toBe(false);
    one.event.signal();
    two.event.signal();
    expect(seen()).toEqual([edge(0x73, 1).interrupt]);
  });

  it('applies nothing where the callback throws', () => {
    const route = partition.irqfd.newRoute({ msi: edge(0x74).msi });
    let created: IrqFdRoute | undefined;
    expect(() =>
      partition.irqfd.batch(() => {
        created = partition.irqfd.newRoute({ msi: edge(0x75).msi });
        route.close();
        throw new Error('changed my mind');
      }),
    ).toThrow('changed my mind');
    expect(created?.closed).toBe(true);
    expect(route).toMatchObject({ closed: false, armed: true });
    expect(partition.irqfd).toMatchObject({ size: 1, gsisInUse: 1 });
    route.event.signal();
    expect(seen()).toEqual([edge(0x74).interrupt]);
  });

  it('does not nest and is not asynchronous', () => {
    expect(() => partition.irqfd.batch(() => partition.irqfd.batch(() => 0))).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_BATCH_NESTED' }),
    );
    const route = partition.irqfd.newRoute({ msi: edge(0x76).msi });
    expect(() =>
      // eslint-disable-next-line @typescript-eslint/require-await -- the mistake under test
      partition.irqfd.batch(async () => {
        route.mask();
      }),
    ).toThrow(expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' }));
    expect(route).toMatchObject({ masked: false, armed: true });
  });

  it.each([
    ['MSHV_IRQFD', 0],
    ['MSHV_IRQFD', 2],
    ['MSHV_SET_MSI_ROUTING', 0],
    ['MSHV_IRQFD', 4],
  ] as const)('is undone where %s fails after %i calls', (ioctl, after) => {
    const kept = partition.irqfd.newRoute({ msi: edge(0x77).msi });
    const masked = partition.irqfd.newRoute({ msi: edge(0x78).msi });
    const closed = partition.irqfd.newRoute({ msi: edge(0x79).msi });
    guest.failNext(ioctl, 12, after);
    expect(() => {
      partition.irqfd.batch(() => {
        kept.setMsi(0xfee01000n, 0x7a);
        masked.mask();
        closed.close();
        partition.irqfd.newRoute({ msi: edge(0x7b).msi });
      });
    }).toThrow(expect.objectContaining({ code: 'ENOMEM', ioctl }));
    guest.failNoMore();
    expect(partition.irqfd).toMatchObject({ size: 3, gsisInUse: 3, quarantined: 0 });
    for (const route of [kept, masked, closed]) {
      expect(route).toMatchObject({ armed: true, masked: false, closed: false });
      route.event.signal();
    }
    expect(seen()).toEqual([0x77, 0x78, 0x79].map((vector) => edge(vector).interrupt));
  });
});
