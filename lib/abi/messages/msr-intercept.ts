import { u32, u64, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_msr_intercept_message`. */
export const msrLayout = {
  ...x64HeaderLayout,
  msr: u32(40),
  rdx: u64(48),
  rax: u64(56),
} as const satisfies Layout;

export const msrSize = 64;

/** RDMSR or WRMSR. Source: `hv_x64_msr_intercept_message` of rust-vmm/mshv. */
export class MsrIntercept extends X64Intercept implements Fields<typeof msrLayout> {
  readonly type = 'msr';

  constructor(message: Uint8Array) {
    super(message, Object.keys(msrLayout), msrSize);
  }

  /** ECX of the instruction. */
  get msr(): number {
    return this.view.getUint32(40, true);
  }

  get rdx(): bigint {
    return this.view.getBigUint64(48, true);
  }

  get rax(): bigint {
    return this.view.getBigUint64(56, true);
  }

  /** EDX of the instruction: the high half of what WRMSR writes. */
  get edx(): number {
    return this.view.getUint32(48, true);
  }

  /** EAX of the instruction: the low half of what WRMSR writes. */
  get eax(): number {
    return this.view.getUint32(56, true);
  }

  /** What WRMSR writes: EDX:EAX. */
  get value(): bigint {
    return (BigInt(this.edx) << 32n) | BigInt(this.eax);
  }

  snapshot(): MsrIntercept {
    return new MsrIntercept(this.copy());
  }
}
