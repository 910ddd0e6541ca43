import { readSegmentRegister, type SegmentRegister } from '../segment-register.js';
import { bits, bytes, flag, segment, u16, u64, u8, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_io_port_intercept_message`. */
export const ioPortLayout = {
  ...x64HeaderLayout,
  port: u16(40),
  size: bits(42, 0, 3),
  isString: flag(42, 3),
  isRep: flag(42, 4),
  rax: u64(48),
  instructionBytes: bytes(56, 16, 43),
  instructionByteCount: u8(43),
  ds: segment(72),
  es: segment(88),
  rcx: u64(104),
  rsi: u64(112),
  rdi: u64(120),
} as const satisfies Layout;

export const ioPortSize = 128;

/**
 * The guest accesses an I/O port. Source: `hv_x64_io_port_intercept_message` of rust-vmm/mshv.
 *
 * The access is not done yet: a read is completed by changing RAX, and either by moving RIP on.
 */
export class IoPortIntercept extends X64Intercept implements Fields<typeof ioPortLayout> {
  readonly type = 'io-port';

  constructor(message: Uint8Array) {
    super(message, Object.keys(ioPortLayout), ioPortSize);
  }

  get port(): number {
    return this.view.getUint16(40, true);
  }

  /** Bytes of one access: 1, 2 or 4. */
  get size(): number {
    return this.view.getUint8(42) & 7;
  }

  /** INS or OUTS: the data is in memory, at ES:RDI or DS:RSI. */
  get isString(): boolean {
    return (this.view.getUint8(42) & (1 << 3)) !== 0;
  }

  /** A REP prefix: RCX accesses. */
  get isRep(): boolean {
    return (this.view.getUint8(42) & (1 << 4)) !== 0;
  }

  /** What OUT writes: the low `size` bytes of RAX. Not the data of OUTS. */
  get value(): number {
    switch (this.view.getUint8(42) & 7) {
      case 1:
        return this.view.getUint8(48);
      case 2:
        return this.view.getUint16(48, true);
      default:
        return this.view.getUint32(48, true);
    }
  }

  get rax(): bigint {
    return this.view.getBigUint64(48, true);
  }

  /**
   * Up to 16 bytes from RIP on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(56, 16, 43);
  }

  /** How many of them the hypervisor says there are: more than 16, usually 0xff, where it fetched none. */
  get instructionByteCount(): number {
    return this.view.getUint8(43);
  }

  get ds(): SegmentRegister {
    return readSegmentRegister(this.view, 72);
  }

  get es(): SegmentRegister {
    return readSegmentRegister(this.view, 88);
  }

  get rcx(): bigint {
    return this.view.getBigUint64(104, true);
  }

  get rsi(): bigint {
    return this.view.getBigUint64(112, true);
  }

  get rdi(): bigint {
    return this.view.getBigUint64(120, true);
  }

  snapshot(): IoPortIntercept {
    return new IoPortIntercept(this.copy());
  }
}
