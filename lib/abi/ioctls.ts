/**
 * The request numbers of `/dev/mshv`, as user space passes them to `ioctl(2)`.
 *
 * The low byte repeats across descriptors, but no two whole numbers are equal. Source: Linux 7.2
 * `linux/mshv.h`.
 */
export const ioctls = {
  /** Device. Covers both argument versions: the 64-byte one is announced by a flag, not by the number. */
  MSHV_CREATE_PARTITION: 0x4010b800,
  /** Partition. */
  MSHV_INITIALIZE_PARTITION: 0x0000b800,
  /** Partition. */
  MSHV_CREATE_VP: 0x4004b801,
  /** Partition. */
  MSHV_SET_GUEST_MEMORY: 0x4020b802,
  /** Partition. */
  MSHV_IRQFD: 0x4010b803,
  /** Partition. */
  MSHV_IOEVENTFD: 0x4020b804,
  /** Partition. */
  MSHV_SET_MSI_ROUTING: 0x4008b805,
  /** Partition. */
  MSHV_GET_GPAP_ACCESS_BITMAP: 0xc020b806,
  /** Device, partition and VP. */
  MSHV_ROOT_HVCALL: 0xc020b807,
  /** VP. */
  MSHV_RUN_VP: 0x8100b800,
  /** VP. */
  MSHV_GET_VP_STATE: 0xc010b801,
  /** VP. */
  MSHV_SET_VP_STATE: 0xc010b802,
} as const;

/** The name of a request, as errors and simulator controls spell it. */
export type IoctlName = keyof typeof ioctls;
