import type { Architecture } from '../abi/architecture.js';
import { bitNames } from '../abi/feature-bits.js';
import {
  arm64VmmCapabilities,
  syntheticProcessorFeatures,
  vmmCapabilities,
  type PartitionPropertyName,
  type SyntheticProcessorFeature,
  type VmmCapability,
} from '../abi/properties.js';
import { MshvError } from '../errors.js';

/** Who made the processor, or the hypervisor's number where it has no name here. */
export type ProcessorVendor = 'amd' | 'intel' | 'hygon' | 'arm' | number;

/**
 * What the host's own partition says of the processor and of the hypervisor. Whatever this hypervisor
 * does not tell, or not to this host, is undefined.
 */
export interface HostProperties {
  /** Who made the processor; a number where the hypervisor's code has no name. */
  readonly processorVendor: ProcessorVendor | undefined;
  /** Two banks, one bit a feature: `processorFeatures` has their names on x64. */
  readonly processorFeatures: readonly [bigint, bigint] | undefined;
  /** One bit a feature. */
  readonly xsaveFeatures: bigint | undefined;
  /** The bits of XCR0 and IA32_XSS. */
  readonly xsaveStates: bigint | undefined;
  /** Bytes. */
  readonly maxXsaveDataSize: number | undefined;
  /** Of CLFLUSH, as the hypervisor codes it. */
  readonly clFlushSize: number | undefined;
  /** Hertz. */
  readonly processorClockFrequency: bigint | undefined;
  /** Bits. */
  readonly physicalAddressWidth: number | undefined;
  /** Bits that the processor really has. */
  readonly implementedPhysicalAddressBits: number | undefined;
  /** `HV_PARTITION_PRIVILEGE_MASK` of the host: what CPUID leaf 0x40000003 says in EAX and EBX. */
  readonly privilegeFlags: bigint | undefined;
  /** What the hypervisor offers the host itself. */
  readonly syntheticFeatures: readonly SyntheticProcessorFeature[] | undefined;
  /** What a partition can be given. */
  readonly assignableSyntheticFeatures: readonly SyntheticProcessorFeature[] | undefined;
  /** What the hypervisor offers a VMM, by name. */
  readonly vmmCapabilities: readonly VmmCapability[] | undefined;
  /** The version of the hypervisor's interface that a new partition has. */
  readonly compatibilityVersion: number | undefined;
  /** `PROCESSOR_VIRTUALIZATION_FEATURES`: a mask. */
  readonly virtualizationFeatures: bigint | undefined;
  /** Whether the hypervisor's integrated scheduler is on. */
  readonly integratedScheduler: boolean | undefined;
}

/** How to read properties of the host. */
export interface HostPropertySource {
  property(property: PartitionPropertyName): bigint;
  propertyEx(property: PartitionPropertyName, options: { size: number }): Uint8Array;
}

/** Undefined where the driver or the hypervisor refuses, whatever the reason. */
function known<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MshvError && error.ioctl !== undefined) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The first bank of a property that has banks: a count of them in bytes 0 and 1, then 64 bits each
 * from byte 8 on. Undefined where the count is 0: the bytes after it are nobody's then.
 */
function firstBank(
  source: HostPropertySource,
  property: PartitionPropertyName,
): bigint | undefined {
  return known(() => {
    const { buffer, byteOffset, length } = source.propertyEx(property, { size: 16 });
    const view = new DataView(buffer, byteOffset, length);
    return view.getUint16(0, true) === 0 ? undefined : view.getBigUint64(8, true);
  });
}

/** The features that a partition can be given, one bit each; undefined where the host does not tell. */
export function assignableFeatures(source: HostPropertySource): bigint | undefined {
  return firstBank(source, 'ASSIGNABLE_SYNTHETIC_PROC_FEATURES');
}

// Source: HvProcessorVendor of hvdef.
const vendors: ReadonlyMap<bigint, ProcessorVendor> = new Map([
  [0n, 'amd'],
  [1n, 'intel'],
  [2n, 'hygon'],
  [0x10n, 'arm'],
]);

export function readHostProperties(
  source: HostPropertySource,
  architecture: Architecture,
): HostProperties {
  const word = (property: PartitionPropertyName): bigint | undefined =>
    known(() => source.property(property));
  const as = <From, To>(value: From | undefined, convert: (value: From) => To): To | undefined =>
    value === undefined ? undefined : convert(value);
  const features = (bits: bigint): readonly SyntheticProcessorFeature[] =>
    bitNames(bits, syntheticProcessorFeatures);
  const bank0 = word('PROCESSOR_FEATURES0');
  const bank1 = word('PROCESSOR_FEATURES1');
  return {
    processorVendor: as(word('PROCESSOR_VENDOR'), (code) => vendors.get(code) ?? Number(code)),
    processorFeatures: bank0 === undefined || bank1 === undefined ? undefined : [bank0, bank1],
    xsaveFeatures: word('PROCESSOR_XSAVE_FEATURES'),
    xsaveStates: word('XSAVE_STATES'),
    maxXsaveDataSize: as(word('MAX_XSAVE_DATA_SIZE'), Number),
    clFlushSize: as(word('PROCESSOR_CL_FLUSH_SIZE'), Number),
    processorClockFrequency: word('PROCESSOR_CLOCK_FREQUENCY'),
    physicalAddressWidth: as(word('PHYSICAL_ADDRESS_WIDTH'), Number),
    implementedPhysicalAddressBits: as(word('IMPLEMENTED_PHYSICAL_ADDRESS_BITS'), Number),
    privilegeFlags: word('PRIVILEGE_FLAGS'),
    syntheticFeatures: as(word('SYNTHETIC_PROC_FEATURES'), features),
    assignableSyntheticFeatures: as(assignableFeatures(source), features),
    vmmCapabilities: as(firstBank(source, 'VMM_CAPABILITIES'), (bits) =>
      architecture === 'arm64'
        ? bitNames(bits, arm64VmmCapabilities)
        : bitNames(bits, vmmCapabilities),
    ),
    compatibilityVersion: as(word('COMPATIBILITY_VERSION'), Number),
    virtualizationFeatures: word('PROCESSOR_VIRTUALIZATION_FEATURES'),
    integratedScheduler: as(word('INTEGRATED_SCHEDULER_ENABLED'), (value) => value !== 0n),
  };
}
