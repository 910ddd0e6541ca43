/**
 * Flags of `MSHV_IRQFD`: the kernel's `MSHV_IRQFD_BIT_*` as masks. Any other bit is `EINVAL`.
 * Source: Linux 7.2 `linux/mshv.h`.
 */
export const irqfdFlags = {
  /** Detach; needs the same eventfd and GSI, and succeeds even where nothing matches. */
  DEASSIGN: 1 << 0,
  /** Signal a second eventfd at end of interrupt; needs a level-triggered route beforehand. */
  RESAMPLE: 1 << 1,
} as const;
