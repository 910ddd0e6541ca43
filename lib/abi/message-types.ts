/**
 * The types of the messages that `MSHV_RUN_VP` returns and the SynIC delivers. Source: `hv_message_type` of Linux
 * 7.2 and, for the codes that Linux does not name, rust-vmm/mshv.
 */
export const messageTypes = {
  NONE: 0x00000000,
  UNMAPPED_GPA: 0x80000000,
  GPA_INTERCEPT: 0x80000001,
  UNACCEPTED_GPA: 0x80000003,
  GPA_ATTRIBUTE_INTERCEPT: 0x80000004,
  ENABLE_PARTITION_VTL_INTERCEPT: 0x80000005,
  TIMER_EXPIRED: 0x80000010,
  INVALID_VP_REGISTER_VALUE: 0x80000020,
  UNRECOVERABLE_EXCEPTION: 0x80000021,
  UNSUPPORTED_FEATURE: 0x80000022,
  TLB_PAGE_SIZE_MISMATCH: 0x80000023,
  IOMMU_FAULT: 0x80000024,
  OPAQUE_INTERCEPT: 0x8000003f,
  EVENTLOG_BUFFERCOMPLETE: 0x80000040,
  HYPERCALL_INTERCEPT: 0x80000050,
  SYNIC_EVENT_INTERCEPT: 0x80000060,
  SYNIC_SINT_INTERCEPT: 0x80000061,
  SYNIC_SINT_DELIVERABLE: 0x80000062,
  ASYNC_CALL_COMPLETION: 0x80000070,
  SCHEDULER_VP_SIGNAL_BITSET: 0x80000100,
  SCHEDULER_VP_SIGNAL_PAIR: 0x80000101,
  X64_IO_PORT_INTERCEPT: 0x80010000,
  X64_MSR_INTERCEPT: 0x80010001,
  X64_CPUID_INTERCEPT: 0x80010002,
  X64_EXCEPTION_INTERCEPT: 0x80010003,
  X64_APIC_EOI: 0x80010004,
  X64_LEGACY_FP_ERROR: 0x80010005,
  /** `hvdef` calls this code the register intercept. */
  X64_IOMMU_PRQ: 0x80010006,
  X64_HALT: 0x80010007,
  X64_INTERRUPTION_DELIVERABLE: 0x80010008,
  X64_SIPI_INTERCEPT: 0x80010009,
  X64_RDTSC_INTERCEPT: 0x8001000a,
  X64_APIC_SMI_INTERCEPT: 0x8001000b,
  ARM64_RESET_INTERCEPT: 0x8001000c,
  X64_APIC_INIT_SIPI_INTERCEPT: 0x8001000d,
  X64_APIC_WRITE_INTERCEPT: 0x8001000e,
  X64_PROXY_INTERRUPT_INTERCEPT: 0x8001000f,
  X64_ISOLATION_CTRL_REG_INTERCEPT: 0x80010010,
  X64_SNP_GUEST_REQUEST_INTERCEPT: 0x80010011,
  X64_EXCEPTION_TRAP_INTERCEPT: 0x80010012,
  X64_SEV_VMGEXIT_INTERCEPT: 0x80010013,
} as const;

/** The name of a message's type: a key of `messageTypes`. */
export type MessageTypeName = keyof typeof messageTypes;

/** Where a message has what, in bytes. Source: `hv_message_header` and `hv_message` of Linux 7.2. */
export const messageLayout = {
  size: 256,
  type: 0,
  payloadSize: 4,
  flags: 5,
  sender: 8,
  payload: 16,
  /** The payload has at most this many bytes. */
  payloadCapacity: 240,
} as const;

const names = new Map(
  Object.entries(messageTypes).map(([name, type]) => [type as number, name as MessageTypeName]),
);

/** The name of a message type, or undefined where neither source has one. */
export function messageTypeName(type: number): MessageTypeName | undefined {
  return names.get(type);
}
