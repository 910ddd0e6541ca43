import type { Architecture } from '../abi/architecture.js';
import { bitsOf } from '../abi/feature-bits.js';
import { syntheticProcessorFeatures, type SyntheticProcessorFeature } from '../abi/properties.js';
import { arrayArgument, choiceArgument } from '../arguments.js';
import { MshvError } from '../errors.js';
import { assignableFeatures, type HostPropertySource } from './host-properties.js';
import type { Partition } from './partition.js';

/** What every hypervisor that has this driver can give. Source: the mask of QEMU's accel/mshv. */
const essential: readonly SyntheticProcessorFeature[] = [
  'hypervisor_present',
  'hv1',
  'access_partition_reference_counter',
  'access_synic_regs',
  'access_synthetic_timer_regs',
  'access_intr_ctrl_regs',
  'access_hypercall_regs',
  'access_vp_index',
  'access_partition_reference_tsc',
  'access_frequency_regs',
  'direct_synthetic_timers',
  'synthetic_cluster_ipi',
];

/** And what newer ones can. Sources: the masks of rust-vmm's mshv-ioctls and of OpenVMM's virt_mshv. */
const usual: readonly SyntheticProcessorFeature[] = [
  ...essential,
  'access_vp_run_time_reg',
  'extended_processor_masks',
  'access_vp_regs',
];

// What there is on x64 beside those.
const essentialOfX64 = ['access_guest_idle_reg', 'tb_flush_hypercalls'] as const;
const usualOfX64 = [...essentialOfX64, 'flush_guest_physical_address_space'] as const;

/**
 * What a guest is given where the caller does not say, the fullest first: what Linux and Windows look for
 * when they boot. Nothing is in it that somebody has to serve in user space.
 */
const defaultSyntheticFeatures: Readonly<Record<Architecture, readonly bigint[]>> = {
  x64: [maskOf([...usual, ...usualOfX64]), maskOf([...essential, ...essentialOfX64])],
  arm64: [maskOf(usual), maskOf(essential)],
};

function maskOf(features: readonly SyntheticProcessorFeature[]): bigint {
  return bitsOf(features, syntheticProcessorFeatures);
}

const featureNames = Object.keys(syntheticProcessorFeatures) as SyntheticProcessorFeature[];

/** The mask of a list of names. */
export function syntheticFeaturesArgument(
  name: string,
  features: readonly SyntheticProcessorFeature[],
): bigint {
  const checked = arrayArgument(name, features).map((feature, at) =>
    choiceArgument(`${name}[${at}]`, feature, featureNames),
  );
  return maskOf(checked);
}

/**
 * Gives a new partition what it is to offer its guest; where that is not said, the fullest of the default sets that
 * the hypervisor takes, if it takes any.
 */
export function giveSyntheticFeatures(
  partition: Partition,
  wanted: bigint | undefined,
  host: HostPropertySource,
): void {
  const give = (features: bigint): void => {
    partition.setProperty('SYNTHETIC_PROC_FEATURES', features);
  };
  if (wanted !== undefined) {
    if (wanted !== 0n) {
      give(wanted);
    }
    return;
  }
  const assignable = assignableFeatures(host);
  let refused = 0n;
  for (const features of defaultSyntheticFeatures[partition.architecture]) {
    const given = assignable === undefined ? features : features & assignable;
    if (given === refused) {
      continue;
    }
    try {
      give(given);
      return;
    } catch (error) {
      if (!(error instanceof MshvError)) {
        throw error;
      }
      refused = given;
    }
  }
}
