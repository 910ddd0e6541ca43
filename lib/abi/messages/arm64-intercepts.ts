import { cacheTypes, type CacheType } from '../cache-type.js';
import { interceptAccesses, type InterceptAccess } from '../intercept-types.js';
import { exactGpa } from './exact-gpa.js';
import {
  bits,
  bytes,
  choice,
  flag,
  gpa,
  u32,
  u64,
  u8,
  type Fields,
  type Layout,
} from './layout.js';
import { Message } from './message.js';

/** `hv_arm64_intercept_message_header`: 24 bytes. */
export const arm64HeaderLayout = {
  vpIndex: u32(0),
  instructionLength: u8(4),
  access: choice(5, 8, interceptAccesses),
  cpl: bits(6, 0, 2),
  debugActive: flag(6, 2),
  interruptionPending: flag(6, 3),
  vtl: bits(6, 4, 4),
  virtualizationFaultActive: flag(6, 8),
  pc: u64(8),
  cpsr: u64(16),
} as const satisfies Layout;

/**
 * An intercept on arm64, with the VP's state at that moment. PC points at the intercepted instruction. Source:
 * `hv_arm64_intercept_message_header` of Linux 7.2.
 */
export abstract class Arm64Intercept extends Message implements Fields<typeof arm64HeaderLayout> {
  get vpIndex(): number {
    return this.view.getUint32(0, true);
  }

  /** How far PC has to go for the instruction to be skipped. */
  get instructionLength(): number {
    return this.view.getUint8(4);
  }

  /** What the guest attempted; a number where the hypervisor's code has no name. */
  get access(): InterceptAccess | number {
    const code = this.view.getUint8(5);
    return interceptAccesses[code] ?? code;
  }

  /** The exception level: 0 to 3. */
  get cpl(): number {
    return this.view.getUint8(6) & 0x3;
  }

  get debugActive(): boolean {
    return (this.view.getUint8(6) & (1 << 2)) !== 0;
  }

  get interruptionPending(): boolean {
    return (this.view.getUint8(6) & (1 << 3)) !== 0;
  }

  get vtl(): number {
    return (this.view.getUint8(6) >> 4) & 0xf;
  }

  get virtualizationFaultActive(): boolean {
    return (this.view.getUint8(7) & (1 << 0)) !== 0;
  }

  get pc(): bigint {
    return this.view.getBigUint64(8, true);
  }

  get cpsr(): bigint {
    return this.view.getBigUint64(16, true);
  }

  get isWrite(): boolean {
    return this.view.getUint8(5) === 1;
  }
}

/** `hv_arm64_memory_intercept_message`. */
export const arm64MemoryLayout = {
  ...arm64HeaderLayout,
  cacheType: choice(24, 32, cacheTypes),
  gvaValid: flag(29, 0),
  gvaGpaValid: flag(29, 1),
  hypercallOutputPending: flag(29, 2),
  gva: u64(40),
  gpa: gpa(48, 40, 29),
  syndrome: u64(56),
  instructionBytes: bytes(32, 4, 28),
  instructionByteCount: u8(28),
} as const satisfies Layout;

export const arm64MemorySize = 64;

/** An access to guest memory. Source: `hv_arm64_memory_intercept_message` of Linux 7.2. */
abstract class Arm64MemoryIntercept
  extends Arm64Intercept
  implements Fields<typeof arm64MemoryLayout>
{
  constructor(message: Uint8Array) {
    super(message, Object.keys(arm64MemoryLayout), arm64MemorySize);
  }

  /** The memory type of the access; a number where the hypervisor's code has no name. */
  get cacheType(): CacheType | number {
    const code = this.view.getUint32(24, true);
    return cacheTypes[code] ?? code;
  }

  /** Whether `gva` means anything. */
  get gvaValid(): boolean {
    return (this.view.getUint8(29) & (1 << 0)) !== 0;
  }

  /** Whether `gpa` is the translation of `gva`, and not, say, that of a page table. */
  get gvaGpaValid(): boolean {
    return (this.view.getUint8(29) & (1 << 1)) !== 0;
  }

  get hypercallOutputPending(): boolean {
    return (this.view.getUint8(29) & (1 << 2)) !== 0;
  }

  /**
   * Up to 4 bytes from PC on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(32, 4, 28);
  }

  /** How many of them the hypervisor says there are: more than 4, usually 0xff, where it fetched none. */
  get instructionByteCount(): number {
    return this.view.getUint8(28);
  }

  /** Guest virtual address. */
  get gva(): bigint {
    return this.view.getBigUint64(40, true);
  }

  /**
   * Guest physical address. Where the hypervisor gives that of the page only, and `gva` is what it is the translation
   * of, the offset in the page is that of `gva`. `rawGpa` is as the hypervisor gave it.
   */
  get gpa(): bigint {
    return exactGpa(this.view, 48, 40, 29);
  }

  /** Guest physical address as the hypervisor gave it: on Intel processors it may be that of the page. */
  get rawGpa(): bigint {
    return this.view.getBigUint64(48, true);
  }

  /** The exception syndrome, as ESR_EL2 has it. */
  get syndrome(): bigint {
    return this.view.getBigUint64(56, true);
  }
}

/** `UnmappedGpaIntercept` on arm64. */
export class Arm64UnmappedGpaIntercept extends Arm64MemoryIntercept {
  readonly type = 'arm64-unmapped-gpa';

  snapshot(): Arm64UnmappedGpaIntercept {
    return new Arm64UnmappedGpaIntercept(this.copy());
  }
}

/** `GpaIntercept` on arm64. */
export class Arm64GpaIntercept extends Arm64MemoryIntercept {
  readonly type = 'arm64-gpa-intercept';

  snapshot(): Arm64GpaIntercept {
    return new Arm64GpaIntercept(this.copy());
  }
}

/** `UnacceptedGpaIntercept` on arm64. */
export class Arm64UnacceptedGpaIntercept extends Arm64MemoryIntercept {
  readonly type = 'arm64-unaccepted-gpa';

  snapshot(): Arm64UnacceptedGpaIntercept {
    return new Arm64UnacceptedGpaIntercept(this.copy());
  }
}

/** Ways to reset by code. Source: `HV_ARM64_RESET_TYPE_*` of rust-vmm/mshv. */
export const arm64ResetTypes = ['power-off', 'reboot', 'system-reset2', 'hibernate'] as const;

export type Arm64ResetType = (typeof arm64ResetTypes)[number];

/** `hv_arm64_reset_intercept_message`. */
export const arm64ResetLayout = {
  ...arm64HeaderLayout,
  resetType: choice(24, 32, arm64ResetTypes),
  resetCode: u32(28),
} as const satisfies Layout;

export const arm64ResetSize = 32;

/**
 * The guest resets itself or turns itself off, through PSCI. Source: `hv_arm64_reset_intercept_message` of
 * rust-vmm/mshv.
 */
export class Arm64ResetIntercept extends Arm64Intercept implements Fields<typeof arm64ResetLayout> {
  readonly type = 'arm64-reset';

  constructor(message: Uint8Array) {
    super(message, Object.keys(arm64ResetLayout), arm64ResetSize);
  }

  /** A number where the hypervisor's code has no name. */
  get resetType(): Arm64ResetType | number {
    const code = this.view.getUint32(24, true);
    return arm64ResetTypes[code] ?? code;
  }

  get resetCode(): number {
    return this.view.getUint32(28, true);
  }

  snapshot(): Arm64ResetIntercept {
    return new Arm64ResetIntercept(this.copy());
  }
}
