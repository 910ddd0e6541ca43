import { defineFields } from './fields.js';
import {
  bits,
  bytes,
  type Fields,
  flag,
  type Layout,
  type PlainFields,
  segment,
  u16,
  u64,
  u8,
} from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_io_port_intercept_message`. */
export const ioPortLayout = {
  /** 0 to 0xffff. */
  port: u16(40),
  /** Bytes of one access: 1, 2 or 4. */
  size: bits(42, 0, 3),
  /** INS or OUTS: the data is in memory, at ES:RDI or DS:RSI. */
  isString: flag(42, 3),
  /** A REP prefix: RCX accesses. */
  isRep: flag(42, 4),
  rax: u64(48),
  instructionBytes: bytes(56, 16, 43),
  /** How many of them the hypervisor says there are: more than 16, usually 0xff, where it fetched none. */
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
  static {
    defineFields(this, ioPortLayout);
  }

  readonly type = 'io-port';

  constructor(message: Uint8Array) {
    super(message, ioPortSize);
  }

  /** What OUT writes: the low `size` bytes of RAX. Not the data of OUTS. */
  get value(): number {
    const { at } = ioPortLayout.rax;
    switch (this.size) {
      case 1:
        return this.view.getUint8(at);
      case 2:
        return this.view.getUint16(at, true);
      default:
        return this.view.getUint32(at, true);
    }
  }

  /**
   * Up to 16 bytes from RIP on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(ioPortLayout.instructionBytes);
  }

  snapshot(): IoPortIntercept {
    return new IoPortIntercept(this.copy());
  }
}

export interface IoPortIntercept extends PlainFields<typeof ioPortLayout> {}
