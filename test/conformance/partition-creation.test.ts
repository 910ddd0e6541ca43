import { describe, expect, it } from 'vitest';

import { bitsOf } from '../../lib/abi/feature-bits.js';
import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { syntheticProcessorFeatures } from '../../lib/abi/properties.js';
import { openDescriptors } from '../open-descriptors.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// What a new partition is given before anybody can use it, and what of that a hypervisor may refuse.

const setCode = hypercalls.HVCALL_SET_PARTITION_PROPERTY.code;
const getCode = hypercalls.HVCALL_GET_PARTITION_PROPERTY.code;
const getExCode = hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.code;
const {
  HV_STATUS_ACCESS_DENIED,
  HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE,
  HV_STATUS_UNKNOWN_PROPERTY,
} = hvStatusCodes;

const guest = await guestSideForTests();

/** What the next of everything is, so that nothing planned is left over. */
function features(refusals = 0): bigint {
  if (refusals > 0) guest.refuse(setCode, HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE, refusals);
  using partition = guest.device.createPartition();
  return partition.property('SYNTHETIC_PROC_FEATURES');
}

const bit = (name: keyof typeof syntheticProcessorFeatures): bigint =>
  bitsOf([name], syntheticProcessorFeatures);

describe('a new partition', () => {
  it('shows its guest a hypervisor', () => {
    const given = features();
    for (const name of [
      'hypervisor_present',
      'hv1',
      'access_synic_regs',
      'access_vp_index',
    ] as const) {
      expect(given & bit(name)).toBe(bit(name));
    }
    // These need somebody in user space.
    for (const name of ['signal_events', 'retarget_device_interrupt', 'access_vsm'] as const) {
      expect(given & bit(name)).toBe(0n);
    }
  });

  it('has fewer features where the hypervisor refuses them, and none where it refuses all', () => {
    const all = features();
    const fewer = features(1);
    expect(fewer).not.toBe(all);
    expect(fewer & all).toBe(fewer);
    expect(fewer & bit('hv1')).toBe(bit('hv1'));
    expect(features(2)).toBe(0n);
    expect(features()).toBe(all);
  });

  it('has the features that are asked for, or is none', () => {
    const syntheticFeatures = ['hypervisor_present', 'access_vsm'] as const;
    {
      using partition = guest.device.createPartition({ syntheticFeatures });
      expect(partition.property('SYNTHETIC_PROC_FEATURES')).toBe(
        bitsOf(syntheticFeatures, syntheticProcessorFeatures),
      );
      using bare = guest.device.createPartition({ syntheticFeatures: [] });
      expect(bare.property('SYNTHETIC_PROC_FEATURES')).toBe(0n);
    }
    const before = openDescriptors();
    guest.refuse(setCode, HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
    expect(() => guest.device.createPartition({ syntheticFeatures })).toThrow(
      expect.objectContaining({
        code: 'EIO',
        hvStatus: { code: 10, name: 'HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE' },
      }),
    );
    expect(openDescriptors()).toBe(before);
  });

  it('can be given features until it is initialized', () => {
    using partition = guest.device.createPartition();
    partition.setProperty('SYNTHETIC_PROC_FEATURES', 0b11n);
    partition.initialize();
    expect(partition.property('SYNTHETIC_PROC_FEATURES')).toBe(0b11n);
    expect(() => {
      partition.setProperty('SYNTHETIC_PROC_FEATURES', 0b111n);
    }).toThrow(
      expect.objectContaining({
        hvStatus: { code: 7, name: 'HV_STATUS_INVALID_PARTITION_STATE' },
      }),
    );
    expect(partition.property('SYNTHETIC_PROC_FEATURES')).toBe(0b11n);
  });
});

describe('an MSR that the hypervisor does not know', () => {
  it('is ignored unless it shall fault', () => {
    using usual = guest.device.createPartition();
    using strict = guest.device.createPartition({ unimplementedMsrAction: 'fault' });
    for (const partition of [usual, strict]) {
      partition.setProperty('UNIMPLEMENTED_MSR_ACTION', 1 - Number(partition === usual));
      partition.initialize();
    }
    expect(usual.property('UNIMPLEMENTED_MSR_ACTION')).toBe(1n);
    expect(strict.property('UNIMPLEMENTED_MSR_ACTION')).toBe(0n);
  });

  it('is what the hypervisor wants where it takes no default', () => {
    using partition = guest.device.createPartition();
    guest.refuse(setCode, HV_STATUS_UNKNOWN_PROPERTY);
    partition.initialize();
    expect(partition.property('UNIMPLEMENTED_MSR_ACTION')).toBe(0n);
    partition.createVp(0);
  });

  it('is an error where the hypervisor does not take what was asked for', () => {
    using partition = guest.device.createPartition({
      unimplementedMsrAction: 'ignore-write-read-zero',
    });
    guest.refuse(setCode, HV_STATUS_ACCESS_DENIED);
    expect(() => {
      partition.initialize();
    }).toThrow(expect.objectContaining({ hvStatus: { code: 6, name: 'HV_STATUS_ACCESS_DENIED' } }));
    partition.initialize();
    expect(partition.property('UNIMPLEMENTED_MSR_ACTION')).toBe(1n);
  });
});

describe('the host', () => {
  it('tells what it can', () => {
    const host = guest.device.hostProperties();
    expect(host.processorClockFrequency).toBeGreaterThan(0n);
    expect(host.maxXsaveDataSize).toBeGreaterThan(0);
    expect(host.xsaveStates).toBeGreaterThan(0n);
    expect(host.vmmCapabilities).toBeInstanceOf(Array);
  });

  it('need not tell anything', () => {
    const before = guest.calls('MSHV_ROOT_HVCALL');
    const host = guest.device.hostProperties();
    const questions = guest.calls('MSHV_ROOT_HVCALL') - before;
    const extended = 2;
    guest.refuse(getCode, HV_STATUS_UNKNOWN_PROPERTY, questions - extended);
    guest.refuse(getExCode, HV_STATUS_ACCESS_DENIED, extended);
    const silent = guest.device.hostProperties();
    expect(Object.keys(silent)).toEqual(Object.keys(host));
    expect(Object.values(silent).filter((value) => value !== undefined)).toEqual([]);
    expect(guest.device.hostProperties()).toEqual(host);
  });

  it('need not tell which features it can assign', () => {
    const all = features();
    guest.refuse(getExCode, HV_STATUS_ACCESS_DENIED);
    expect(features()).toBe(all);
  });
});
