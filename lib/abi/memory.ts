/**
 * Flags of `MSHV_SET_GUEST_MEMORY`: the kernel's `MSHV_SET_MEM_BIT_*` as masks. Any other bit is `EINVAL`. Source:
 * Linux 7.2 `linux/mshv.h`.
 */
export const memoryFlags = {
  /** The guest may write; it may always read. */
  WRITABLE: 1 << 0,
  EXECUTABLE: 1 << 1,
  /** Unmap; the other flags do not matter then. */
  UNMAP: 1 << 2,
} as const;

/** Which bits `MSHV_GET_GPAP_ACCESS_BITMAP` is about: the kernel's `MSHV_GPAP_ACCESS_TYPE_*`. */
export const pageAccessTypes = { ACCESSED: 0, DIRTY: 1 } as const;

/**
 * What `MSHV_GET_GPAP_ACCESS_BITMAP` does to the bits after reading them: the kernel's `MSHV_GPAP_ACCESS_OP_*`.
 * The driver treats NOOP as SET (`mshv_partition_ioctl_get_gpap_access_bitmap`): it cannot just look.
 */
export const pageAccessOperations = { NOOP: 0, CLEAR: 1, SET: 2 } as const;
