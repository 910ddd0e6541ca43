import { flag, u16, u32, u64, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_vmgexit_intercept_message`. */
export const sevVmgexitLayout = {
  ...x64HeaderLayout,
  ghcbMsr: u64(40),
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
export class SevVmgexitIntercept extends X64Intercept implements Fields<typeof sevVmgexitLayout> {
  readonly type = 'sev-vmgexit';

  constructor(message: Uint8Array) {
    super(message, Object.keys(sevVmgexitLayout), sevVmgexitSize);
  }

  get ghcbMsr(): bigint {
    return this.view.getBigUint64(40, true);
  }

  /** Whether the fields below mean anything. */
  get ghcbPageValid(): boolean {
    return (this.view.getUint8(48) & (1 << 0)) !== 0;
  }

  get ghcbUsage(): number {
    return this.view.getUint32(56, true);
  }

  get ghcbProtocolVersion(): number {
    return this.view.getUint16(64, true);
  }

  get swExitCode(): bigint {
    return this.view.getBigUint64(72, true);
  }

  get swExitInfo1(): bigint {
    return this.view.getBigUint64(80, true);
  }

  get swExitInfo2(): bigint {
    return this.view.getBigUint64(88, true);
  }

  get swScratch(): bigint {
    return this.view.getBigUint64(96, true);
  }

  snapshot(): SevVmgexitIntercept {
    return new SevVmgexitIntercept(this.copy());
  }
}
