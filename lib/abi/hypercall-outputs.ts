// Outputs of the hypercalls that the driver passes through, and the flags of their inputs. Only what the
// hypervisor wrote may be read: the driver does not zero its page.

import { cacheTypes, type CacheType } from './cache-type.js';

/** `hv_output_get_partition_property`. */
export function readPartitionProperty(output: DataView): bigint {
  return output.getBigUint64(0, true);
}

/**
 * The registers of a completed `HVCALL_GET_VP_REGISTERS`, two words each, into `values` as
 * `writeSetVpRegisters` takes them.
 *
 * @param output - the output in words: from one such array to another no bigint is made
 * @param first - the index of the first register of the call
 */
export function readVpRegisters(
  output: BigUint64Array,
  values: BigUint64Array,
  first: number,
  count: number,
): void {
  for (let i = 0; i < 2 * count; i++) {
    values[2 * first + i] = output[i] ?? 0n;
  }
}

/** Flags of `HVCALL_TRANSLATE_VIRTUAL_ADDRESS`. Source: `HV_TRANSLATE_GVA_*` of rust-vmm/mshv. */
export const translateGvaFlags = {
  /** Fail where the guest may not read there. */
  VALIDATE_READ: 1n << 0n,
  VALIDATE_WRITE: 1n << 1n,
  VALIDATE_EXECUTE: 1n << 2n,
  PRIVILEGE_EXEMPT: 1n << 3n,
  /** Set the accessed and dirty bits in the guest's page tables, as the access would. */
  SET_PAGE_TABLE_BITS: 1n << 4n,
  TLB_FLUSH_INHIBIT: 1n << 5n,
  SUPERVISOR_ACCESS: 1n << 6n,
  USER_ACCESS: 1n << 7n,
  ENFORCE_SMAP: 1n << 8n,
  OVERRIDE_SMAP: 1n << 9n,
  SHADOW_STACK: 1n << 10n,
} as const;

/**
 * What became of a translation, indexed by result code. Source: `hv_translate_gva_result_code` of
 * rust-vmm/mshv.
 */
export const translateGvaResults = [
  'success',
  'page-not-present',
  'privilege-violation',
  'invalid-page-table-flags',
  'gpa-unmapped',
  'gpa-no-read-access',
  'gpa-no-write-access',
  'gpa-illegal-overlay-access',
  'intercept',
  'gpa-unaccepted',
] as const;

/** What came of a translation: `'success'`, or why there is none. */
export type TranslateGvaResult = (typeof translateGvaResults)[number];

/** What `HVCALL_TRANSLATE_VIRTUAL_ADDRESS` found. */
export interface GvaTranslation {
  /** The result, or its code where it has no name. */
  readonly result: TranslateGvaResult | number;
  /** Guest page number; multiply by 4096. Meaningful where `result` is `'success'`. */
  readonly gpaPage: bigint;
  /** The memory type, or its code where it has no name. */
  readonly cacheType: CacheType | number;
  /** Whether the page is an overlay of the hypervisor, such as the hypercall page. */
  readonly overlay: boolean;
}

/** `hv_output_translate_virtual_address`. */
export function readTranslation(output: DataView): GvaTranslation {
  const result = output.getUint32(0, true);
  const cacheType = output.getUint8(4);
  return {
    result: translateGvaResults[result] ?? result,
    gpaPage: output.getBigUint64(8, true),
    cacheType: cacheTypes[cacheType] ?? cacheType,
    overlay: (output.getUint8(5) & 1) !== 0,
  };
}

/** `hv_output_signal_event_direct`: whether the flag was clear before. */
export function readNewlySignaled(output: DataView): boolean {
  return output.getUint8(0) !== 0;
}

/**
 * Flags of `HVCALL_GET_GPA_PAGES_ACCESS_STATES`: what happens to the bits after they were read. Source:
 * `hv_gpa_page_access_state_flags`.
 */
export const accessStateFlags = {
  CLEAR_ACCESSED: 1n << 0n,
  SET_ACCESSED: 1n << 1n,
  CLEAR_DIRTY: 1n << 2n,
  SET_DIRTY: 1n << 3n,
} as const;

/** The bits of one byte of the output of `HVCALL_GET_GPA_PAGES_ACCESS_STATES`. Source: `hv_gpa_page_access_state`. */
export const accessStateBits = { ACCESSED: 1 << 0, DIRTY: 1 << 1 } as const;

/** Flags of `HVCALL_GET_VP_CPUID_VALUES`. Source: `hv_get_vp_cpuid_values_flags` of rust-vmm/mshv. */
export const cpuidValuesFlags = {
  /** Take XFEM and XSS of the VP instead of those of the leaf. */
  USE_VP_XFEM_XSS: 1 << 0,
  /** Apply what `HVCALL_REGISTER_INTERCEPT_RESULT` registered. */
  APPLY_REGISTERED_VALUES: 1 << 1,
} as const;

/** What CPUID returns: 32 bits each. */
export interface CpuidValues {
  /** The low half of RAX. */
  readonly eax: number;
  /** The low half of RBX. */
  readonly ebx: number;
  /** The low half of RCX. */
  readonly ecx: number;
  /** The low half of RDX. */
  readonly edx: number;
}

/** Element `index` of the output of `HVCALL_GET_VP_CPUID_VALUES`. */
export function readCpuidValues(output: DataView, index: number): CpuidValues {
  const at = 16 * index;
  return {
    eax: output.getUint32(at, true),
    ebx: output.getUint32(at + 4, true),
    ecx: output.getUint32(at + 8, true),
    edx: output.getUint32(at + 12, true),
  };
}
