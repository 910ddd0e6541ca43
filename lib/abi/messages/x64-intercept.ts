import { interceptAccesses } from '../intercept-types.js';
import { defineFields } from './fields.js';
import { bits, choice, flag, type Layout, type PlainFields, segment, u32, u64 } from './layout.js';
import { Message } from './message.js';

/** `hv_x64_intercept_message_header`, with which most payloads begin: 40 bytes. */
export const x64HeaderLayout = {
  /** The VP that stopped. */
  vpIndex: u32(0),
  /** How far RIP has to go for the instruction to be skipped: 0 where the hypervisor does not know, to 15. */
  instructionLength: bits(4, 0, 4),
  /** Task priority: 0 to 15. */
  cr8: bits(4, 4, 4),
  /** What the guest attempted; a number where the hypervisor's code has no name. */
  access: choice(5, 8, interceptAccesses),
  /** Current privilege level: 0 to 3. */
  cpl: bits(6, 0, 2),
  /** CR0.PE: protected mode. */
  cr0Pe: flag(6, 2),
  /** CR0.AM: alignment is checked. */
  cr0Am: flag(6, 3),
  /** EFER.LMA: long mode. */
  eferLma: flag(6, 4),
  /** Whether a debug register is on. */
  debugActive: flag(6, 5),
  /** Whether an interruption waits to be delivered. */
  interruptionPending: flag(6, 6),
  /** The virtual trust level that the VP was in: 0 to 15. */
  vtl: bits(6, 7, 4),
  /** Whether the guest was in an enclave. */
  enclaveMode: flag(6, 11),
  /** Whether interrupts are held back for one instruction: after STI or MOV SS. */
  interruptShadow: flag(6, 12),
  /** Whether a virtualization fault is being handled. */
  virtualizationFaultActive: flag(6, 13),
  cs: segment(8),
  rip: u64(24),
  rflags: u64(32),
} as const satisfies Layout;

const { access, cpl: executionState, cr0Pe, eferLma } = x64HeaderLayout;
const write = interceptAccesses.indexOf('write');
const longMode = (1 << cr0Pe.shift) | (1 << eferLma.shift);

/**
 * An intercept of an instruction or event on x64, with the VP's state at that moment. RIP points at the
 * intercepted instruction. Source: `hv_x64_intercept_message_header` of Linux 7.2.
 */
export abstract class X64Intercept extends Message {
  static {
    defineFields(this, x64HeaderLayout);
  }

  /** Whether the guest attempted to write. */
  get isWrite(): boolean {
    return this.view.getUint8(access.at) === write;
  }

  /** The bits of the fields from `cpl` to `virtualizationFaultActive`: `hv_x64_vp_execution_state`. */
  get executionState(): number {
    return this.view.getUint16(executionState.at, true);
  }

  /** Long mode: protected mode and EFER.LMA. Compatibility mode included, which the code segment tells. */
  get is64Bit(): boolean {
    return (this.view.getUint8(executionState.at) & longMode) === longMode;
  }
}

export interface X64Intercept extends PlainFields<typeof x64HeaderLayout> {}

/** `hv_x64_halt_message` and `hv_x64_unrecoverable_exception_message`: the header alone. */
export const x64HeaderSize = 40;

/** The guest executed HLT, where that is intercepted. */
export class HaltIntercept extends X64Intercept {
  readonly type = 'halt';

  constructor(message: Uint8Array) {
    super(message, x64HeaderSize);
  }

  snapshot(): HaltIntercept {
    return new HaltIntercept(this.copy());
  }
}

/** A triple fault. */
export class UnrecoverableException extends X64Intercept {
  readonly type = 'unrecoverable-exception';

  constructor(message: Uint8Array) {
    super(message, x64HeaderSize);
  }

  snapshot(): UnrecoverableException {
    return new UnrecoverableException(this.copy());
  }
}
