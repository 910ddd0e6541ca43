/**
 * Flags of `MSHV_IOEVENTFD`: the kernel's `MSHV_IOEVENTFD_BIT_*` as masks. Any other bit is `EINVAL`.
 * Source: Linux 7.2 `linux/mshv.h`.
 */
export const ioeventfdFlags = {
  /** Signal only for writes of one value; else for any. */
  DATAMATCH: 1 << 0,
  /** Port I/O. The driver answers `EOPNOTSUPP` (`mshv_set_unset_ioeventfd`). */
  PIO: 1 << 1,
  /** Detach; everything else must be as it was assigned, or the answer is `ENOENT`. */
  DEASSIGN: 1 << 2,
} as const;

/** The sizes of a write that an ioeventfd can ask for, in bytes; 0 is any size. Any other is `EINVAL`. */
export const ioeventfdSizes = [0, 1, 2, 4, 8] as const;

/** How wide the write that rings a doorbell is, in bytes; 0 is any width. */
export type IoeventfdSize = (typeof ioeventfdSizes)[number];
