import { describe, expect, test } from 'vitest';
import {
  interceptAccesses,
  interceptAccessMasks,
  interceptTypes,
} from '../../../lib/abi/intercept-types.js';
import { arm64InterruptTypes, interruptTypes } from '../../../lib/abi/interrupt-types.js';
import { ioeventfdFlags } from '../../../lib/abi/ioeventfd.js';
import { memoryFlags, pageAccessOperations, pageAccessTypes } from '../../../lib/abi/memory.js';
import {
  arm64VmmCapabilities,
  partitionProperties,
  processorFeatures,
  syntheticProcessorFeatures,
  unimplementedMsrActions,
  vmmCapabilities,
  xsaveFeatures,
} from '../../../lib/abi/properties.js';
import {
  lapicStateFields,
  lapicStateSize,
  syntheticTimersLayout,
  vpStateSizes,
  vpStateTypes,
} from '../../../lib/abi/vp-state.js';
import { constantsOf, facts, type Arch } from './facts.js';
import { locate, structFacts } from './layout.js';

const { constants } = facts.hypervisor;

/** The members of an enum, without the COUNT or MAX that ends it. */
function members(group: Readonly<Record<string, number>>, prefix: string) {
  return constantsOf(group, prefix).filter(([name]) => !/^(COUNT|MAX|MAXIMUM|INVALID)$/.test(name));
}

const masks = (entries: readonly [string, number][]) =>
  Object.fromEntries(entries.map(([name, bit]) => [name, 1 << bit]));

/** The named single bits of a struct, counted from its first word of flags on. */
function bits(struct: string, from = 0, arch: Arch = 'x64'): Record<string, number> {
  return Object.fromEntries(
    Object.entries(structFacts(struct, arch).fields).flatMap(([name, field]) =>
      'bit' in field && !/^reserved/i.test(name) ? [[name, field.bit - from]] : [],
    ),
  );
}

test('memory flags are the masks of MSHV_SET_MEM_BIT_*', () => {
  expect(memoryFlags).toEqual(masks(members(constants.mshv, 'MSHV_SET_MEM_BIT_')));
});

test('page access types and operations are those of MSHV_GPAP_ACCESS_*', () => {
  expect(pageAccessTypes).toEqual(
    Object.fromEntries(members(constants.mshv, 'MSHV_GPAP_ACCESS_TYPE_')),
  );
  expect(pageAccessOperations).toEqual(
    Object.fromEntries(members(constants.mshv, 'MSHV_GPAP_ACCESS_OP_')),
  );
});

test('ioeventfd flags are the masks of MSHV_IOEVENTFD_BIT_*', () => {
  expect(ioeventfdFlags).toEqual(masks(members(constants.mshv, 'MSHV_IOEVENTFD_BIT_')));
});

test('interrupt types are those of HV_*_INTERRUPT_TYPE_*', () => {
  expect(
    Object.entries(interruptTypes).map(([name, type]) => [
      // Linux writes LOWESTPRIORITY, REMOTEREAD and LOCALINT0.
      name.toUpperCase().replace('-', ''),
      type,
    ]),
  ).toEqual(members(constants.interrupt, 'HV_X64_INTERRUPT_TYPE_'));
  expect(
    Object.entries(arm64InterruptTypes).map(([name, type]) => [name.toUpperCase(), type]),
  ).toEqual(members(constants.misc_arm64, 'HV_ARM64_INTERRUPT_TYPE_'));
});

test('intercept types are those of HV_INTERCEPT_TYPE_*', () => {
  expect(interceptTypes).toEqual(
    Object.fromEntries([
      ...members(constants.intercept, 'HV_INTERCEPT_TYPE_'),
      // The one that Linux names without TYPE.
      ...constantsOf(constants.intercept, 'HV_INTERCEPT_').filter(([name]) =>
        name.startsWith('MC_'),
      ),
    ]),
  );
});

test('intercept accesses are those of HV_INTERCEPT_ACCESS_*, and their masks', () => {
  expect(interceptAccessMasks).toEqual(
    Object.fromEntries(constantsOf(constants.intercept, 'HV_INTERCEPT_ACCESS_MASK_')),
  );
  expect(interceptAccesses.map((name, code) => [name.toUpperCase(), code])).toEqual(
    constantsOf(constants.intercept, 'HV_INTERCEPT_ACCESS_').filter(
      ([name]) => !name.startsWith('MASK_'),
    ),
  );
});

describe('properties', () => {
  test('have the codes of the facts', () => {
    expect(partitionProperties).toEqual(
      Object.fromEntries(constantsOf(constants.partition_property, 'HV_PARTITION_PROPERTY_')),
    );
  });

  test('have the feature bits of the facts', () => {
    expect(syntheticProcessorFeatures).toEqual(bits('hv_partition_synthetic_processor_features'));
    expect(processorFeatures).toEqual(bits('hv_partition_processor_features'));
    expect(xsaveFeatures).toEqual(bits('hv_partition_processor_xsave_features'));
  });

  test('have the VMM capabilities of the facts, from byte 8 on', () => {
    const struct = 'hv_partition_property_vmm_capabilities';
    expect(locate(struct, 'as_uint64[0]')).toEqual({ bit: 64, width: 64 });
    expect(locate(struct, 'bank_count')).toEqual({ bit: 0, width: 16 });
    expect(vmmCapabilities).toEqual(bits(struct, 64));
    expect(arm64VmmCapabilities).toEqual(bits(struct, 64, 'arm64'));
  });

  test('have the actions at an unimplemented MSR', () => {
    expect(unimplementedMsrActions).toEqual(
      Object.fromEntries(members(constants.misc, 'HV_UNIMPLEMENTED_MSR_ACTION_')),
    );
  });
});

describe('VP state', () => {
  test('types are those of MSHV_VP_STATE_*', () => {
    expect(
      Object.fromEntries(
        Object.entries(vpStateTypes).map(([name, type]) => [
          name.toUpperCase().replace('-', '_'),
          type,
        ]),
      ),
    ).toEqual(Object.fromEntries(members(constants.mshv, 'MSHV_VP_STATE_')));
  });

  test('of the synthetic timers lies where the facts say', () => {
    const struct = 'hv_synthetic_timers_state';
    const { size, timers, stride, fields } = syntheticTimersLayout;
    expect(size).toBe(structFacts(struct).size);
    expect(size).toBe(vpStateSizes['synthetic-timers']);
    expect(structFacts(struct).fields['timers']).toMatchObject({ offset: 0, array: timers });
    expect(stride).toBe(structFacts('hv_stimer_state').size);
    for (const [name, offset] of Object.entries(fields)) {
      const field = name === 'flags' ? 'flags.undelivered_msg_pending' : name;
      expect(locate(struct, `timers[3].${field}`).bit).toBe((3 * stride + offset) * 8);
    }
    expect(Object.keys(fields)).toEqual([
      ...new Set(
        Object.keys(structFacts('hv_stimer_state').fields)
          .map((name) => name.replace(/\..*/, ''))
          .filter((name) => name !== 'resvd'),
      ),
    ]);
  });

  test('of the local APIC lies where the facts say', () => {
    const { size, fields } = structFacts('hv_local_interrupt_controller_state');
    expect(lapicStateSize).toBe(size);
    expect(lapicStateFields).toEqual(
      Object.fromEntries(
        Object.entries(fields).flatMap(([name, field]) =>
          'offset' in field ? [[name, field.offset]] : [],
        ),
      ),
    );
  });
});
