import { defineFields } from './fields.js';
import { flag, type Layout, type PlainFields, u16, u32, u64 } from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_vmgexit_intercept_message`. */
export const sevVmgexitLayout = {
  ghcbMsr: u64(40),
  /** Whether the fields below mean anything. */
  ghcbPageValid: flag(48, 0),
  ghcbUsage: u32(56),
  ghcbProtocolVersion: u16(64),
  swExitCode: u64(72),
  swExitInfo1: u64(80),
  swExitInfo2: u64(88),
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
