import { defineFields } from './fields.js';
import {
  bytes,
  type Fields,
  flag,
  type Layout,
  type PlainFields,
  segment,
  u16,
  u32,
  u64,
  u8,
} from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_exception_intercept_message`. */
export const exceptionLayout = {
  /** 0 to 31. */
  vector: u16(40),
  /** Whether `errorCode` means anything. */
  errorCodeValid: flag(42, 0),
  /** Whether an instruction raised it: INT3, INTO, INT. */
  softwareException: flag(42, 1),
  /** What the processor pushes, where `errorCodeValid`. */
  errorCode: u32(44),
  /** The faulting address of a page fault, say. */
  parameter: u64(48),
  instructionBytes: bytes(64, 16, 43),
  /** How many of them the hypervisor says there are: more than 16, usually 0xff, where it fetched none. */
  instructionByteCount: u8(43),
  ds: segment(80),
  ss: segment(96),
  rax: u64(112),
  rcx: u64(120),
  rdx: u64(128),
  rbx: u64(136),
  rsp: u64(144),
  rbp: u64(152),
  rsi: u64(160),
  rdi: u64(168),
  r8: u64(176),
  r9: u64(184),
  r10: u64(192),
  r11: u64(200),
  r12: u64(208),
  r13: u64(216),
  r14: u64(224),
  r15: u64(232),
} as const satisfies Layout;

export const exceptionSize = 240;

/** An exception of the guest that is intercepted. Source: `hv_x64_exception_intercept_message` of rust-vmm/mshv. */
export class ExceptionIntercept extends X64Intercept implements Fields<typeof exceptionLayout> {
  static {
    defineFields(this, exceptionLayout);
  }

  readonly type = 'exception';

  constructor(message: Uint8Array) {
    super(message, exceptionSize);
  }

  /**
   * Up to 16 bytes from RIP on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(exceptionLayout.instructionBytes);
  }

  snapshot(): ExceptionIntercept {
    return new ExceptionIntercept(this.copy());
  }
}

export interface ExceptionIntercept extends PlainFields<typeof exceptionLayout> {}
