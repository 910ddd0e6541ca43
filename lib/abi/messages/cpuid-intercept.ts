import type { CpuidValues } from '../hypercall-outputs.js';
import { u64, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_cpuid_intercept_message`. */
export const cpuidLayout = {
  ...x64HeaderLayout,
  rax: u64(40),
  rcx: u64(48),
  rdx: u64(56),
  rbx: u64(64),
  defaultRax: u64(72),
  defaultRcx: u64(80),
  defaultRdx: u64(88),
  defaultRbx: u64(96),
} as const satisfies Layout;

export const cpuidSize = 104;

/** CPUID. Source: `hv_x64_cpuid_intercept_message` of rust-vmm/mshv. */
export class CpuidIntercept extends X64Intercept implements Fields<typeof cpuidLayout> {
  readonly type = 'cpuid';

  constructor(message: Uint8Array) {
    super(message, Object.keys(cpuidLayout), cpuidSize);
  }

  /** EAX of the instruction. */
  get leaf(): number {
    return this.view.getUint32(40, true);
  }

  /** ECX of the instruction. */
  get subleaf(): number {
    return this.view.getUint32(48, true);
  }

  get rax(): bigint {
    return this.view.getBigUint64(40, true);
  }

  get rcx(): bigint {
    return this.view.getBigUint64(48, true);
  }

  get rdx(): bigint {
    return this.view.getBigUint64(56, true);
  }

  get rbx(): bigint {
    return this.view.getBigUint64(64, true);
  }

  /** What the hypervisor would have returned without the intercept. */
  get defaultResult(): CpuidValues {
    return {
      eax: this.view.getUint32(72, true),
      ebx: this.view.getUint32(96, true),
      ecx: this.view.getUint32(80, true),
      edx: this.view.getUint32(88, true),
    };
  }

  get defaultRax(): bigint {
    return this.view.getBigUint64(72, true);
  }

  get defaultRcx(): bigint {
    return this.view.getBigUint64(80, true);
  }

  get defaultRdx(): bigint {
    return this.view.getBigUint64(88, true);
  }

  get defaultRbx(): bigint {
    return this.view.getBigUint64(96, true);
  }

  snapshot(): CpuidIntercept {
    return new CpuidIntercept(this.copy());
  }
}
