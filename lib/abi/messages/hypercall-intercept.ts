import { defineFields } from './fields.js';
import { type Fields, flag, type Layout, type PlainFields, u64 } from './layout.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_hypercall_intercept_message`. */
export const hypercallLayout = {
  rax: u64(40),
  rbx: u64(48),
  rcx: u64(56),
  rdx: u64(64),
  r8: u64(72),
  rsi: u64(80),
  rdi: u64(88),
  xmm: { kind: 'u128s', at: 96, length: 6 },
  /** From an isolated guest, which shares no registers. */
  isolated: flag(192, 0),
} as const satisfies Layout;

export const hypercallSize = 196;

// Where the 32-bit registers are, and the high halves of the others.
const { rax, rbx, rcx, rdx, r8, rsi, rdi, xmm } = hypercallLayout;
const [eax, ebx, ecx, edx, esi, edi] = [rax.at, rbx.at, rcx.at, rdx.at, rsi.at, rdi.at];
const high = 4;

// Where each four bytes of a fast input are: RDX, R8, XMM0 to XMM5; EBX:ECX, EDI:ESI.
const fastInput64 = [
  ...[rdx.at, rdx.at + high, r8.at, r8.at + high],
  ...Array.from({ length: 4 * xmm.length }, (_, word) => xmm.at + 4 * word),
];
const fastInput32 = [ecx, ebx, esi, edi];

/**
 * A hypercall of the guest that the hypervisor leaves to the VMM. Source:
 * `hv_x64_hypercall_intercept_message` of rust-vmm/mshv; the meaning of the registers is TLFS, "Hypercall Inputs" and
 * "Hypercall Calling Conventions": a 64-bit caller has the control word in RCX, the addresses in RDX and R8; a 32-bit
 * one has them in EDX:EAX, EBX:ECX and EDI:ESI. Which it is, `is64Bit` says: by EFER.LMA, as other VMMs have it. The TLFS also
 * looks at CS.L, so a caller in compatibility mode is taken for a 64-bit one.
 */
export class HypercallIntercept extends X64Intercept implements Fields<typeof hypercallLayout> {
  static {
    defineFields(this, hypercallLayout);
  }

  readonly type = 'hypercall';

  constructor(message: Uint8Array) {
    super(message, hypercallSize);
  }

  /** The low half of the control word: what `control` has, without a bigint. */
  get controlLow(): number {
    return this.view.getUint32(this.is64Bit ? rcx.at : eax, true);
  }

  /** The high half of the control word. */
  get controlHigh(): number {
    return this.view.getUint32(this.is64Bit ? rcx.at + high : edx, true);
  }

  /** Which hypercall. */
  get code(): number {
    return this.controlLow & 0xffff;
  }

  /** The input is in registers: `inputGpa` and `outputGpa` are its 16 bytes, XMM0 to XMM5 follow. */
  get isFast(): boolean {
    return (this.controlLow & (1 << 16)) !== 0;
  }

  /** Length of the variable header in units of 8 bytes: 0 to 1023. */
  get variableHeaderSize(): number {
    return (this.controlLow >>> 17) & 0x3ff;
  }

  /** Meant for the hypervisor that runs this one. */
  get isNested(): boolean {
    return (this.controlLow & (1 << 31)) !== 0;
  }

  /** Total number of reps; 0 for a simple call. */
  get repCount(): number {
    return this.controlHigh & 0xfff;
  }

  /** The rep to begin with. */
  get repStart(): number {
    return (this.controlHigh >>> 16) & 0xfff;
  }

  /** The whole control word. */
  get control(): bigint {
    // In the page that the hypervisor writes, the convention must be looked at once.
    return this.is64Bit
      ? this.view.getBigUint64(rcx.at, true)
      : (BigInt(this.view.getUint32(edx, true)) << 32n) | BigInt(this.view.getUint32(eax, true));
  }

  /** Guest physical address of the input; the first 8 bytes of it where `isFast`. */
  get inputGpa(): bigint {
    return this.is64Bit
      ? this.view.getBigUint64(rdx.at, true)
      : (BigInt(this.view.getUint32(ebx, true)) << 32n) | BigInt(this.view.getUint32(ecx, true));
  }

  /** Guest physical address of the output; the second 8 bytes of the input where `isFast`. */
  get outputGpa(): bigint {
    return this.is64Bit
      ? this.view.getBigUint64(r8.at, true)
      : (BigInt(this.view.getUint32(edi, true)) << 32n) | BigInt(this.view.getUint32(esi, true));
  }

  /**
   * Copies the input of a fast call, which is in registers, without allocating.
   *
   * @param length - a multiple of 4, up to 112 bytes for a 64-bit caller and 16 for a 32-bit one
   */
  copyFastInput(into: DataView, length: number): void {
    const offsets = this.is64Bit ? fastInput64 : fastInput32;
    for (let at = 0; at < length; at += 4) {
      into.setUint32(at, this.view.getUint32(offsets[at >> 2] ?? 0, true), true);
    }
  }

  /** XMM0 to XMM5: 128 bits each. */
  get xmm(): readonly bigint[] {
    return Array.from({ length: xmm.length }, (_, i) => {
      const at = xmm.at + 16 * i;
      return (this.view.getBigUint64(at + 8, true) << 64n) | this.view.getBigUint64(at, true);
    });
  }

  snapshot(): HypercallIntercept {
    return new HypercallIntercept(this.copy());
  }
}

export interface HypercallIntercept extends PlainFields<typeof hypercallLayout> {}
