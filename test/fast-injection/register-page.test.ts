import { beforeEach, describe, expect, it } from 'vitest';

import { irqfdFlags } from '../../lib/abi/irqfd.js';
import { EventFd } from '../../lib/index.js';
import { guestSideForTests } from '../conformance/guest-side-for-tests.js';
import { partition, partitionForEachTest } from '../conformance/partition-for-tests.js';

// The root scheduler with injection through the VPs' register pages (`mshv_try_assert_irq_fast`): what the driver makes of
// a routing table there, and which of it routes refuse therefore. On x64 only.

const guest = await guestSideForTests();
const to = (id: number, bits = 0): bigint => BigInt((0xfee00000 | (id << 12) | bits) >>> 0);
const logical = 4;

partitionForEachTest(guest, 2);
beforeEach(() => {
  partition.createVp(2, { apicId: 4 });
  partition.createVp(4, { apicId: 2 });
});

it('is what these tests run with', () => {
  expect(guest.fastInjection).toBe(true);
});

describe('the driver', () => {
  /** Sets a table of one route and signals its eventfd, past the checks of this library. */
  const deliver = (address: bigint, data: number, flags = 0) => {
    const { native } = guest;
    const gsi = data & 0xff;
    using event = EventFd.create({ native });
    using resample = EventFd.create({ native });
    const table = Uint32Array.of(1, 0, gsi, Number(address), 0, data);
    expect(native.setMsiRouting(partition.fd, table)).toBe(0);
    expect(native.irqfd(partition.fd, event.fd, resample.fd, gsi, flags)).toBe(0);
    event.signal();
    return guest.deliveries(partition);
  };
  const fixed = { type: 0, level: false, logical: false };

  it.each([
    ['lowest priority', 0x0141],
    ['an NMI', 0x0441],
    ['an INIT', 0x0541],
    ['an ExtINT', 0x0741],
    ['a level', 0xc041],
  ])('makes a fixed, edge-triggered interrupt of %s', (_, data) => {
    expect(deliver(to(1), data)).toEqual([{ ...fixed, vector: 0x41, destination: 1, vp: 1 }]);
  });

  it('makes an edge of the level of a resample irqfd', () => {
    expect(deliver(to(1), 0xc041, irqfdFlags.RESAMPLE)).toMatchObject([{ ...fixed, vp: 1 }]);
  });

  it('takes an APIC id for an index', () => {
    expect(deliver(to(4), 0x41)).toMatchObject([{ vector: 0x41, vp: 4 }]);
    expect(partition.vps[2]?.apicId).toBe(4);
  });

  it.each([
    ['lowest priority', 0x0141, { type: 1 }],
    ['an NMI', 0x0441, { type: 4 }],
    ['an INIT', 0x0541, { type: 5 }],
    ['a level', 0xc041, { level: true }],
  ])('passes on %s for a logical destination as it is', (_, data, rest) => {
    expect(deliver(to(3, logical), data)).toEqual([
      { ...fixed, vector: 0x41, destination: 3, logical: true, vp: undefined, ...rest },
    ]);
  });
});

describe('a route', () => {
  it.each([
    ['another index than its APIC id', to(4), 0x41, 'address'],
    ['another index than its APIC id', to(2), 0x41, 'address'],
    ['an NMI', to(1), 0x400, 'data'],
    ['an INIT', to(1), 0x500, 'data'],
  ])('refuses a physical destination with %s', (_, address, data, word) => {
    const route = partition.irqfd.newRoute();
    expect(route.trySetMsi(address, data)).toMatchObject({
      live: false,
      code: 'fast-injection',
      reason: expect.stringMatching(
        new RegExp(`^the ${word} .*Mshv\\.open\\(\\{ fastInjection: false \\}\\)`),
      ) as string,
    });
    expect(route.armed).toBe(false);
  });

  it('refuses a level-triggered interrupt with a physical destination', () => {
    const route = partition.irqfd.newResampleRoute({ vector: 0x41 });
    expect(route.trySetMsi(to(1), 0xc041)).toMatchObject({ live: false, code: 'fast-injection' });
    expect(() => {
      route.setMsi(to(1), 0xc041);
    }).toThrow(/level-triggered .* register page/);
    expect(route.armed).toBe(false);
  });

  it('resamples a level-triggered interrupt with a logical destination', () => {
    const msi = { address: to(2, logical), data: 0xc041 };
    const route = partition.irqfd.newResampleRoute({ vector: 0x41, msi });
    for (let i = 0; i < 2; i++) {
      route.event.signal();
      expect(guest.deliveries(partition)).toMatchObject([{ level: true, logical: true }]);
      expect(route.resampleEvent?.pending).toBe(false);
      guest.endOfInterrupt(partition, 1, 0x41);
      expect(route.resampleEvent?.tryRead()).toBe(1n);
    }
  });

  it('is no worse than a request, which goes by hypercall', () => {
    expect(partition.tryRequestMsi(to(4), 0x441)).toEqual({ requested: true });
    partition.requestInterrupt({ vector: 0x42, destination: 4, level: true });
    expect(guest.deliveries(partition)).toMatchObject([
      { vector: 0x41, type: 4, vp: 2 },
      { vector: 0x42, level: true, vp: 2 },
    ]);
  });
});
