import { readSegmentRegister, type SegmentRegister } from '../segment-register.js';
import { bytes, flag, segment, u16, u32, u64, u8, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_exception_intercept_message`. */
export const exceptionLayout = {
  ...x64HeaderLayout,
  vector: u16(40),
  errorCodeValid: flag(42, 0),
  softwareException: flag(42, 1),
  errorCode: u32(44),
  parameter: u64(48),
  instructionBytes: bytes(64, 16, 43),
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
  readonly type = 'exception';

  constructor(message: Uint8Array) {
    super(message, Object.keys(exceptionLayout), exceptionSize);
  }

  get vector(): number {
    return this.view.getUint16(40, true);
  }

  /** Whether `errorCode` means anything. */
  get errorCodeValid(): boolean {
    return (this.view.getUint8(42) & (1 << 0)) !== 0;
  }

  get softwareException(): boolean {
    return (this.view.getUint8(42) & (1 << 1)) !== 0;
  }

  get errorCode(): number {
    return this.view.getUint32(44, true);
  }

  /** The faulting address of a page fault, say. */
  get parameter(): bigint {
    return this.view.getBigUint64(48, true);
  }

  /**
   * Up to 16 bytes from RIP on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(64, 16, 43);
  }

  /** How many of them the hypervisor says there are: more than 16, usually 0xff, where it fetched none. */
  get instructionByteCount(): number {
    return this.view.getUint8(43);
  }

  get ds(): SegmentRegister {
    return readSegmentRegister(this.view, 80);
  }

  get ss(): SegmentRegister {
    return readSegmentRegister(this.view, 96);
  }

  get rax(): bigint {
    return this.view.getBigUint64(112, true);
  }

  get rcx(): bigint {
    return this.view.getBigUint64(120, true);
  }

  get rdx(): bigint {
    return this.view.getBigUint64(128, true);
  }

  get rbx(): bigint {
    return this.view.getBigUint64(136, true);
  }

  get rsp(): bigint {
    return this.view.getBigUint64(144, true);
  }

  get rbp(): bigint {
    return this.view.getBigUint64(152, true);
  }

  get rsi(): bigint {
    return this.view.getBigUint64(160, true);
  }

  get rdi(): bigint {
    return this.view.getBigUint64(168, true);
  }

  get r8(): bigint {
    return this.view.getBigUint64(176, true);
  }

  get r9(): bigint {
    return this.view.getBigUint64(184, true);
  }

  get r10(): bigint {
    return this.view.getBigUint64(192, true);
  }

  get r11(): bigint {
    return this.view.getBigUint64(200, true);
  }

  get r12(): bigint {
    return this.view.getBigUint64(208, true);
  }

  get r13(): bigint {
    return this.view.getBigUint64(216, true);
  }

  get r14(): bigint {
    return this.view.getBigUint64(224, true);
  }

  get r15(): bigint {
    return this.view.getBigUint64(232, true);
  }

  snapshot(): ExceptionIntercept {
    return new ExceptionIntercept(this.copy());
  }
}
