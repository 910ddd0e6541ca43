import { beforeEach, describe, expect, it } from 'vitest';

import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import { type Partition } from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import type { SeenInterrupt } from '../guest-side.js';
import { thrownBy } from '../thrown-by.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// The hypercalls for VPs that the driver passes through, against what the guest's side sees of them.

const guest = await guestSideForTests();

partitionForEachTest(guest);

const seen = (interrupt: Partial<SeenInterrupt>): SeenInterrupt => ({
  vector: 0x41,
  destination: 0,
  type: 0,
  level: false,
  logical: false,
  ...interrupt,
});

describe('an interrupt', () => {
  it('arrives as it was requested', () => {
    partition.requestInterrupt({ vector: 0x41 });
    partition.requestInterrupt({
      type: 'lowest-priority',
      vector: 16,
      destination: 3,
      level: true,
    });
    partition.requestInterrupt({ type: 'nmi', vector: 0, destination: 0xff, logical: true });
    partition.requestInterrupt({ type: 'extint', vector: 8, destination: 1 });
    partition.requestInterrupt({ type: 'sipi', vector: 0x9a, destination: 2 });
    expect(guest.interrupts(partition)).toEqual([
      seen({}),
      seen({ vector: 16, destination: 3, type: 1, level: true }),
      seen({ vector: 0, destination: 0xff, type: 4, logical: true }),
      seen({ vector: 8, destination: 1, type: 7 }),
      seen({ vector: 0x9a, destination: 2, type: 6 }),
    ]);
    partition.clearVirtualInterrupt();
    expect(guest.interrupts(partition)).toEqual([]);
  });

  it.each<[number, number, Partial<SeenInterrupt>]>([
    [0xfee0_0000, 0x41, {}],
    [0xfee0_3000, 0x4150, { vector: 0x50, destination: 3, type: 1 }],
    [0xfee0_f00c, 0x4051, { vector: 0x51, destination: 15, type: 1, logical: true }],
    [0xfee0_f004, 0x0162, { vector: 0x62, destination: 15, type: 1, logical: true }],
    [0xfee0_1000, 0x0400, { vector: 0, destination: 1, type: 4 }],
  ])('of the MSI %#x <- %#x is that of a route', (address, data, expected) => {
    partition.requestMsi(address, data);
    using route = partition.irqfd.newRoute({ msi: { address, data } });
    route.event.signal();
    expect(guest.interrupts(partition)).toEqual([seen(expected), seen(expected)]);
  });

  it('of an MSI that a route refuses is refused', () => {
    for (const [address, data] of [
      [0xfee0_4000, 0x41],
      [0x1_fee0_0000, 0x41],
      [0xfee0_0000, 0x0f],
      [0xfee0_0000, 0x341],
      [0xfee0_0000, 0xc041],
    ] as const) {
      expect(() => {
        partition.requestMsi(address, data);
      }).toThrow(RangeError);
    }
    expect(guest.interrupts(partition)).toEqual([]);
  });
});

describe('registers', () => {
  const general = Uint32Array.from({ length: 16 }, (_, i) => x64Registers.RAX + i);

  it('go round, any number of them, without the VP being run', () => {
    // Each register many times over: the last value stays.
    const names = Uint32Array.from({ length: 1000 }, (_, i) => general[i % 16] ?? 0);
    const values = BigUint64Array.from({ length: 2000 }, (_, i) =>
      i % 2 === 0 ? BigInt(i) * 0x1234_5678_9abcn : 0n,
    );
    partition.setRegisters(3, names, values);
    const got = partition.getRegisters(3, general);
    for (let i = 0; i < 16; i++) {
      const last = 1000 - 16 + ((i + 16 - (1000 % 16)) % 16);
      expect(got[2 * i]).toBe(values[2 * last]);
    }
    const many = partition.getRegisters(3, names);
    expect([...many]).toEqual(
      [...names].flatMap((name) => [...got.subarray(2 * (name - x64Registers.RAX)).subarray(0, 2)]),
    );
  });

  it('have 128 bits where they do', () => {
    const names = Uint32Array.of(x64Registers.XMM0, x64Registers.XMM0 + 15);
    const values = BigUint64Array.of(1n, 2n ** 64n - 1n, 2n ** 63n, 3n);
    partition.setRegisters(0, names, values);
    expect(partition.getRegisters(0, names)).toEqual(values);
  });

  it('are those of one VP and one partition', () => {
    using other = guest.createPartition(1);
    const rip = Uint32Array.of(x64Registers.RIP);
    partition.setRegisters(1, rip, BigUint64Array.of(0x1111n, 0n));
    partition.setRegisters(2, rip, BigUint64Array.of(0x2222n, 0n));
    other.setRegisters(0, rip, BigUint64Array.of(0x3333n, 0n));
    expect(partition.getRegisters(1, rip)[0]).toBe(0x1111n);
    expect(partition.getRegisters(2, rip)[0]).toBe(0x2222n);
    expect(other.getRegisters(0, rip)[0]).toBe(0x3333n);
  });

  it('of a VP that does not exist are EINVAL with INVALID_VP_INDEX', () => {
    for (const call of [
      () => partition.getRegisters(4, general),
      () => {
        partition.setRegisters(255, general, new BigUint64Array(32));
      },
    ]) {
      expect(thrownBy(call)).toMatchObject({
        code: 'EINVAL',
        hvStatus: { code: 0x0e, name: 'HV_STATUS_INVALID_VP_INDEX' },
        repsCompleted: 0,
      });
    }
  });

  it('can be had by packing the hypercall oneself, too', () => {
    const input = new Uint8Array(16 + 4 * 16);
    new DataView(input.buffer).setUint32(8, 2, true);
    input.set(new Uint8Array(general.buffer), 16);
    partition.setRegisters(2, general, new BigUint64Array(32).fill(7n));
    const output = partition.hypercall({ code: 'HVCALL_GET_VP_REGISTERS', input, reps: 16 });
    expect(new BigUint64Array(output.buffer)).toEqual(partition.getRegisters(2, general));
  });
});

describe('intercepts and their results', () => {
  it('are taken, each kind', () => {
    partition.installIntercept({ type: 'io-port', port: 0x3f8 });
    partition.installIntercept({ type: 'io-port', port: 0x3f8, access: 'none' });
    partition.installIntercept({ type: 'io-port-range', first: 0x1f0, last: 0x1f7 });
    partition.installIntercept({ type: 'msr-index', msr: 0xc000_0080, access: 'write' });
    partition.installIntercept({ type: 'cpuid', leaf: 1 });
    partition.installIntercept({ type: 'exception', vector: 14 });
    for (const type of ['msr', 'hypercall', 'unknown-synic-connection'] as const) {
      partition.installIntercept({ type });
    }
    partition.registerCpuidResult({ vp: 0, leaf: 0x4000_0000, eax: 1, ebx: { value: 2, mask: 2 } });
    partition.registerMsrResult({ vp: 3, msr: 0x10, action: 'ignore-write-read-zero' });
  });

  it('of a VP that does not exist are refused', () => {
    for (const call of [
      () => {
        partition.registerCpuidResult({ vp: 9, leaf: 1 });
      },
      () => {
        partition.registerMsrResult({ vp: 9, msr: 1, action: 'fault' });
      },
    ]) {
      expect(thrownBy(call)).toMatchObject({
        hypercall: 'HVCALL_REGISTER_INTERCEPT_RESULT',
        hvStatus: { name: 'HV_STATUS_INVALID_VP_INDEX' },
      });
    }
  });

  it('leave CPUID to be asked for, any number of leaves', () => {
    // Not leaf 1, which may have the number of the processor that happens to answer.
    const leaves = Array.from({ length: 400 }, (_, i) => ({ eax: (i % 2) * 7, ecx: 0 }));
    const values = partition.cpuidValues({ vp: 1, leaves });
    expect(values).toHaveLength(400);
    const [even, odd] = values;
    expect(values).toEqual(leaves.map(({ eax }) => (eax === 0 ? even : odd)));
    expect(thrownBy(() => partition.cpuidValues({ vp: 4, leaves }))).toMatchObject({
      hvStatus: { name: 'HV_STATUS_INVALID_VP_INDEX' },
      repsCompleted: 0,
    });
  });
});

describe('a VP that was made', () => {
  it('has its SINTs masked, the version of its SynIC, and its APIC where every processor has it', () => {
    const { SINT0, SCONTROL, SVERSION, SIEFP, SIMP, APIC_BASE } = x64Registers;
    const sints = Array.from({ length: 16 }, (_, sint) => SINT0 + sint);
    const names = Uint32Array.of(...sints, SCONTROL, SVERSION, SIEFP, SIMP, APIC_BASE);
    for (const vp of [0, 1, 2]) {
      const values = partition.getRegisters(vp, names).filter((_, i) => i % 2 === 0);
      const masked = new Array<bigint>(16).fill(0x1_0000n);
      const apic = vp === 0 ? 0xfee0_0900n : 0xfee0_0800n;
      expect([...values]).toEqual([...masked, 0n, 1n, 0n, 0n, apic]);
    }
  });

  it('has a version that nobody can write, and an EOM that nobody can read', () => {
    const names = Uint32Array.of(x64Registers.SVERSION, x64Registers.EOM);
    partition.setRegisters(0, names, BigUint64Array.of(7n, 0n, 7n, 0n));
    expect([...partition.getRegisters(0, names)]).toEqual([1n, 0n, 0n, 0n]);
  });

  const { DELIVERABILITY_NOTIFICATIONS, RIP, RAX } = x64Registers;
  const notifications = Uint32Array.of(DELIVERABILITY_NOTIFICATIONS);
  const ask = (of: Partition, value: bigint): void => {
    of.setRegisters(0, notifications, BigUint64Array.of(value, 0n));
  };

  it.each([
    ['an NMI', 1n],
    ['a priority', 1n << 2n],
    ['a priority and an interrupt', 0x3en],
    ['what there is not', 1n << 6n],
    ['what there is not, next to the SINTs', 1n << 47n],
  ])('is asked for no notification of %s', (_, value) => {
    ask(partition, 2n);
    const refused = thrownBy(() => {
      ask(partition, (1n << 50n) | value);
    });
    expect(refused).toMatchObject({
      code: 'EINVAL',
      hypercall: 'HVCALL_SET_VP_REGISTERS',
      hvStatus: { code: 5, name: 'HV_STATUS_INVALID_PARAMETER' },
    });
    expect(partition.getRegisters(0, notifications)[0]).toBe(2n);
  });

  it('keeps the registers that were set before the one that is refused', () => {
    const refused = thrownBy(() => {
      partition.setRegisters(
        0,
        Uint32Array.of(RIP, DELIVERABILITY_NOTIFICATIONS, RAX),
        BigUint64Array.of(0x1234n, 0n, 1n, 0n, 5n, 0n),
      );
    });
    expect(refused).toMatchObject({ repsCompleted: 1 });
    const [rip, , rax] = partition.getRegisters(0, Uint32Array.of(RIP, RAX));
    expect([rip, rax]).toEqual([0x1234n, 0n]);
  });

  it('without an APIC of the hypervisor’s is asked for NMIs and priorities too', () => {
    using other = guest.device.createPartition({ lapic: false });
    other.initialize();
    other.createVp(0);
    ask(other, 0x3fn);
    expect(other.getRegisters(0, notifications)[0]).toBe(0x3fn);
    expect(
      thrownBy(() => {
        ask(other, 0x40n);
      }),
    ).toMatchObject({ hvStatus: { name: 'HV_STATUS_INVALID_PARAMETER' } });
  });
});

describe('the SynIC', () => {
  beforeEach(() => {
    enableSynic(partition, 0, 3);
  });

  it('takes events, and says which were new', () => {
    expect(partition.signalEventDirect({ vp: 0, sint: 2, flag: 7 })).toBe(true);
    expect(partition.signalEventDirect({ vp: 3, sint: 15, flag: 2047 })).toBe(true);
  });

  it('takes messages', () => {
    partition.postMessageDirect({ vp: 0, sint: 2, type: 1, payload: new Uint8Array(240) });
    partition.postMessageDirect({ vp: 3, sint: 4, type: 0x8000_0001 });
  });

  it('says where its slot is occupied', () => {
    const { HV_STATUS_OBJECT_IN_USE } = hvStatusCodes;
    guest.refuse(hypercalls.HVCALL_POST_MESSAGE_DIRECT.code, HV_STATUS_OBJECT_IN_USE);
    expect(
      thrownBy(() => {
        partition.postMessageDirect({ vp: 0, sint: 2, type: 1 });
      }),
    ).toMatchObject({
      code: 'EIO',
      hvStatus: { name: 'HV_STATUS_OBJECT_IN_USE' },
      message: expect.stringContaining('cannot post a message to VP 0: ') as string,
    });
  });

  it('is that of a VP that exists', () => {
    for (const call of [
      () => partition.signalEventDirect({ vp: 4, sint: 2, flag: 7 }),
      () => {
        partition.postMessageDirect({ vp: 255, sint: 2, type: 1 });
      },
    ]) {
      expect(thrownBy(call)).toMatchObject({ hvStatus: { name: 'HV_STATUS_INVALID_VP_INDEX' } });
    }
  });
});
