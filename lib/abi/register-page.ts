import type { X64RegisterName } from './x64-registers.js';

/**
 * Which registers the hypervisor takes from the register page at the next run, as bits of its dirty word. Setting
 * a bit takes all registers of the class. Source: `HV_X64_REGISTER_CLASS_*` of Linux 7.2.
 */
export const dirtyMasks = {
  /** RAX to R15. */
  GENERAL: 1 << 0,
  IP: 1 << 1,
  XMM: 1 << 2,
  SEGMENT: 1 << 3,
  FLAGS: 1 << 4,
} as const;

/**
 * Where the register page has what beside registers, in bytes. Source: `hv_vp_register_page` of Linux 7.2. On
 * arm64 the page ends after the dirty word.
 */
export const registerPageLayout = {
  /** As many bytes have a meaning. */
  size: 696,
  /** 16 bits: 1. */
  version: 0,
  /** 8 bits: the rest counts only where it is 1. */
  isValid: 2,
  /** 32 bits: `dirtyMasks`. */
  dirty: 4,
  /** RAX to R15, RIP and RFLAGS, 64 bits each, in the order of their codes. */
  registers: 8,
  /** 8 bits: how many vectors follow; the driver injects fixed interrupts through them. */
  vectorCount: 688,
  vectors: 689,
  mostVectors: 7,
} as const;

/** Where a register is in the page, in bytes, and the bit that writes it; 0 where it is read-only. */
interface RegisterPageField {
  readonly at: number;
  readonly dirty: number;
}

/**
 * The registers of the page by name. A segment has 16 bytes, an XMM register two words, the others one. Source:
 * `hv_vp_register_page` of Linux 7.2.
 */
export const registerPageFields = {
  RAX: { at: 8, dirty: dirtyMasks.GENERAL },
  RCX: { at: 16, dirty: dirtyMasks.GENERAL },
  RDX: { at: 24, dirty: dirtyMasks.GENERAL },
  RBX: { at: 32, dirty: dirtyMasks.GENERAL },
  RSP: { at: 40, dirty: dirtyMasks.GENERAL },
  RBP: { at: 48, dirty: dirtyMasks.GENERAL },
  RSI: { at: 56, dirty: dirtyMasks.GENERAL },
  RDI: { at: 64, dirty: dirtyMasks.GENERAL },
  R8: { at: 72, dirty: dirtyMasks.GENERAL },
  R9: { at: 80, dirty: dirtyMasks.GENERAL },
  R10: { at: 88, dirty: dirtyMasks.GENERAL },
  R11: { at: 96, dirty: dirtyMasks.GENERAL },
  R12: { at: 104, dirty: dirtyMasks.GENERAL },
  R13: { at: 112, dirty: dirtyMasks.GENERAL },
  R14: { at: 120, dirty: dirtyMasks.GENERAL },
  R15: { at: 128, dirty: dirtyMasks.GENERAL },
  RIP: { at: 136, dirty: dirtyMasks.IP },
  RFLAGS: { at: 144, dirty: dirtyMasks.FLAGS },
  XMM0: { at: 160, dirty: dirtyMasks.XMM },
  XMM1: { at: 176, dirty: dirtyMasks.XMM },
  XMM2: { at: 192, dirty: dirtyMasks.XMM },
  XMM3: { at: 208, dirty: dirtyMasks.XMM },
  XMM4: { at: 224, dirty: dirtyMasks.XMM },
  XMM5: { at: 240, dirty: dirtyMasks.XMM },
  ES: { at: 256, dirty: dirtyMasks.SEGMENT },
  CS: { at: 272, dirty: dirtyMasks.SEGMENT },
  SS: { at: 288, dirty: dirtyMasks.SEGMENT },
  DS: { at: 304, dirty: dirtyMasks.SEGMENT },
  FS: { at: 320, dirty: dirtyMasks.SEGMENT },
  GS: { at: 336, dirty: dirtyMasks.SEGMENT },
  CR0: { at: 352, dirty: 0 },
  CR3: { at: 360, dirty: 0 },
  CR4: { at: 368, dirty: 0 },
  CR8: { at: 376, dirty: 0 },
  EFER: { at: 384, dirty: 0 },
  DR7: { at: 392, dirty: 0 },
  PENDING_INTERRUPTION: { at: 400, dirty: 0 },
  INTERRUPT_STATE: { at: 408, dirty: 0 },
  INSTRUCTION_EMULATION_HINTS: { at: 416, dirty: 0 },
  XFEM: { at: 424, dirty: 0 },
} as const satisfies Partial<Record<X64RegisterName, RegisterPageField>>;

/** The name of a register that the register page has. */
export type RegisterPageName = keyof typeof registerPageFields;
