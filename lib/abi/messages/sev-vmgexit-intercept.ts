import { defineFields } from './fields.js';
import { flag, type Layout, type PlainFields, u16, u32, u64 } from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_vmgexit_intercept_message`. */
export const sevVmgexitLayout = {
  /** The GHCB MSR of the guest. */
  ghcbMsr: u64(40),
  /** Whether the fields below mean anything. */
  ghcbPageValid: flag(48, 0),
  /** What the GHCB is used for; 0 as the specification has it. */
  ghcbUsage: u32(56),
  /** The version of the protocol that the guest speaks. */
  ghcbProtocolVersion: u16(64),
  /** `SW_EXITCODE` of the GHCB. */
  swExitCode: u64(72),
  /** `SW_EXITINFO1` of the GHCB. */
  swExitInfo1: u64(80),
  /** `SW_EXITINFO2` of the GHCB. */
  swExitInfo2: u64(88),
  /** `SW_SCRATCH` of the GHCB. */
  swScratch: u64(96),
} as const satisfies Layout;

export const sevVmgexitSize = 104;

/** VMGEXIT of a guest with encrypted state. Source: `hv_x64_vmgexit_intercept_message` of rust-vmm/mshv. */
export class SevVmgexitIntercept extends X64Intercept {
  static {
    defineFields(this, sevVmgexitLayout);
  }

  readonly type = 'sev-vmgexit';

  constructor(message: Uint8Array) {
    super(message, sevVmgexitSize);
  }

  snapshot(): SevVmgexitIntercept {
    return new SevVmgexitIntercept(this.copy());
  }
}

export interface SevVmgexitIntercept extends PlainFields<typeof sevVmgexitLayout> {}
