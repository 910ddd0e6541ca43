/**
 * Flags of `MSHV_CREATE_PARTITION`: the kernel's `MSHV_PT_BIT_*` as masks of `pt_flags`. Any other
 * bit is `EINVAL` (`mshv_ioctl_process_pt_flags`). Source: Linux 7.2 `linux/mshv.h`.
 */
export const partitionFlags = {
  LAPIC: 1n << 0n,
  X2APIC: 1n << 1n,
  GPA_SUPER_PAGES: 1n << 2n,
  /** The argument is the 64-byte version. Older drivers refuse the flag with `EINVAL`. */
  CPU_AND_XSAVE_FEATURES: 1n << 3n,
  NESTED_VIRTUALIZATION: 1n << 4n,
  SMT_ENABLED_GUEST: 1n << 5n,
} as const;

/**
 * Values of `pt_isolation`. The driver accepts no other (`mshv_ioctl_process_pt_flags`). Source:
 * Linux 7.2 `linux/mshv.h`.
 */
export const partitionIsolation = { NONE: 0n } as const;
