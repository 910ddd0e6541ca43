/** The sizes of a VP's synthetic interrupt controller. Source: Linux 7.2 `hyperv/hvgdk_mini.h`. */
export const synicLimits = {
  /** Synthetic interrupt sources of a VP (`HV_SYNIC_SINT_COUNT`). */
  sints: 16,
  /** Bytes of a SINT on the message page, and of its flags on the page of event flags. */
  slot: 256,
  /** Bytes of a message's payload (`HV_MESSAGE_PAYLOAD_BYTE_COUNT`). */
  messagePayload: 240,
  /** Event flags of a SINT (`HV_EVENT_FLAGS_COUNT`). */
  eventFlags: 2048,
  /** Bits of a connection id that may be set: the other 8 are reserved (`union hv_connection_id`). */
  connectionIdMask: 0xff_ffff,
  /** Virtual trust levels that the fields for one can hold. */
  vtls: 16,
} as const;

/** Hypercalls that a guest makes to be answered by its VMM. Source: Linux 7.2 `hyperv/hvgdk_mini.h`. */
export const guestHypercalls = {
  HVCALL_POST_MESSAGE: 0x5c,
  HVCALL_SIGNAL_EVENT: 0x5d,
  HVCALL_RETARGET_INTERRUPT: 0x7e,
} as const;

/**
 * The MSRs of a VP's SynIC. SINT n is `SINT0 + n`. Bit 0 of SCONTROL, SIEFP and SIMP enables; the upper bits of the
 * latter are the page's address. Source: Linux 7.2 `hyperv/hvgdk_mini.h` (`HV_X64_MSR_*`).
 */
export const synicMsrs = {
  SCONTROL: 0x4000_0080,
  SVERSION: 0x4000_0081,
  SIEFP: 0x4000_0082,
  SIMP: 0x4000_0083,
  EOM: 0x4000_0084,
  SINT0: 0x4000_0090,
} as const;

/**
 * The control word of a guest's hypercall, as its low and its high half. Source: TLFS, "Hypercall
 * Inputs".
 */
export const hypercallControl = {
  codeMask: 0xffff,
  fast: 1 << 16,
  variableHeaderShift: 17,
  variableHeaderMask: 0x3ff,
  /** Bits 27 to 30 of the low half. */
  reservedLow: 0x7800_0000,
  repCountMask: 0xfff,
  repStartShift: 16,
  repStartMask: 0xfff,
  /** Bits 12 to 15 and 28 to 31 of the high half. */
  reservedHigh: 0xf000_f000 | 0,
} as const;

/** The input of `HVCALL_POST_MESSAGE`, in bytes. Source: `hv_input_post_message`. */
export const postMessageLayout = {
  size: 256,
  connectionId: 0,
  reserved: 4,
  messageType: 8,
  payloadSize: 12,
  payload: 16,
} as const;

/** The input of `HVCALL_SIGNAL_EVENT`, in bytes. Source: `hv_input_signal_event`. */
export const signalEventLayout = {
  size: 8,
  connectionId: 0,
  flagNumber: 4,
  reserved: 6,
} as const;

/**
 * The input of `HVCALL_RETARGET_INTERRUPT`, in bytes, up to where a processor set's banks follow as the
 * variable header. Source: `hv_retarget_device_interrupt`, TLFS `HV_DEVICE_INTERRUPT_TARGET`.
 */
export const retargetInterruptLayout = {
  size: 56,
  partitionId: 0,
  deviceId: 8,
  /** `HV_INTERRUPT_SOURCE_MSI` or another. */
  source: 16,
  reservedSource: 20,
  msiAddress: 24,
  msiData: 28,
  reserved: 32,
  vector: 40,
  flags: 44,
  /** A mask of VPs 0 to 63, or the format of the processor set. */
  maskOrFormat: 48,
  sourceMsi: 1,
  flagMulticast: 1,
  flagProcessorSet: 2,
  flagProxyRedirect: 4,
  formatSparse4k: 0n,
} as const;

/** A monitor page, in bytes. Source: Linux 7.2 `struct hv_monitor_page` (`drivers/hv/hyperv_vmbus.h`). */
export const monitorPageLayout = {
  size: 4096,
  /** Bits 0 to 3: which groups the hypervisor inspects. */
  triggerState: 0,
  /** Four groups of 8 bytes: 32 pending bits, then 32 armed bits. */
  triggerGroups: 8,
  triggerGroupSize: 8,
  groups: 4,
  triggersPerGroup: 32,
  monitors: 128,
} as const;
