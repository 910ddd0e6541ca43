import { defineFields } from './fields.js';
import { type Layout, type PlainFields, u32, u64 } from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_msr_intercept_message`. */
export const msrLayout = {
  /** ECX of the instruction. */
  msr: u32(40),
  rdx: u64(48),
  rax: u64(56),
} as const satisfies Layout;

export const msrSize = 64;

/** RDMSR or WRMSR. Source: `hv_x64_msr_intercept_message` of rust-vmm/mshv. */
export class MsrIntercept extends X64Intercept {
  static {
    defineFields(this, msrLayout);
  }

  readonly type = 'msr';

  constructor(message: Uint8Array) {
    super(message, msrSize);
  }

  /** EDX of the instruction: the high half of what WRMSR writes. */
  get edx(): number {
    return this.view.getUint32(msrLayout.rdx.at, true);
  }

  /** EAX of the instruction: the low half of what WRMSR writes. */
  get eax(): number {
    return this.view.getUint32(msrLayout.rax.at, true);
  }

  /** What WRMSR writes: EDX:EAX. */
  get value(): bigint {
    return (BigInt(this.edx) << 32n) | BigInt(this.eax);
  }

  snapshot(): MsrIntercept {
    return new MsrIntercept(this.copy());
  }
}

export interface MsrIntercept extends PlainFields<typeof msrLayout> {}
