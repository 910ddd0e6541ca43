/** What the driver of Linux 7.2 accepts at most. Source: `drivers/hv/mshv_root.h`. */
export const limits = {
  /** VP indices of a partition are below this. */
  MSHV_MAX_VPS: 256,
  /** Routable GSIs are below this, and an MSI routing table has at most this many entries. */
  MSHV_MAX_GUEST_IRQS: 4096,
} as const;
