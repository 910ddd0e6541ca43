// Inputs of the hypercalls that the driver passes through. Each function writes the complete fixed
// input at the start of the caller's buffer, reserved fields as 0, and returns the number of bytes of
// the whole input: the driver does not zero its page, so a shorter input would make the hypervisor read
// whatever was there before. The partition id (bytes 0 to 7) is left 0: the driver fills it in
// (mshv_ioctl_passthru_hvcall).
//
// Nothing is validated: numbers are truncated to the width of their field. The sources of the
// layouts are those of hypercalls.ts.

/** `hv_input_get_partition_property`. */
export function writeGetPartitionProperty(input: DataView, property: number): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, property, true);
  input.setUint32(12, 0, true);
  return 16;
}

/** `hv_input_set_partition_property`. */
export function writeSetPartitionProperty(
  input: DataView,
  property: number,
  value: bigint,
): number {
  writeGetPartitionProperty(input, property);
  input.setBigUint64(16, value, true);
  return 24;
}

/** `hv_input_get_partition_property_ex`. `argument` is a VP index, say; 0 where the property takes none. */
export function writeGetPartitionPropertyEx(
  input: DataView,
  property: number,
  argument = 0n,
): number {
  return writeSetPartitionProperty(input, property, argument);
}

/**
 * `hv_input_install_intercept`.
 *
 * @param access - a mask of `interceptAccessMasks`
 * @param type - one of `interceptTypes`
 * @param parameter - which port, leaf, vector or MSR; 0 where the type has none
 */
export function writeInstallIntercept(
  input: DataView,
  access: number,
  type: number,
  parameter: bigint,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, access, true);
  input.setUint32(12, type, true);
  input.setBigUint64(16, parameter, true);
  return 24;
}

// hv_input_vtl: target_vtl in bits 0 to 3 counts only with use_target_vtl, bit 4.
function inputVtl(vtl: number | undefined): number {
  return vtl === undefined ? 0 : (vtl & 0xf) | 0x10;
}

function writeVpRegistersHeader(input: DataView, vp: number, vtl: number | undefined): void {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint8(12, inputVtl(vtl));
  input.setUint8(13, 0);
  input.setUint16(14, 0, true);
}

/**
 * `hv_input_get_vp_registers` for `count` of `names` (register codes) from index `first` on.
 *
 * @param vtl - undefined means the VP's current one
 */
export function writeGetVpRegisters(
  input: DataView,
  vp: number,
  vtl: number | undefined,
  names: Uint32Array,
  first: number,
  count: number,
): number {
  writeVpRegistersHeader(input, vp, vtl);
  for (let i = 0; i < count; i++) {
    input.setUint32(16 + 4 * i, names[first + i] ?? 0, true);
  }
  return 16 + 4 * count;
}

/**
 * `hv_input_set_vp_registers`, likewise. `values` has two words a register, the low one first: those of
 * `names[i]` are `values[2 * i]` and `values[2 * i + 1]`.
 *
 * @param words - the bytes of `input` again: from one such array to another no bigint is made
 */
export function writeSetVpRegisters(
  input: DataView,
  words: BigUint64Array,
  vp: number,
  vtl: number | undefined,
  names: Uint32Array,
  values: BigUint64Array,
  first: number,
  count: number,
): number {
  writeVpRegistersHeader(input, vp, vtl);
  for (let i = 0; i < count; i++) {
    const at = 16 + 32 * i;
    input.setUint32(at, names[first + i] ?? 0, true);
    input.setUint32(at + 4, 0, true);
    words[at / 8 + 1] = 0n;
    words[at / 8 + 2] = values[2 * (first + i)] ?? 0n;
    words[at / 8 + 3] = values[2 * (first + i) + 1] ?? 0n;
  }
  return 16 + 32 * count;
}

/**
 * `hv_input_translate_virtual_address`.
 *
 * @param flags - `translateGvaFlags`; the VTL is in bits 56 to 63, 0 means the current one
 * @param gvaPage - the address divided by 4096
 */
export function writeTranslateVirtualAddress(
  input: DataView,
  vp: number,
  flags: bigint,
  gvaPage: bigint,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint32(12, 0, true);
  input.setBigUint64(16, flags, true);
  input.setBigUint64(24, gvaPage, true);
  return 32;
}

/** `hv_input_clear_virtual_interrupt`: nothing but the partition. Source: `hv_call_clear_virtual_interrupt`. */
export function writeClearVirtualInterrupt(input: DataView): number {
  input.setBigUint64(0, 0n, true);
  return 8;
}

/** What CPUID shall return: of each register the bits of its mask, the rest as it would have been. */
export interface CpuidResult {
  readonly eax: number;
  readonly eaxMask: number;
  readonly ebx: number;
  readonly ebxMask: number;
  readonly ecx: number;
  readonly ecxMask: number;
  readonly edx: number;
  readonly edxMask: number;
}

/**
 * `hv_input_register_intercept_result` with `hv_register_x64_cpuid_result_parameters`.
 *
 * @param type - `interceptTypes.X64_CPUID`
 * @param leaf - EAX of the guest's CPUID
 * @param subleaf - ECX of it; looked at only where `subleafSpecific`
 */
export function writeRegisterCpuidResult(
  input: DataView,
  vp: number,
  type: number,
  leaf: number,
  subleaf: number,
  subleafSpecific: boolean,
  alwaysOverride: boolean,
  result: CpuidResult,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint32(12, type, true);
  input.setUint32(16, leaf, true);
  input.setUint32(20, subleaf, true);
  input.setUint8(24, subleafSpecific ? 1 : 0);
  input.setUint8(25, alwaysOverride ? 1 : 0);
  input.setUint16(26, 0, true);
  input.setUint32(28, result.eax, true);
  input.setUint32(32, result.eaxMask, true);
  input.setUint32(36, result.ebx, true);
  input.setUint32(40, result.ebxMask, true);
  input.setUint32(44, result.ecx, true);
  input.setUint32(48, result.ecxMask, true);
  input.setUint32(52, result.edx, true);
  input.setUint32(56, result.edxMask, true);
  return 60;
}

/**
 * `hv_input_register_intercept_result` with `hv_register_x64_msr_result_parameters`.
 *
 * @param type - `interceptTypes.X64_MSR` or `X64_MSR_INDEX`
 * @param access - a mask of `interceptAccessMasks`
 * @param action - one of `unimplementedMsrActions`
 */
export function writeRegisterMsrResult(
  input: DataView,
  vp: number,
  type: number,
  msr: number,
  access: number,
  action: number,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint32(12, type, true);
  input.setUint32(16, msr, true);
  input.setUint32(20, access, true);
  input.setUint32(24, action, true);
  for (let at = 28; at < 60; at += 4) input.setUint32(at, 0, true);
  return 60;
}

/**
 * `hv_input_assert_virtual_interrupt` on x64.
 *
 * @param type - one of `interruptTypes`
 * @param destination - APIC id, or a set of logical APIC ids where `logical`
 */
export function writeAssertVirtualInterrupt(
  input: DataView,
  type: number,
  vector: number,
  destination: bigint,
  level: boolean,
  logical: boolean,
  vtl: number,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, type, true);
  input.setUint32(12, (level ? 1 : 0) | (logical ? 2 : 0), true);
  input.setBigUint64(16, destination, true);
  input.setUint32(24, vector, true);
  input.setUint8(28, vtl);
  input.setUint8(29, 0);
  input.setUint16(30, 0, true);
  return 32;
}

/**
 * `hv_input_assert_virtual_interrupt` on arm64, where `asserted` sets or clears the line.
 *
 * @param type - one of `arm64InterruptTypes`
 */
export function writeAssertVirtualInterruptArm64(
  input: DataView,
  type: number,
  vector: number,
  destination: bigint,
  asserted: boolean,
  vtl: number,
): number {
  writeAssertVirtualInterrupt(input, type, vector, destination, false, false, vtl);
  input.setUint32(12, asserted ? 4 : 0, true);
  return 32;
}

/**
 * `hv_input_signal_event_direct`.
 *
 * @param flag - 0 to 2047
 */
export function writeSignalEventDirect(
  input: DataView,
  vp: number,
  vtl: number,
  sint: number,
  flag: number,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint8(12, vtl);
  input.setUint8(13, sint);
  input.setUint16(14, flag, true);
  return 16;
}

/**
 * `hv_input_post_message_direct` with an `hv_message`, whose flags and sender are 0.
 *
 * @param payload - up to 240 bytes
 */
export function writePostMessageDirect(
  input: DataView,
  vp: number,
  vtl: number,
  sint: number,
  type: number,
  payload: Uint8Array,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint32(12, vtl & 0xff, true);
  input.setUint32(16, sint, true);
  input.setUint32(20, type, true);
  input.setUint32(24, payload.length & 0xff, true);
  input.setBigUint64(28, 0n, true);
  const bytes = new Uint8Array(input.buffer, input.byteOffset + 36, 240);
  bytes.set(payload);
  bytes.fill(0, payload.length);
  input.setUint32(276, 0, true);
  return 280;
}

/**
 * `hv_input_get_gpa_pages_access_state`. The number of pages is the rep count.
 *
 * @param flags - `accessStateFlags`; 0 only looks
 * @param page - guest page number of the first page
 */
export function writeGetGpaPagesAccessStates(input: DataView, flags: bigint, page: bigint): number {
  input.setBigUint64(0, 0n, true);
  input.setBigUint64(8, flags, true);
  input.setBigUint64(16, page, true);
  return 24;
}

/** One CPUID to ask for. `xfem` and `xss` count where the call does not take the VP's own. */
export interface CpuidLeaf {
  readonly eax: number;
  readonly ecx: number;
  readonly xfem: bigint;
  readonly xss: bigint;
}

/**
 * `hv_input_get_vp_cpuid_values` for `count` of `leaves` from index `first` on.
 *
 * @param flags - `cpuidValuesFlags`
 */
export function writeGetVpCpuidValues(
  input: DataView,
  vp: number,
  flags: number,
  leaves: readonly CpuidLeaf[],
  first: number,
  count: number,
): number {
  input.setBigUint64(0, 0n, true);
  input.setUint32(8, vp, true);
  input.setUint32(12, flags, true);
  input.setBigUint64(16, 0n, true);
  leaves.slice(first, first + count).forEach(({ eax, ecx, xfem, xss }, i) => {
    const at = 24 + 24 * i;
    input.setUint32(at, eax, true);
    input.setUint32(at + 4, ecx, true);
    input.setBigUint64(at + 8, xfem, true);
    input.setBigUint64(at + 16, xss, true);
  });
  return 24 + 24 * count;
}
