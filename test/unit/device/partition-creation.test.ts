import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { bitNames, bitsOf } from '../../../lib/abi/feature-bits.js';
import { hvStatusCodes, type HvStatusName } from '../../../lib/abi/hv-status.js';
import { hypercalls } from '../../../lib/abi/hypercalls.js';
import {
  partitionProperties,
  syntheticProcessorFeatures,
  type PartitionPropertyName,
} from '../../../lib/abi/properties.js';
import { Mshv, MshvError, type HostProperties } from '../../../lib/index.js';
import { FakeNative, type FakeAnswer } from '../../fake-native.js';
import { openDescriptors } from '../../open-descriptors.js';

const { EINVAL, EIO, ENOMEM, ENOTTY, EPERM } = constants.errno;
const get = hypercalls.HVCALL_GET_PARTITION_PROPERTY.code;
const getEx = hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.code;
const set = hypercalls.HVCALL_SET_PARTITION_PROPERTY.code;

type Properties = Partial<Record<PartitionPropertyName, bigint | FakeAnswer>>;

/** A host whose hypervisor has these properties, and refuses others as unknown; sets what it is told to. */
class FakeProperties {
  readonly native = new FakeNative();
  readonly device: Mshv;
  /** What was set on partitions, refused or not, in order. */
  readonly sets: [PartitionPropertyName, bigint][] = [];
  /** Answers to the sets to come; success where there are none left. */
  readonly answers: (FakeAnswer | undefined)[] = [];

  constructor(properties: Properties = {}) {
    const names = new Map(
      Object.entries(partitionProperties).map(([name, code]) => [
        code as number,
        name as PartitionPropertyName,
      ]),
    );
    this.native.hypervisor = ({ code, input, output }) => {
      const view = new DataView(input.buffer);
      const name = names.get(view.getUint32(8, true));
      if (name === undefined) throw new Error('a property without a name');
      if (code === set) {
        this.sets.push([name, view.getBigUint64(16, true)]);
        return this.answers.shift();
      }
      const value = properties[name] ?? { status: hvStatusCodes.HV_STATUS_UNKNOWN_PROPERTY };
      if (typeof value !== 'bigint') return value;
      const bytes = new Uint8Array(4072).fill(0xee);
      const words = new DataView(bytes.buffer);
      if (code === getEx) words.setUint16(0, 1, true);
      words.setBigUint64(code === getEx ? 8 : 0, value, true);
      output.set(bytes.subarray(0, output.length));
      return undefined;
    };
    this.device = Mshv.open({ native: this.native });
    this.native.record();
  }

  /** The codes of the hypercalls so far. */
  get codes(): unknown[] {
    return this.native.calls.flatMap(({ name, args }) => (name === 'hypercall' ? [args[1]] : []));
  }
}

const all = 2n ** 64n - 1n;
const assignable = (bits: bigint): Properties => ({ ASSIGNABLE_SYNTHETIC_PROC_FEATURES: bits });
const refusal = (name: HvStatusName): FakeAnswer => ({ status: hvStatusCodes[name] });

describe('the synthetic features of a new partition', () => {
  it('are what the host can assign of the default ones', () => {
    const host = new FakeProperties(assignable(all));
    using partition = host.device.createPartition();
    expect(partition.closed).toBe(false);
    expect(host.native.calls.map(({ name }) => name)).toEqual([
      'createPartitionV2',
      'hypercall',
      'hypercall',
    ]);
    expect(host.codes).toEqual([getEx, set]);
    const [bits = 0n] = host.sets.map(([, value]) => value);
    expect(host.sets).toEqual([['SYNTHETIC_PROC_FEATURES', bits]]);
    // What neither a Linux nor a Windows guest enlightens itself without, and all that VMMs agree on.
    expect(bitNames(bits, syntheticProcessorFeatures)).toEqual([
      'hypervisor_present',
      'hv1',
      'access_vp_run_time_reg',
      'access_partition_reference_counter',
      'access_synic_regs',
      'access_synthetic_timer_regs',
      'access_intr_ctrl_regs',
      'access_hypercall_regs',
      'access_vp_index',
      'access_partition_reference_tsc',
      'access_guest_idle_reg',
      'access_frequency_regs',
      'direct_synthetic_timers',
      'extended_processor_masks',
      'tb_flush_hypercalls',
      'synthetic_cluster_ipi',
      'access_vp_regs',
      'flush_guest_physical_address_space',
    ]);

    const poor = new FakeProperties(assignable(0b1011n));
    using other = poor.device.createPartition();
    expect(other.closed).toBe(false);
    expect(poor.sets).toEqual([['SYNTHETIC_PROC_FEATURES', 0b1011n]]);
  });

  it('are all of them where the host does not say', () => {
    const told = new FakeProperties(assignable(all));
    told.device.createPartition().close();
    for (const properties of [
      {},
      { ASSIGNABLE_SYNTHETIC_PROC_FEATURES: refusal('HV_STATUS_ACCESS_DENIED') },
      { ASSIGNABLE_SYNTHETIC_PROC_FEATURES: { errno: EINVAL } },
      { ASSIGNABLE_SYNTHETIC_PROC_FEATURES: { errno: ENOTTY } },
    ]) {
      const host = new FakeProperties(properties);
      host.device.createPartition().close();
      expect(host.sets).toEqual(told.sets);
    }
  });

  it('are not taken from an answer without banks', () => {
    const host = new FakeProperties();
    const { hypervisor } = host.native;
    host.native.hypervisor = (call) => {
      if (call.code !== getEx) return hypervisor(call);
      call.output.fill(0xff);
      new DataView(call.output.buffer).setUint16(0, 0, true);
      return undefined;
    };
    host.device.createPartition().close();
    const told = new FakeProperties(assignable(all));
    told.device.createPartition().close();
    expect(host.sets).toEqual(told.sets);
  });

  it('are fewer where the hypervisor refuses them all, and none where it refuses those too', () => {
    const host = new FakeProperties();
    host.answers.push(refusal('HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE'));
    host.device.createPartition().close();
    const [most = 0n, fewer = 0n] = host.sets.map(([, value]) => value);
    expect(host.sets).toHaveLength(2);
    expect(most & fewer).toBe(fewer);
    expect(bitNames(most & ~fewer, syntheticProcessorFeatures)).toEqual([
      'access_vp_run_time_reg',
      'extended_processor_masks',
      'access_vp_regs',
      'flush_guest_physical_address_space',
    ]);

    for (const answer of [
      refusal('HV_STATUS_ACCESS_DENIED'),
      { errno: ENOTTY },
      { errno: EPERM },
    ]) {
      const other = new FakeProperties();
      other.answers.push(answer, answer);
      using partition = other.device.createPartition();
      expect(partition.closed).toBe(false);
      expect(other.sets).toHaveLength(2);
    }
  });

  it('are not set twice alike', () => {
    const host = new FakeProperties(assignable(0b11n));
    host.answers.push(refusal('HV_STATUS_ACCESS_DENIED'));
    host.device.createPartition().close();
    expect(host.sets).toEqual([['SYNTHETIC_PROC_FEATURES', 0b11n]]);

    const nothing = new FakeProperties(assignable(0n));
    nothing.device.createPartition().close();
    expect(nothing.sets).toEqual([]);
  });

  it('are those that the caller names, whatever the host says', () => {
    const host = new FakeProperties(assignable(0n));
    const syntheticFeatures = ['hv1', 'access_vsm', 'hv1'] as const;
    host.device.createPartition({ syntheticFeatures }).close();
    expect(host.sets).toEqual([
      ['SYNTHETIC_PROC_FEATURES', bitsOf(syntheticFeatures, syntheticProcessorFeatures)],
    ]);
    expect(host.codes).toEqual([set]);
    host.native.record();
    host.device.createPartition({ syntheticFeatures: [] }).close();
    expect(host.codes).toEqual([]);
  });

  it('that the caller names are an error where they are refused, and leave no partition', () => {
    const before = openDescriptors();
    const host = new FakeProperties();
    host.answers.push(refusal('HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE'));
    expect(() => host.device.createPartition({ syntheticFeatures: ['hv1'] })).toThrow(
      expect.objectContaining({
        code: 'EIO',
        hypercall: 'HVCALL_SET_PARTITION_PROPERTY',
        hvStatus: { code: 10, name: 'HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE' },
        message: expect.stringContaining(
          'cannot set the property SYNTHETIC_PROC_FEATURES: ',
        ) as string,
      }),
    );
    expect(host.native.partitions.size).toBe(0);
    expect(openDescriptors()).toBe(before + 1);
    host.device.close();
  });

  it('are set on v1 drivers too', () => {
    const host = new FakeProperties(assignable(all));
    host.native.record((name) => (name === 'createPartitionV2' ? EINVAL : undefined));
    using partition = host.device.createPartition();
    expect(partition.generation).toBe('v1');
    expect(host.sets).toHaveLength(1);
  });
});

describe('the action of MSRs that the hypervisor does not know', () => {
  it('is set once, when the partition is initialized', () => {
    const host = new FakeProperties();
    using partition = host.device.createPartition({ syntheticFeatures: [] });
    expect(host.sets).toEqual([]);
    host.native.record();
    partition.initialize();
    expect(host.native.calls.map(({ name }) => name)).toEqual(['initializePartition', 'hypercall']);
    expect(host.sets).toEqual([['UNIMPLEMENTED_MSR_ACTION', 1n]]);
    partition.initialize();
    expect(host.sets).toHaveLength(1);
  });

  it('is what the caller says', () => {
    for (const [unimplementedMsrAction, value] of [
      ['fault', 0n],
      ['ignore-write-read-zero', 1n],
    ] as const) {
      const host = new FakeProperties();
      using partition = host.device.createPartition({
        syntheticFeatures: [],
        unimplementedMsrAction,
      });
      partition.initialize();
      expect(host.sets).toEqual([['UNIMPLEMENTED_MSR_ACTION', value]]);
    }
  });

  it('is not set where the partition cannot be initialized', () => {
    const host = new FakeProperties();
    using partition = host.device.createPartition({ syntheticFeatures: [] });
    host.native.record((name) => (name === 'initializePartition' ? ENOMEM : undefined));
    expect(() => {
      partition.initialize();
    }).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    expect(host.sets).toEqual([]);
    host.native.record();
    partition.initialize();
    expect(host.sets).toHaveLength(1);
  });

  it('may be refused where it is the default', () => {
    for (const answer of [refusal('HV_STATUS_UNKNOWN_PROPERTY'), { errno: ENOTTY }]) {
      const host = new FakeProperties();
      using partition = host.device.createPartition({ syntheticFeatures: [] });
      host.answers.push(answer);
      partition.initialize();
      partition.createVp(0);
      expect(host.sets).toHaveLength(1);
    }
  });

  it('is an error where the caller wants it, and can be tried again', () => {
    const host = new FakeProperties();
    using partition = host.device.createPartition({
      syntheticFeatures: [],
      unimplementedMsrAction: 'fault',
    });
    host.answers.push(refusal('HV_STATUS_UNKNOWN_PROPERTY'));
    expect(() => {
      partition.initialize();
    }).toThrow(
      expect.objectContaining({ code: 'EIO', hypercall: 'HVCALL_SET_PARTITION_PROPERTY' }),
    );
    partition.initialize();
    expect(host.sets).toHaveLength(2);
  });
});

describe('hostProperties()', () => {
  const nothing = Object.fromEntries(
    (
      [
        'processorVendor',
        'processorFeatures',
        'xsaveFeatures',
        'xsaveStates',
        'maxXsaveDataSize',
        'clFlushSize',
        'processorClockFrequency',
        'physicalAddressWidth',
        'implementedPhysicalAddressBits',
        'privilegeFlags',
        'syntheticFeatures',
        'assignableSyntheticFeatures',
        'vmmCapabilities',
        'compatibilityVersion',
        'virtualizationFeatures',
        'integratedScheduler',
      ] satisfies (keyof HostProperties)[]
    ).map((key) => [key, undefined]),
  );
  const whole: Properties = {
    PROCESSOR_VENDOR: 1n,
    PROCESSOR_FEATURES0: all,
    PROCESSOR_FEATURES1: 5n,
    PROCESSOR_XSAVE_FEATURES: 7n,
    XSAVE_STATES: 0xe7n,
    MAX_XSAVE_DATA_SIZE: 2696n,
    PROCESSOR_CL_FLUSH_SIZE: 8n,
    PROCESSOR_CLOCK_FREQUENCY: 2_794_000_000n,
    PHYSICAL_ADDRESS_WIDTH: 46n,
    IMPLEMENTED_PHYSICAL_ADDRESS_BITS: 48n,
    PRIVILEGE_FLAGS: 0x2bb9_ff00_0000_2e7fn,
    SYNTHETIC_PROC_FEATURES: 0b11n | (1n << 12n),
    ASSIGNABLE_SYNTHETIC_PROC_FEATURES: 0b101n,
    VMM_CAPABILITIES: 0b1010010n,
    COMPATIBILITY_VERSION: 0x609n,
    PROCESSOR_VIRTUALIZATION_FEATURES: 9n,
    INTEGRATED_SCHEDULER_ENABLED: 1n,
  };

  it('are what the host tells', () => {
    const host = new FakeProperties(whole);
    expect(host.device.hostProperties()).toEqual({
      processorVendor: 'intel',
      processorFeatures: [all, 5n],
      xsaveFeatures: 7n,
      xsaveStates: 0xe7n,
      maxXsaveDataSize: 2696,
      clFlushSize: 8,
      processorClockFrequency: 2_794_000_000n,
      physicalAddressWidth: 46,
      implementedPhysicalAddressBits: 48,
      privilegeFlags: 0x2bb9_ff00_0000_2e7fn,
      syntheticFeatures: ['hypervisor_present', 'hv1'],
      assignableSyntheticFeatures: ['hypervisor_present', 'access_vp_run_time_reg'],
      vmmCapabilities: [
        'vmm_can_provide_overlay_gpfn',
        'assignable_synthetic_proc_features',
        'vmm_enable_integrated_scheduler',
      ],
      compatibilityVersion: 0x609,
      virtualizationFeatures: 9n,
      integratedScheduler: true,
    });
    for (const { args } of host.native.calls) expect([get, getEx]).toContain(args[1]);
    host.device.close();
  });

  it('are undefined where the host does not know them, for whatever reason', () => {
    const names = Object.keys(whole) as PartitionPropertyName[];
    for (const answer of [
      refusal('HV_STATUS_UNKNOWN_PROPERTY'),
      refusal('HV_STATUS_ACCESS_DENIED'),
      refusal('HV_STATUS_INVALID_PARAMETER'),
      refusal('HV_STATUS_INVALID_HYPERCALL_CODE'),
      { errno: ENOTTY },
      { errno: EINVAL },
      { errno: EIO },
      { errno: ENOMEM },
    ]) {
      const host = new FakeProperties(Object.fromEntries(names.map((name) => [name, answer])));
      expect(host.device.hostProperties()).toEqual(nothing);
      expect(host.native.count('hypercall')).toBe(names.length);
      host.device.close();
    }
  });

  it.each(Object.keys(whole) as PartitionPropertyName[])(
    'are all there but one where %s is not',
    (name) => {
      const properties = { ...whole };
      Reflect.deleteProperty(properties, name);
      const host = new FakeProperties(properties);
      const found = Object.values(host.device.hostProperties());
      expect(found.filter((value) => value === undefined)).toHaveLength(1);
      host.device.close();
    },
  );

  it.each([
    [0n, 'amd'],
    [2n, 'hygon'],
    [0x10n, 'arm'],
    [3n, 3],
  ])('call vendor %i %s', (code, vendor) => {
    const host = new FakeProperties({ PROCESSOR_VENDOR: code });
    expect(host.device.hostProperties().processorVendor).toBe(vendor);
    host.device.close();
  });

  it('can be asked one by one, by name or code', () => {
    const host = new FakeProperties(whole);
    expect(host.device.property('MAX_XSAVE_DATA_SIZE')).toBe(2696n);
    expect(host.device.property(0x60008)).toBe(2696n);
    expect(host.device.propertyEx('VMM_CAPABILITIES', { size: 9 })).toEqual(
      Uint8Array.of(1, 0, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0b1010010),
    );
    expect(() => host.device.property('SUSPEND')).toThrow(MshvError);
    host.device.close();
  });
});
