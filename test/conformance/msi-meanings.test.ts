import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';

import { SharedPartition, type MsiRefusalCode, type Partition } from '../../lib/index.js';
import type { Delivery } from '../guest-side.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// MSIs that a guest chose reach it as they are meant, or not at all.

const guest = await guestSideForTests();
// As two sockets of three cores have them.
const ids = [0, 1, 2, 4, 5, 6];
let partition: Partition;
// Two ids that a route reaches: through a register page only those that are the VP's index.
const [one, other] = guest.fastInjection ? [1, 2] : [4, 6];
const to = (id: number, bits = 0): bigint => BigInt((0xfee00000 | (id << 12) | bits) >>> 0);

beforeEach(() => {
  partition = guest.createPartition(0);
  ids.forEach((apicId, index) => partition.createVp(index, { apicId }));
  return () => {
    partition.close();
  };
});

/** What the words mean, read from the Intel SDM (3, 11.11): undefined where that cannot be delivered. */
function meaning(address: bigint, data: number): Delivery | undefined {
  const bits = address.toString(2).padStart(64, '0');
  const field = (high: number, low: number): number => parseInt(bits.slice(63 - high, 64 - low), 2);
  const isIn = (word: number, position: number): boolean =>
    Math.floor(word / 2 ** position) % 2 === 1;
  if (field(63, 20) !== 0xfee || field(11, 4) !== 0) return undefined;
  const [vector, mode] = [data % 256, Math.floor(data / 256) % 8];
  const [redirected, logical] = [field(3, 3) === 1, field(2, 2) === 1];
  if (isIn(data, 15) || ![0, 1, 4, 5].includes(mode) || (mode < 2 && vector < 16)) return undefined;
  const destination = field(19, 12);
  if (logical) {
    if (redirected && mode >= 4) return undefined;
    // One of a set is what lowest priority means.
    const type = redirected ? 1 : mode;
    return { vector, destination, type, level: false, logical, vp: undefined };
  }
  const vp = destination === 0xff ? -1 : ids.indexOf(destination);
  return vp < 0 ? undefined : { vector, destination, type: mode, level: false, logical, vp };
}

/** What comes of it by a route. Through a register page a vector comes to the VP with an index, and nothing else. */
function routed(meant: Delivery | undefined): Delivery | undefined {
  if (!guest.fastInjection || meant === undefined || meant.logical) return meant;
  return meant.vp === meant.destination && meant.type < 2 ? { ...meant, type: 0 } : undefined;
}

const address = fc.oneof(
  fc
    .tuple(fc.constantFrom(...ids, 3, 7, 0xfe, 0xff), fc.integer({ min: 0, max: 15 }))
    .map(([id, bits]) => to(id, bits)),
  fc.tuple(fc.nat(0xff), fc.nat(0xfff)).map(([id, bits]) => to(id, bits)),
  fc.constantFrom(0n, 0xfec00000n, 0xffffffffn, 0x1_fee00000n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const data = fc.oneof(fc.nat(0x7ff), fc.nat(0xffff), fc.integer({ min: 0, max: 0xffffffff }));

describe('an MSI that a guest chose', () => {
  it('is delivered exactly as it is meant, or refused, by a route and by a request', () => {
    const route = partition.irqfd.newRoute();
    fc.assert(
      fc.property(address, data, (where, what) => {
        const meant = meaning(where, what);
        const comes = routed(meant);
        const outcome = route.trySetMsi(where, what);
        expect(outcome.live).toBe(comes !== undefined);
        expect([route.armed, route.route !== undefined]).toEqual([outcome.live, outcome.live]);
        route.event.signal();
        expect(guest.deliveries(partition)).toEqual(comes ? [comes] : []);
        expect(route.takePending()).toBe(comes ? 0n : 1n);
        expect(partition.tryRequestMsi(where, what).requested).toBe(meant !== undefined);
        expect(guest.deliveries(partition)).toEqual(meant ? [meant] : []);
      }),
      { numRuns: 400, seed: 20261130 },
    );
  });

  it.each<[string, bigint, number, MsiRefusalCode]>([
    ['of an unprogrammed entry', 0n, 0x41, 'no-interrupt-address'],
    ['of the I/O APIC', 0xfec00000n, 0x41, 'no-interrupt-address'],
    ['of a function that is off', 0xffffffffn, 0xffffffff, 'no-interrupt-address'],
    ['with an upper half', 0x100_fee00000n, 0x41, 'upper-half'],
    ['in remappable format', 0xfee00258n, 0x21, 'remappable'],
    ['for an extended destination', 0xfee01060n, 0x41, 'extended-destination'],
    ['for everybody', to(0xff), 0x41, 'broadcast'],
    ['for an index that is no APIC id', to(3), 0x41, 'no-destination'],
    ['of an exception', to(0), 0x0f, 'vector'],
    ['with a reserved delivery mode', to(0), 0x341, 'delivery-mode'],
    ['that is an SMI', to(0), 0x200, 'delivery-mode'],
    ['whose vector an 8259A has', to(0), 0x741, 'delivery-mode'],
    ['that is level-triggered', to(0), 0xc041, 'level'],
    ['that takes a level back', to(0), 0x8041, 'deasserted'],
    ['that redirects an NMI', to(1, 0xc), 0x400, 'redirection'],
  ])('takes the former one away where it is one %s', (_, where, what, code) => {
    const route = partition.irqfd.newRoute({ msi: { address: to(one), data: 0x51 } });
    expect(route.trySetMsi(where, what)).toMatchObject({ live: false, code });
    expect(route).toMatchObject({ armed: false, route: undefined });
    route.event.signal();
    route.event.signal();
    expect(guest.interrupts(partition)).toEqual([]);
    expect(route.pending).toBe(true);
    expect(route.trySetMsi(to(other), 0x52)).toEqual({ live: true });
    expect(guest.deliveries(partition)).toMatchObject([{ vector: 0x52, vp: ids.indexOf(other) }]);
    expect(() => {
      route.setMsi(where, what);
    }).toThrow(RangeError);
    expect(route.armed).toBe(true);
    expect(partition.tryRequestMsi(where, what)).toMatchObject({ requested: false, code });
  });

  it('is kept and not live on a masked route', () => {
    const route = partition.irqfd.newRoute({ masked: true });
    expect(route.trySetMsi(to(1), 0x41)).toMatchObject({ live: false, code: 'masked' });
    route.event.signal();
    route.unmask();
    expect(guest.deliveries(partition)).toMatchObject([{ vector: 0x41, vp: 1 }]);
  });

  it('leaves the other routes of a batch alone where it is refused', () => {
    const routes = [0x61, 0x62, 0x63].map((vector) =>
      partition.irqfd.newRoute({ msi: { address: to(0), data: vector } }),
    );
    const before = guest.calls('MSHV_SET_MSI_ROUTING');
    const outcomes = partition.irqfd.batch(() =>
      routes.map((route, i) => route.trySetMsi(i === 1 ? 0n : to(ids[i] ?? 0), 0x71 + i)),
    );
    expect(guest.calls('MSHV_SET_MSI_ROUTING') - before).toBe(1);
    expect(outcomes.map(({ live }) => live)).toEqual([true, false, true]);
    for (const route of routes) route.event.signal();
    expect(guest.deliveries(partition)).toMatchObject([
      { vector: 0x71, vp: 0 },
      { vector: 0x73, vp: 2 },
    ]);
    expect(routes.map(({ pending }) => pending)).toEqual([false, true, false]);
  });
});

/** Whether routes know which VP has the id. Where the driver takes it for an index, they refuse any other VP. */
function expectRouted(id: number, vp: number): void {
  using route = partition.irqfd.newRoute();
  const outcome = route.trySetMsi(to(id), 0x43);
  route.event.signal();
  if (guest.fastInjection && id !== vp) {
    expect(outcome).toMatchObject({ live: false, code: 'fast-injection' });
    expect(outcome).toHaveProperty('reason', expect.stringContaining(`APIC id ${id} is VP ${vp}`));
    expect(guest.deliveries(partition)).toEqual([]);
  } else {
    expect(outcome).toEqual({ live: true });
    expect(guest.deliveries(partition)).toMatchObject([{ vector: 0x43, vp }]);
  }
}

describe('APIC ids', () => {
  it('are looked up by routes and requests', () => {
    expect(partition.vps.map(({ apicId }) => apicId)).toEqual(ids);
    expect(partition.vps.map((vp) => vp.getRegisters(['INITIAL_APIC_ID']).INITIAL_APIC_ID)).toEqual(
      ids.map(BigInt),
    );
    for (const [vp, id] of ids.entries()) {
      partition.requestInterrupt({ vector: 0x41, destination: id });
      partition.requestMsi(to(id), 0x42);
      expect(guest.deliveries(partition)).toMatchObject([
        { vector: 0x41, vp },
        { vector: 0x42, vp },
      ]);
      expectRouted(id, vp);
    }
    for (const destination of [3, 7, 0xff, 0xffffffff]) {
      expect(partition.tryRequestInterrupt({ vector: 0x41, destination })).toMatchObject({
        requested: false,
        code: 'no-destination',
      });
    }
    expect(partition.tryRequestInterrupt({ vector: 3 })).toMatchObject({ code: 'vector' });
    expect(guest.interrupts(partition)).toEqual([]);
  });

  it('change where registers are written, in every environment that has the partition', () => {
    using shared = SharedPartition.receive(partition.share(), { native: guest.native });
    partition.vps[5]?.setRegisters({ INITIAL_APIC_ID: 9n });
    shared.requestMsi(to(9), 0x41);
    expect(guest.deliveries(partition)).toMatchObject([{ vector: 0x41, vp: 5 }]);
    shared.setRegisters(5, Uint32Array.of(0x84802), BigUint64Array.of(10n, 0n));
    expect(shared.tryRequestMsi(to(9), 0x41)).toMatchObject({ code: 'no-destination' });
    expectRouted(10, 5);
  });

  it('are of one VP each', () => {
    expect(() => partition.createVp(6, { apicId: 4 })).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_APIC_ID_IN_USE',
        message: expect.stringContaining('VP 3') as string,
      }),
    );
    expect(partition.hasVp(6)).toBe(false);
    const seventh = partition.createVp(6);
    // Its index is the id of VP 5 as long as it has no id of its own.
    expect(partition.tryRequestMsi(to(6), 0x41)).toMatchObject({ code: 'ambiguous-destination' });
    expect(() => {
      seventh.setRegisters({ INITIAL_APIC_ID: 5n });
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_APIC_ID_IN_USE' }));
    seventh.setRegisters({ INITIAL_APIC_ID: 8n });
    partition.requestMsi(to(6), 0x41);
    partition.requestMsi(to(8), 0x42);
    expect(guest.deliveries(partition)).toMatchObject([{ vp: 5 }, { vp: 6 }]);
  });

  it('that the hypervisor refuses leave no VP, and another call goes on', () => {
    guest.refuse(0x51, 0x50);
    expect(() => partition.createVp(6, { apicId: 8 })).toThrow(
      expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }),
    );
    expect(partition.vps).toHaveLength(6);
    expect(partition.createVp(6, { apicId: 8 }).apicId).toBe(8);
    partition.requestMsi(to(8), 0x41);
    expect(guest.deliveries(partition)).toMatchObject([{ vp: 6 }]);
  });
});
