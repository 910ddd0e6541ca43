import { interceptAccesses, type InterceptAccess } from '../intercept-types.js';
import { readSegmentRegister, type SegmentRegister } from '../segment-register.js';
import { bits, choice, flag, segment, u32, u64, type Fields, type Layout } from './layout.js';
import { Message } from './message.js';

/** `hv_x64_intercept_message_header`, with which most payloads begin: 40 bytes. */
export const x64HeaderLayout = {
  vpIndex: u32(0),
  instructionLength: bits(4, 0, 4),
  cr8: bits(4, 4, 4),
  access: choice(5, 8, interceptAccesses),
  cpl: bits(6, 0, 2),
  cr0Pe: flag(6, 2),
  cr0Am: flag(6, 3),
  eferLma: flag(6, 4),
  debugActive: flag(6, 5),
  interruptionPending: flag(6, 6),
  vtl: bits(6, 7, 4),
  enclaveMode: flag(6, 11),
  interruptShadow: flag(6, 12),
  virtualizationFaultActive: flag(6, 13),
  cs: segment(8),
  rip: u64(24),
  rflags: u64(32),
} as const satisfies Layout;

const longMode = (1 << 2) | (1 << 4);

/**
 * An intercept of an instruction or event on x64, with the VP's state at that moment. RIP points at the
 * intercepted instruction. Source: `hv_x64_intercept_message_header` of Linux 7.2.
 */
export abstract class X64Intercept extends Message implements Fields<typeof x64HeaderLayout> {
  get vpIndex(): number {
    return this.view.getUint32(0, true);
  }

  /** How far RIP has to go for the instruction to be skipped: 0 where the hypervisor does not know, to 15. */
  get instructionLength(): number {
    return this.view.getUint8(4) & 0xf;
  }

  /** Task priority: 0 to 15. */
  get cr8(): number {
    return this.view.getUint8(4) >> 4;
  }

  /** What the guest attempted; a number where the hypervisor's code has no name. */
  get access(): InterceptAccess | number {
    const code = this.view.getUint8(5);
    return interceptAccesses[code] ?? code;
  }

  get isWrite(): boolean {
    return this.view.getUint8(5) === 1;
  }

  /** The bits of the fields from `cpl` to `virtualizationFaultActive`: `hv_x64_vp_execution_state`. */
  get executionState(): number {
    return this.view.getUint16(6, true);
  }

  /** Current privilege level: 0 to 3. */
  get cpl(): number {
    return this.view.getUint8(6) & 3;
  }

  get cr0Pe(): boolean {
    return (this.view.getUint8(6) & (1 << 2)) !== 0;
  }

  get cr0Am(): boolean {
    return (this.view.getUint8(6) & (1 << 3)) !== 0;
  }

  get eferLma(): boolean {
    return (this.view.getUint8(6) & (1 << 4)) !== 0;
  }

  /** Long mode: protected mode and EFER.LMA. Compatibility mode included, which the code segment tells. */
  get is64Bit(): boolean {
    return (this.view.getUint8(6) & longMode) === longMode;
  }

  get debugActive(): boolean {
    return (this.view.getUint8(6) & (1 << 5)) !== 0;
  }

  get interruptionPending(): boolean {
    return (this.view.getUint8(6) & (1 << 6)) !== 0;
  }

  get vtl(): number {
    return (this.view.getUint16(6, true) >> 7) & 0xf;
  }

  get enclaveMode(): boolean {
    return (this.view.getUint8(7) & (1 << 3)) !== 0;
  }

  get interruptShadow(): boolean {
    return (this.view.getUint8(7) & (1 << 4)) !== 0;
  }

  get virtualizationFaultActive(): boolean {
    return (this.view.getUint8(7) & (1 << 5)) !== 0;
  }

  get cs(): SegmentRegister {
    return readSegmentRegister(this.view, 8);
  }

  get rip(): bigint {
    return this.view.getBigUint64(24, true);
  }

  get rflags(): bigint {
    return this.view.getBigUint64(32, true);
  }
}

/** `hv_x64_halt_message` and `hv_x64_unrecoverable_exception_message`: the header alone. */
export const x64HeaderSize = 40;

/** The guest executed HLT, where that is intercepted. */
export class HaltIntercept extends X64Intercept {
  readonly type = 'halt';

  constructor(message: Uint8Array) {
    super(message, Object.keys(x64HeaderLayout), x64HeaderSize);
  }

  snapshot(): HaltIntercept {
    return new HaltIntercept(this.copy());
  }
}

/** A triple fault. */
export class UnrecoverableException extends X64Intercept {
  readonly type = 'unrecoverable-exception';

  constructor(message: Uint8Array) {
    super(message, Object.keys(x64HeaderLayout), x64HeaderSize);
  }

  snapshot(): UnrecoverableException {
    return new UnrecoverableException(this.copy());
  }
}
