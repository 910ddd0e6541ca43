import { beforeEach, describe, expect, it } from 'vitest';

import { FakeHypervisor } from '../../lab/fakehv.js';
import { insideLab } from '../inside-lab.js';
import { thrownBy } from '../thrown-by.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// The hypercalls for a partition that the driver passes through, against what the guest's side sees of them.

const pageSize = 4096;

const guest = await guestSideForTests();

partitionForEachTest(guest);

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
