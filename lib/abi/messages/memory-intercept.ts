import { cacheTypes } from '../cache-type.js';
import { exactGpa } from './exact-gpa.js';
import { defineFields } from './fields.js';
import {
  bytes,
  choice,
  type Fields,
  flag,
  gpa,
  type Layout,
  type PlainFields,
  u64,
  u8,
} from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_memory_intercept_message`. */
export const memoryLayout = {
  /** The memory type of the access; a number where the hypervisor's code has no name. */
  cacheType: choice(40, 32, cacheTypes),
  /** Whether `gva` means anything. */
  gvaValid: flag(45, 0),
  /** Whether `gpa` is the translation of `gva`, and not, say, that of a page table. */
  gvaGpaValid: flag(45, 1),
  /** Whether the access is the hypervisor's, for a hypercall's output. */
  hypercallOutputPending: flag(45, 2),
  /** `tlb_locked_no_overlay` of the hypervisor's. */
  tlbLockedNoOverlay: flag(45, 3),
  /** The task priority at that moment. */
  tprPriority: u8(46),
  /** Guest virtual address. */
  gva: u64(48),
  gpa: gpa(56, 48, 45),
  instructionBytes: bytes(64, 16, 44),
  /** How many of them the hypervisor says there are: more than 16, usually 0xff, where it fetched none. */
  instructionByteCount: u8(44),
} as const satisfies Layout;

export const memorySize = 80;

/** An access to guest memory. Source: `hv_x64_memory_intercept_message` of Linux 7.2. */
abstract class MemoryIntercept extends X64Intercept implements Fields<typeof memoryLayout> {
  static {
    defineFields(this, memoryLayout);
  }

  constructor(message: Uint8Array) {
    super(message, memorySize);
  }

  /**
   * Guest physical address. Where the hypervisor gives that of the page only, and `gva` is what it is the translation
   * of, the offset in the page is that of `gva`. `rawGpa` is as the hypervisor gave it.
   */
  get gpa(): bigint {
    return exactGpa(this.view, memoryLayout.gpa);
  }

  /** Guest physical address as the hypervisor gave it: on Intel processors it may be that of the page. */
  get rawGpa(): bigint {
    return this.view.getBigUint64(memoryLayout.gpa.at, true);
  }

  /**
   * Up to 16 bytes from RIP on, a copy. None where the hypervisor did not fetch them: an emulator reads them in memory.
   */
  get instructionBytes(): Uint8Array {
    return this.instruction(memoryLayout.instructionBytes);
  }
}

interface MemoryIntercept extends PlainFields<typeof memoryLayout> {}

/** The guest accesses guest physical memory where nothing is mapped: MMIO. */
export class UnmappedGpaIntercept extends MemoryIntercept {
  readonly type = 'unmapped-gpa';

  snapshot(): UnmappedGpaIntercept {
    return new UnmappedGpaIntercept(this.copy());
  }
}

/**
 * The guest accesses mapped memory in a way that it may not. Accesses to pages that the driver has not populated
 * yet arrive as this message, too, but the driver resolves those and runs the VP on (`mshv_vp_ioctl_run_vp`).
 */
export class GpaIntercept extends MemoryIntercept {
  readonly type = 'gpa-intercept';

  snapshot(): GpaIntercept {
    return new GpaIntercept(this.copy());
  }
}

/** The guest accesses memory that it has not accepted, in an isolated partition. */
export class UnacceptedGpaIntercept extends MemoryIntercept {
  readonly type = 'unaccepted-gpa';

  snapshot(): UnacceptedGpaIntercept {
    return new UnacceptedGpaIntercept(this.copy());
  }
}
