import { cacheTypes } from '../cache-type.js';
import { interceptAccesses } from '../intercept-types.js';
import { exactGpa } from './exact-gpa.js';
import { defineFields } from './fields.js';
import {
  bits,
  bytes,
  choice,
  type Fields,
  flag,
  gpa,
  type Layout,
  type PlainFields,
  u32,
  u64,
  u8,
} from './layout.js';
import { Message } from './message.js';

/** `hv_arm64_intercept_message_header`: 24 bytes. */
export const arm64HeaderLayout = {
  /** The VP that stopped. */
  vpIndex: u32(0),
  /** How far PC has to go for the instruction to be skipped. */
  instructionLength: u8(4),
  /** What the guest attempted; a number where the hypervisor's code has no name. */
  access: choice(5, 8, interceptAccesses),
  /** The exception level: 0 to 3. */
  cpl: bits(6, 0, 2),
  /** Whether the guest is being debugged. */
  debugActive: flag(6, 2),
  /** Whether an interruption waits to be delivered. */
  interruptionPending: flag(6, 3),
  /** The virtual trust level that the VP was in: 0 to 15. */
  vtl: bits(6, 4, 4),
  /** Whether a virtualization fault is being handled. */
  virtualizationFaultActive: flag(6, 8),
  pc: u64(8),
  cpsr: u64(16),
} as const satisfies Layout;

const { access } = arm64HeaderLayout;
const write = interceptAccesses.indexOf('write');

/**
 * An intercept on arm64, with the VP's state at that moment. PC points at the intercepted instruction. Source:
 * `hv_arm64_intercept_message_header` of Linux 7.2.
 */
export abstract class Arm64Intercept extends Message {
  static {
    defineFields(this, arm64HeaderLayout);
  }

  /** Whether the guest attempted to write. */
  get isWrite(): boolean {
    return this.view.getUint8(access.at) === write;
  }
}

export interface Arm64Intercept extends PlainFields<typeof arm64HeaderLayout> {}

/** `hv_arm64_memory_intercept_message`. */
export const arm64MemoryLayout = {
  /** The memory type of the access; a number where the hypervisor's code has no name. */
  cacheType: choice(24, 32, cacheTypes),
  /** Whether `gva` means anything. */
  gvaValid: flag(29, 0),
  /** Whether `gpa` is the translation of `gva`, and not, say, that of a page table. */
  gvaGpaValid: flag(29, 1),
  /** Whether the access is the hypervisor's, for a hypercall's output. */
  hypercallOutputPending: flag(29, 2),
  /** Guest virtual address. */
  gva: u64(40),
  gpa: gpa(48, 40, 29),
  /** The exception syndrome, as ESR_EL2 has it. */
  syndrome: u64(56),
  instructionBytes: bytes(32, 4, 28),
  /** How many of them the hypervisor says there are: more than 4, usually 0xff, where it fetched none. */
  instructionByteCount: u8(28),
} as const satisfies Layout;

export const arm64MemorySize = 64;

/** An access to guest memory. Source: `hv_arm64_memory_intercept_message` of Linux 7.2. */
abstract class Arm64MemoryIntercept
  extends Arm64Intercept
  implements Fields<typeof arm64MemoryLayout>
{
  static {
    defineFields(this, arm64MemoryLayout);
  }

  constructor(message: Uint8Array) {
    super(message, arm64MemorySize);
  }

  /**
   * Up to 4 bytes from PC on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(arm64MemoryLayout.instructionBytes);
  }

  /**
   * Guest physical address. Where the hypervisor gives that of the page only, and `gva` is what it is the translation
   * of, the offset in the page is that of `gva`. `rawGpa` is as the hypervisor gave it.
   */
  get gpa(): bigint {
    return exactGpa(this.view, arm64MemoryLayout.gpa);
  }

  /** Guest physical address as the hypervisor gave it: on Intel processors it may be that of the page. */
  get rawGpa(): bigint {
    return this.view.getBigUint64(arm64MemoryLayout.gpa.at, true);
  }
}

interface Arm64MemoryIntercept extends PlainFields<typeof arm64MemoryLayout> {}

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

/** How a guest resets itself, or turns itself off. */
export type Arm64ResetType = (typeof arm64ResetTypes)[number];

/** `hv_arm64_reset_intercept_message`. */
export const arm64ResetLayout = {
  /** A number where the hypervisor's code has no name. */
  resetType: choice(24, 32, arm64ResetTypes),
  /** The guest's own, of SYSTEM_RESET2. */
  resetCode: u32(28),
} as const satisfies Layout;

export const arm64ResetSize = 32;

/**
 * The guest resets itself or turns itself off, through PSCI. Source: `hv_arm64_reset_intercept_message` of
 * rust-vmm/mshv.
 */
export class Arm64ResetIntercept extends Arm64Intercept {
  static {
    defineFields(this, arm64ResetLayout);
  }

  readonly type = 'arm64-reset';

  constructor(message: Uint8Array) {
    super(message, arm64ResetSize);
  }

  snapshot(): Arm64ResetIntercept {
    return new Arm64ResetIntercept(this.copy());
  }
}

export interface Arm64ResetIntercept extends PlainFields<typeof arm64ResetLayout> {}
