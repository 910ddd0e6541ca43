import type { Architecture } from '../abi/architecture.js';
import { partitionFlags } from '../abi/partition.js';
import type { SyntheticProcessorFeature } from '../abi/properties.js';
import { isArray, rangeError, typeError, uint64Argument } from '../arguments.js';
import { msrActionArgument, type MsrAction } from '../hypercall/intercept-result.js';
import { flag, optional, takeOptions, uint64, type OptionTable, type Taken } from '../options.js';
import { syntheticFeaturesArgument } from './synthetic-features.js';

/** What partition is created. */
export interface PartitionOptions {
  /** The hypervisor emulates a local APIC for each VP; MSIs need it. Default true. */
  lapic?: boolean;
  /** The guest may put its local APICs into x2APIC mode; they begin in xAPIC mode. Default false. */
  x2apic?: boolean;
  /** The hypervisor may use large pages for guest memory. Default true. */
  gpaSuperPages?: boolean;
  /** The guest may run a hypervisor of its own. Default false. */
  nestedVirtualization?: boolean;
  /** The guest sees sibling threads as such. Default false. */
  smt?: boolean;
  /**
   * Processor features to take away from the guest, one bit each, in two banks. Default: none. A driver
   * that knows no banks (v1) cannot do it, so there is no fallback where this is given.
   */
  disabledCpuFeatures?: readonly [number | bigint, number | bigint];
  /** XSAVE features to take away, one bit each; as above. Not on arm64. Default 0. */
  disabledXsaveFeatures?: number | bigint;
  /**
   * What the hypervisor offers the guest beside a bare processor. Default: what Linux and Windows guests
   * look for, as far as the host says that it can be given (`hostProperties().assignableSyntheticFeatures`);
   * a hypervisor that refuses that too creates the partition without. An empty list: nothing, and the guest
   * sees no hypervisor.
   */
  syntheticFeatures?: readonly SyntheticProcessorFeature[];
  /**
   * What an MSR does that the hypervisor does not know, set at the end of `initialize()`. Default on x64
   * `'ignore-write-read-zero'`, where the hypervisor takes it. Not on arm64.
   */
  unimplementedMsrAction?: MsrAction;
}

const creationOptions = {
  lapic: flag(true, partitionFlags.LAPIC),
  x2apic: flag(false, partitionFlags.X2APIC),
  gpaSuperPages: flag(true, partitionFlags.GPA_SUPER_PAGES),
  nestedVirtualization: flag(false, partitionFlags.NESTED_VIRTUALIZATION),
  smt: flag(false, partitionFlags.SMT_ENABLED_GUEST),
  disabledCpuFeatures: optional(banksArgument),
  disabledXsaveFeatures: optional(uint64),
  syntheticFeatures: optional(syntheticFeaturesArgument),
  unimplementedMsrAction: optional(msrActionArgument),
} satisfies OptionTable<PartitionOptions>;

function banksArgument(
  name: string,
  banks: readonly [number | bigint, number | bigint],
): [bigint, bigint] {
  if (!isArray(banks) || (banks as readonly unknown[]).length !== 2) {
    throw typeError(name, 'an array of two banks', banks);
  }
  return [uint64Argument(`${name}[0]`, banks[0]), uint64Argument(`${name}[1]`, banks[1])];
}

/** What partition is created, checked. */
export type CheckedPartition = Taken<typeof creationOptions>;

export function takePartitionOptions(
  options: PartitionOptions,
  architecture: Architecture,
): CheckedPartition {
  const checked = takeOptions('options', options, creationOptions);
  if (architecture !== 'x64') {
    x64Only('disabledXsaveFeatures', checked.disabledXsaveFeatures);
    x64Only('unimplementedMsrAction', checked.unimplementedMsrAction);
  }
  return checked;
}

function x64Only(option: string, value: bigint | number | undefined): void {
  if (value !== undefined) {
    throw rangeError(`options.${option}`, 'absent on arm64', value);
  }
}
