/**
 * What `HVCALL_INSTALL_INTERCEPT` can intercept. Source: `hv_intercept_type` of Linux 7.2 and, from 13 on,
 * `hvdef`: Linux's `HV_INTERCEPT_TYPE_MAX` (13) is no limit, as the driver passes any type through.
 */
export const interceptTypes = {
  /** Parameter: a port. */
  X64_IO_PORT: 0x0,
  X64_MSR: 0x1,
  /** Parameter: a leaf (EAX). */
  X64_CPUID: 0x2,
  /** Parameter: a vector. */
  EXCEPTION: 0x3,
  RESERVED0: 0x4,
  MMIO: 0x5,
  X64_GLOBAL_CPUID: 0x6,
  X64_APIC_SMI: 0x7,
  HYPERCALL: 0x8,
  X64_APIC_INIT_SIPI: 0x9,
  MC_UPDATE_PATCH_LEVEL_MSR_READ: 0xa,
  /** Parameter: a mask of APIC registers. */
  X64_APIC_WRITE: 0xb,
  /** Parameter: an MSR. */
  X64_MSR_INDEX: 0xc,
  /** A guest's hypercall that names a connection which the hypervisor does not know. */
  UNKNOWN_SYNIC_CONNECTION: 0xd,
  X64_APIC_EOI: 0xe,
  RETARGET_INTERRUPT_WITH_UNKNOWN_DEVICE_ID: 0xf,
  X64_IO_PORT_RANGE: 0x11,
} as const;

/** Which accesses an intercept is for, as a mask: `HV_INTERCEPT_ACCESS_MASK_*` of Linux 7.2. */
export const interceptAccessMasks = { NONE: 0, READ: 1, WRITE: 2, EXECUTE: 4 } as const;

/**
 * What was intercepted, as messages tell it: a number, not a mask. Source: `HV_INTERCEPT_ACCESS_*` of
 * Linux 7.2.
 */
export const interceptAccesses = ['read', 'write', 'execute'] as const;

/** What a guest attempted. Source: `HV_INTERCEPT_ACCESS_*`. */
export type InterceptAccess = (typeof interceptAccesses)[number];
