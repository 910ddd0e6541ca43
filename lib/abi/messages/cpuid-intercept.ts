import type { CpuidValues } from '../hypercall-outputs.js';
import { defineFields } from './fields.js';
import { type Layout, type PlainFields, u64 } from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_cpuid_intercept_message`. */
export const cpuidLayout = {
  /** The leaf is its low half. */
  rax: u64(40),
  /** The subleaf is its low half. */
  rcx: u64(48),
  rdx: u64(56),
  rbx: u64(64),
  /** What the hypervisor would return in RAX. */
  defaultRax: u64(72),
  /** What the hypervisor would return in RCX. */
  defaultRcx: u64(80),
  /** What the hypervisor would return in RDX. */
  defaultRdx: u64(88),
  /** What the hypervisor would return in RBX. */
  defaultRbx: u64(96),
} as const satisfies Layout;

export const cpuidSize = 104;

/** CPUID. Source: `hv_x64_cpuid_intercept_message` of rust-vmm/mshv. */
export class CpuidIntercept extends X64Intercept {
  static {
    defineFields(this, cpuidLayout);
  }

  readonly type = 'cpuid';

  constructor(message: Uint8Array) {
    super(message, cpuidSize);
  }

  /** EAX of the instruction. */
  get leaf(): number {
    return this.view.getUint32(cpuidLayout.rax.at, true);
  }

  /** ECX of the instruction. */
  get subleaf(): number {
    return this.view.getUint32(cpuidLayout.rcx.at, true);
  }

  /** What the hypervisor would have returned without the intercept. */
  get defaultResult(): CpuidValues {
    return {
      eax: this.view.getUint32(cpuidLayout.defaultRax.at, true),
      ebx: this.view.getUint32(cpuidLayout.defaultRbx.at, true),
      ecx: this.view.getUint32(cpuidLayout.defaultRcx.at, true),
      edx: this.view.getUint32(cpuidLayout.defaultRdx.at, true),
    };
  }

  snapshot(): CpuidIntercept {
    return new CpuidIntercept(this.copy());
  }
}

export interface CpuidIntercept extends PlainFields<typeof cpuidLayout> {}
