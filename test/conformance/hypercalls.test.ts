import { constants } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';

import { hvStatusCodes, hvStatusErrno } from '../../lib/abi/hv-status.js';
import { hypercalls, type HypercallName } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import { MshvError, type Partition } from '../../lib/index.js';
import { FakeHypervisor } from '../../lab/fakehv.js';
import { enableSynic } from '../enable-synic.js';
import type { SeenInterrupt } from '../guest-side.js';
import { insideLab } from '../inside-lab.js';
import { thrownBy } from '../thrown-by.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// Every hypercall that the driver passes through, against what the guest's side sees of it, and the
// driver's rules for passing them through (mshv_ioctl_passthru_hvcall).

const { EBADF, EINVAL, EIO, ENOTTY } = constants.errno;
const pageSize = 4096;

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

describe('memory', () => {
  const pages = 5000;
  const gpa = 0x10_0000n;
  let memory: number;

  beforeEach(() => {
    memory = guest.native.memoryCreate(BigInt(pages * pageSize), false, false);
    const size = BigInt(pages * pageSize);
    expect(guest.native.mapMemory(partition.fd, memory, 0n, size, gpa, 3)).toBe(0);
    return () => {
      guest.native.mapMemory(partition.fd, memory, 0n, size, gpa, 7);
      guest.native.memoryUnmap(memory);
    };
  });

  it('is where its address is translated to, and nowhere else', () => {
    expect(partition.translateGva({ vp: 0, gva: gpa + 0x123n })).toMatchObject({
      result: 'success',
      gpa: gpa + 0x123n,
    });
    expect(
      partition.translateGva({ vp: 3, gva: 0n, flags: ['VALIDATE_WRITE', 'PRIVILEGE_EXEMPT'] }),
    ).toMatchObject({ result: 'gpa-unmapped', gpa: undefined });
    expect(thrownBy(() => partition.translateGva({ vp: 4, gva: gpa }))).toMatchObject({
      hvStatus: { name: 'HV_STATUS_INVALID_VP_INDEX' },
    });
  });

  it('has access states that can be set, looked at without a change, and cleared', () => {
    const states = (options = {}): Uint8Array => partition.accessStates({ gpa, pages, ...options });
    states({ clearAccessed: true, clearDirty: true });
    const none = new Uint8Array(pages);
    expect(states()).toEqual(none);
    // The states come as they were before.
    expect(states({ setDirty: true })).toEqual(none);
    const dirty = states();
    expect(dirty.every((bits) => (bits & 2) !== 0)).toBe(true);
    expect(states()).toEqual(dirty);
    const half = BigInt(pages / 2);
    partition.accessStates({ gpa, pages: pages / 2, clearDirty: true, clearAccessed: true });
    const left = states();
    expect(left.subarray(0, pages / 2)).toEqual(none.subarray(0, pages / 2));
    expect(left.subarray(pages / 2)).toEqual(dirty.subarray(pages / 2));
    expect(partition.accessStates({ gpa: gpa + half * 4096n, pages: 1 })).toEqual(
      dirty.subarray(0, 1),
    );
  });

  it('that is not mapped has no states', () => {
    expect(thrownBy(() => partition.accessStates({ gpa, pages: pages + 1 }))).toMatchObject({
      code: 'EINVAL',
      hvStatus: { name: 'HV_STATUS_INVALID_PARAMETER' },
      repsCompleted: 4095,
    });
  });
});

describe('properties', () => {
  it('go round by name and by code', () => {
    partition.setProperty('CPU_WEIGHT', 100);
    expect(partition.property('CPU_WEIGHT')).toBe(100n);
    expect(partition.property(0x20003)).toBe(100n);
    partition.setProperty(0x20003, 2n ** 64n - 1n);
    expect(partition.property('CPU_WEIGHT')).toBe(2n ** 64n - 1n);
  });

  it('belong to one partition, and the device has those of the host', () => {
    using other = guest.createPartition(1);
    partition.setProperty('CPU_CAP', 5);
    other.setProperty('CPU_CAP', 6);
    expect([partition, other].map((one) => one.property('CPU_CAP'))).toEqual([5n, 6n]);
    expect(guest.device.property('CPU_CAP')).toBe(0n);
    expect(guest.device.property('PROCESSOR_CLOCK_FREQUENCY')).toBeGreaterThan(0n);
  });

  it('that the hypervisor does not know are EIO with UNKNOWN_PROPERTY', () => {
    for (const call of [
      () => partition.property(0xdead_0000),
      () => guest.device.property(0xdead_0000),
      () => {
        partition.setProperty(0xdead_0000, 1);
      },
      () => partition.propertyEx(0xdead_0000),
    ]) {
      expect(thrownBy(call)).toMatchObject({
        code: 'EIO',
        hvStatus: { code: 9, name: 'HV_STATUS_UNKNOWN_PROPERTY' },
      });
    }
  });

  it.each([
    'PRIVILEGE_FLAGS',
    'SYNTHETIC_PROC_FEATURES',
    'GIC_LPI_INT_ID_BITS',
    'GIC_PPI_PMBIRQ',
    'PROCESSOR_VENDOR',
    'PROCESSOR_FEATURES0',
    'PROCESSOR_XSAVE_FEATURES',
    'COMPATIBILITY_VERSION',
    'MAX_XSAVE_DATA_SIZE',
    'PROCESSOR_FEATURES1',
  ] as const)('such as %s are too late once the partition is initialized', (property) => {
    const before = partition.property(property);
    expect(
      thrownBy(() => {
        partition.setProperty(property, before + 1n);
      }),
    ).toMatchObject({
      code: 'EIO',
      hvStatus: { code: 7, name: 'HV_STATUS_INVALID_PARTITION_STATE' },
    });
    expect(partition.property(property)).toBe(before);
    using other = guest.device.createPartition();
    other.setProperty(property, before + 1n);
    expect(other.property(property)).toBe(before + 1n);
  });

  it.each([
    'CPU_WEIGHT',
    'TIME_FREEZE',
    'PROCESSORS_PER_SOCKET',
    'GPA_PAGE_ACCESS_TRACKING',
    'ISOLATION_STATE',
    'ISOLATION_POLICY',
    'UNIMPLEMENTED_MSR_ACTION',
    'SEV_VMGEXIT_OFFLOADS',
    'GICD_BASE_ADDRESS',
  ] as const)('such as %s are set later', (property) => {
    partition.setProperty(property, 1n);
    expect(partition.property(property)).toBe(1n);
    partition.setProperty(property, 0n);
    expect(partition.property(property)).toBe(0n);
  });

  it('have the clock set where it stands', () => {
    const set = (): void => {
      partition.setProperty('REFERENCE_TIME', 12_345n);
    };
    expect(thrownBy(set)).toMatchObject({
      hvStatus: { name: 'HV_STATUS_INVALID_PARTITION_STATE' },
    });
    partition.setProperty('TIME_FREEZE', 1);
    set();
    expect(partition.property('REFERENCE_TIME')).toBe(12_345n);
    partition.setProperty('TIME_FREEZE', 0);
    expect(partition.property('REFERENCE_TIME')).toBeGreaterThanOrEqual(12_345n);
    expect(thrownBy(set)).toMatchObject({
      hvStatus: { name: 'HV_STATUS_INVALID_PARTITION_STATE' },
    });
  });

  it('that are no single word come as bytes', () => {
    const bytes = guest.device.propertyEx('VMM_CAPABILITIES');
    expect(bytes).toHaveLength(4072);
    expect(new DataView(bytes.buffer).getUint16(0, true)).toBe(1);
    expect(guest.device.propertyEx('VMM_CAPABILITIES', { size: 2 })).toEqual(bytes.subarray(0, 2));
  });

  // The simulator's hypervisor completes at once. The driver waits either way, and nobody can tell.
  it.runIf(insideLab)('may be completed later: the driver waits', () => {
    const hypervisor = new FakeHypervisor();
    hypervisor.setAsyncProperties(true);
    try {
      for (let weight = 1n; weight <= 50n; weight++) {
        partition.setProperty('CPU_WEIGHT', weight);
        expect(partition.property('CPU_WEIGHT')).toBe(weight);
      }
      expect(
        thrownBy(() => {
          partition.setProperty(0xdead_0000, 1);
        }),
      ).toMatchObject({ code: 'EIO', hvStatus: { name: 'HV_STATUS_UNKNOWN_PROPERTY' } });
      partition.requestInterrupt({ vector: 0x51 });
      expect(guest.interrupts(partition).map(({ vector }) => vector)).toEqual([0x51]);
    } finally {
      hypervisor.setAsyncProperties(false);
      hypervisor.close();
    }
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
    const leaves = Array.from({ length: 400 }, (_, i) => ({ eax: i % 2, ecx: 0 }));
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

const everyCall: Readonly<Record<HypercallName, () => unknown>> = {
  HVCALL_GET_PARTITION_PROPERTY: () => partition.property('XSAVE_STATES'),
  HVCALL_SET_PARTITION_PROPERTY: () => {
    partition.setProperty('CPU_WEIGHT', 1);
  },
  HVCALL_INSTALL_INTERCEPT: () => {
    partition.installIntercept({ type: 'hypercall' });
  },
  HVCALL_GET_VP_REGISTERS: () => partition.getRegisters(0, Uint32Array.of(x64Registers.RIP)),
  HVCALL_SET_VP_REGISTERS: () => {
    partition.setRegisters(0, Uint32Array.of(x64Registers.RIP), new BigUint64Array(2));
  },
  HVCALL_TRANSLATE_VIRTUAL_ADDRESS: () => partition.translateGva({ vp: 0, gva: 0 }),
  HVCALL_CLEAR_VIRTUAL_INTERRUPT: () => {
    partition.clearVirtualInterrupt();
  },
  HVCALL_REGISTER_INTERCEPT_RESULT: () => {
    partition.registerCpuidResult({ vp: 0, leaf: 1 });
  },
  HVCALL_ASSERT_VIRTUAL_INTERRUPT: () => {
    partition.requestInterrupt({ vector: 0x41 });
  },
  HVCALL_SIGNAL_EVENT_DIRECT: () => partition.signalEventDirect({ vp: 0, sint: 3, flag: 1 }),
  HVCALL_POST_MESSAGE_DIRECT: () => {
    partition.postMessageDirect({ vp: 0, sint: 5, type: 1 });
  },
  HVCALL_GET_GPA_PAGES_ACCESS_STATES: () => partition.accessStates({ gpa: 0, pages: 1 }),
  HVCALL_GET_VP_CPUID_VALUES: () => partition.cpuidValues({ vp: 0, leaves: [{ eax: 0 }] }),
  HVCALL_GET_PARTITION_PROPERTY_EX: () => partition.propertyEx('VMM_CAPABILITIES'),
};
const names = Object.keys(everyCall) as HypercallName[];

describe('what the hypervisor refuses', () => {
  beforeEach(() => {
    enableSynic(partition, 0);
  });

  it.each(names)('%s says by name, and does nothing', (name) => {
    for (const [statusName, status] of [
      ['HV_STATUS_INVALID_PARAMETER', 5],
      ['HV_STATUS_ACCESS_DENIED', 6],
      ['HV_STATUS_INVALID_VP_STATE', 0x15],
      ['HV_STATUS_INVALID_REGISTER_VALUE', 0x50],
    ] as const) {
      guest.refuse(hypercalls[name].code, status);
      expect(thrownBy(everyCall[name])).toMatchObject({
        name: 'MshvError',
        code: hvStatusErrno(status),
        ioctl: 'MSHV_ROOT_HVCALL',
        hypercall: name,
        hvStatus: { code: status, name: statusName },
      });
    }
    expect(guest.interrupts(partition)).toEqual([]);
  });

  it.each(names.filter((name) => name !== 'HVCALL_GET_GPA_PAGES_ACCESS_STATES'))(
    '%s for lack of memory gets it from the driver, and is done',
    (name) => {
      guest.refuse(hypercalls[name].code, hvStatusCodes.HV_STATUS_INSUFFICIENT_MEMORY, 3);
      expect(everyCall[name]).not.toThrow();
    },
  );
});

describe('passing through', () => {
  const result = new Uint32Array(2);
  const nothing = new Uint8Array(0);
  const call = (
    fd: number,
    name: HypercallName | number,
    input: Uint8Array,
    outputSize = 0,
    reps = 0,
  ): { returned: number; status: number; reps: number; output: Uint8Array } => {
    const output = new Uint8Array(outputSize);
    const code = typeof name === 'number' ? name : hypercalls[name].code;
    result.fill(0xffff);
    const returned = guest.native.hypercall(fd, code, reps, input, output, result);
    return { returned, status: result[0] ?? -1, reps: result[1] ?? -1, output };
  };
  const refused = (returned: number) => ({ returned, status: 0, reps: 0 });
  const registerInput = (vp: number, ...codes: number[]): Uint8Array => {
    const input = new Uint8Array(16 + 4 * codes.length);
    const view = new DataView(input.buffer);
    view.setBigUint64(0, 0xdead_beef_dead_beefn, true);
    view.setUint32(8, vp, true);
    codes.forEach((code, i) => {
      view.setUint32(16 + 4 * i, code, true);
    });
    return input;
  };
  const propertyInput = (code: number): Uint8Array => {
    const input = new Uint8Array(24).fill(0xee);
    new DataView(input.buffer).setUint32(8, code, true);
    return input;
  };
  const vpFd = (index: number): number => {
    const vp = partition.vps[index];
    if (vp === undefined) throw new Error(`no VP ${index}`);
    return vp.fd;
  };
  let device: number;

  beforeEach(() => {
    device = guest.native.open(guest.device.path);
    expect(device).toBeGreaterThanOrEqual(0);
    return () => {
      guest.native.close(device);
    };
  });

  it('refuses codes that are not on the list, and inputs without a partition id', () => {
    for (const code of [0, 0x43, 0x4e, 0x5c, 0x5d, 0x100, 0xffff]) {
      expect(call(partition.fd, code, new Uint8Array(24))).toMatchObject(refused(-EINVAL));
      expect(call(vpFd(0), code, new Uint8Array(24))).toMatchObject(refused(-EINVAL));
    }
    for (const length of [0, 4, 7]) {
      expect(
        call(partition.fd, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(length)),
      ).toMatchObject(refused(-EINVAL));
    }
  });

  it('lets the device read properties, and nothing else', () => {
    for (const name of names) {
      const { input, output, repInput, repOutput, kind } = hypercalls[name];
      const reps = kind === 'rep' ? 1 : 0;
      const { returned, status } = call(
        device,
        name,
        propertyInput(0x60009).subarray(0, 24).length >= input + repInput
          ? propertyInput(0x60009)
          : new Uint8Array(input + repInput),
        output + repOutput,
        reps,
      );
      expect({ name, returned, status }).toEqual({
        name,
        returned: hypercalls[name].device ? 0 : -EINVAL,
        status: 0,
      });
    }
  });

  it('writes the partition id, whatever was there', () => {
    const first = call(partition.fd, 'HVCALL_GET_PARTITION_PROPERTY', propertyInput(0x60009), 8);
    expect(first).toMatchObject({ returned: 0, status: 0, reps: 0 });
    expect(new DataView(first.output.buffer).getBigUint64(0, true)).toBe(
      guest.device.property('PROCESSOR_CLOCK_FREQUENCY'),
    );
  });

  it('leaves it to the hypervisor whether a call has reps', () => {
    const invalid = { status: hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_INPUT, reps: 0 };
    expect(
      call(partition.fd, 'HVCALL_GET_PARTITION_PROPERTY', propertyInput(0x60009), 8, 1),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
    expect(
      call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 16, 0),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
    expect(
      call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 0, 1),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
  });

  it('says how many reps were done, and hands over an output only then', () => {
    const codes = Array.from({ length: 5 }, (_, i) => x64Registers.RAX + i);
    partition.setRegisters(
      1,
      Uint32Array.from(codes),
      BigUint64Array.from({ length: 10 }, (_, i) => BigInt(i % 2 === 0 ? i + 1 : 0)),
    );
    const done = call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(1, ...codes), 80, 5);
    expect(done).toMatchObject({ returned: 0, status: 0, reps: 5 });
    expect([...new BigUint64Array(done.output.buffer)]).toEqual([
      1n,
      0n,
      3n,
      0n,
      5n,
      0n,
      7n,
      0n,
      9n,
      0n,
    ]);
    const none = call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(9, ...codes), 80, 5);
    expect(none).toMatchObject({
      returned: -EINVAL,
      status: hvStatusCodes.HV_STATUS_INVALID_VP_INDEX,
      reps: 0,
    });
    expect(none.output).toEqual(new Uint8Array(80));
  });

  it('reaches every VP through any VP, and sets no properties there', () => {
    const rip = x64Registers.RIP;
    partition.setRegisters(2, Uint32Array.of(rip), BigUint64Array.of(0x4242n, 0n));
    const other = call(vpFd(0), 'HVCALL_GET_VP_REGISTERS', registerInput(2, rip), 16, 1);
    expect(other.returned).toBe(0);
    expect(new BigUint64Array(other.output.buffer)[0]).toBe(0x4242n);
    expect(call(vpFd(0), 'HVCALL_SET_PARTITION_PROPERTY', propertyInput(0x20003))).toMatchObject(
      refused(-EINVAL),
    );
    for (const name of names) {
      expect(hypercalls[name].vp).toBe(name !== 'HVCALL_SET_PARTITION_PROPERTY');
    }
    const vp = partition.vps[1];
    expect(
      vp?.hypercall({ code: 'HVCALL_GET_PARTITION_PROPERTY', input: propertyInput(0x60009) }),
    ).toEqual(
      partition.hypercall({
        code: 'HVCALL_GET_PARTITION_PROPERTY',
        input: propertyInput(0x60009),
      }),
    );
  });

  it('goes on through a VP when the partition is closed', () => {
    using other = guest.createPartition(1);
    const [vp] = other.vps;
    if (vp === undefined) throw new Error('no VP');
    const kept = guest.native.dup(vp.fd);
    other.close();
    expect(
      call(kept, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 16, 1),
    ).toMatchObject({ returned: 0, reps: 1 });
    guest.native.close(kept);
  });

  it('is of descriptors of the driver that are this environment’s', () => {
    const event = guest.native.eventfdCreate(0, false);
    expect(call(event, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(8)).returned).toBe(-ENOTTY);
    guest.native.close(event);
    expect(call(9999, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(8)).returned).toBe(-EBADF);
    expect(call(partition.fd, 0x56, new Uint8Array(4097)).returned).toBe(-EINVAL);
    expect(call(partition.fd, 0x44, propertyInput(1), 4097).returned).toBe(-EINVAL);
    expect(call(partition.fd, 0x56, nothing).returned).toBe(-EINVAL);
  });

  it('knows an error by its errno where it has no status of its own', () => {
    guest.refuse(hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, 0x7b);
    expect(call(partition.fd, 0x56, new Uint8Array(8))).toMatchObject({
      returned: -EIO,
      status: 0x7b,
    });
    guest.refuse(hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, 0x7b);
    const error = thrownBy(() => {
      partition.clearVirtualInterrupt();
    });
    expect(error).toBeInstanceOf(MshvError);
    expect(error).toMatchObject({ code: 'EIO', hvStatus: { code: 0x7b, name: 'HV_STATUS_0x7b' } });
  });
});
