/**
 * How the hypervisor delivers an interrupt that `HVCALL_ASSERT_VIRTUAL_INTERRUPT` asserts. The first eight are
 * the delivery modes of an MSI too. Source: `HV_X64_INTERRUPT_TYPE_*` of Linux 7.2.
 */
export const interruptTypes = {
  fixed: 0,
  'lowest-priority': 1,
  smi: 2,
  'remote-read': 3,
  nmi: 4,
  init: 5,
  sipi: 6,
  extint: 7,
  'local-int0': 8,
  'local-int1': 9,
} as const;

/** How an interrupt is delivered. Source: `hv_interrupt_type`. */
export type InterruptType = keyof typeof interruptTypes;

/** The one type on arm64. Source: `HV_ARM64_INTERRUPT_TYPE_FIXED` of Linux 7.2. */
export const arm64InterruptTypes = { fixed: 0 } as const;
