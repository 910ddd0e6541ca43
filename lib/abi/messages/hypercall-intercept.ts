import { flag, u64, type Fields, type Layout } from './layout.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_hypercall_intercept_message`. */
export const hypercallLayout = {
  ...x64HeaderLayout,
  rax: u64(40),
  rbx: u64(48),
  rcx: u64(56),
  rdx: u64(64),
  r8: u64(72),
  rsi: u64(80),
  rdi: u64(88),
  xmm: { kind: 'u128s', at: 96, length: 6 },
  isolated: flag(192, 0),
} as const satisfies Layout;

export const hypercallSize = 196;

// Where each four bytes of a fast input are: RDX, R8, XMM0 to XMM5; EBX:ECX, EDI:ESI.
const fastInput64 = [64, 68, 72, 76, ...Array.from({ length: 24 }, (_, word) => 96 + 4 * word)];
const fastInput32 = [56, 48, 80, 88];

/**
 * A hypercall of the guest that the hypervisor leaves to the VMM. Source:
 * `hv_x64_hypercall_intercept_message` of rust-vmm/mshv; the meaning of the registers is TLFS, "Hypercall Inputs" and
 * "Hypercall Calling Conventions": a 64-bit caller has the control word in RCX, the addresses in RDX and R8; a 32-bit
 * one has them in EDX:EAX, EBX:ECX and EDI:ESI. Which it is, `is64Bit` says: by EFER.LMA, as other VMMs have it. The TLFS also
 * looks at CS.L, so a caller in compatibility mode is taken for a 64-bit one.
 */
export class HypercallIntercept extends X64Intercept implements Fields<typeof hypercallLayout> {
  readonly type = 'hypercall';

  constructor(message: Uint8Array) {
    super(message, Object.keys(hypercallLayout), hypercallSize);
  }

  /** The low half of the control word: what `control` has, without a bigint. */
  get controlLow(): number {
    return this.view.getUint32(this.is64Bit ? 56 : 40, true);
  }

  /** The high half of the control word. */
  get controlHigh(): number {
    return this.view.getUint32(this.is64Bit ? 60 : 64, true);
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
      ? this.view.getBigUint64(56, true)
      : (BigInt(this.view.getUint32(64, true)) << 32n) | BigInt(this.view.getUint32(40, true));
  }

  /** Guest physical address of the input; the first 8 bytes of it where `isFast`. */
  get inputGpa(): bigint {
    return this.is64Bit
      ? this.view.getBigUint64(64, true)
      : (BigInt(this.view.getUint32(48, true)) << 32n) | BigInt(this.view.getUint32(56, true));
  }

  /** Guest physical address of the output; the second 8 bytes of the input where `isFast`. */
  get outputGpa(): bigint {
    return this.is64Bit
      ? this.view.getBigUint64(72, true)
      : (BigInt(this.view.getUint32(88, true)) << 32n) | BigInt(this.view.getUint32(80, true));
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

  get rax(): bigint {
    return this.view.getBigUint64(40, true);
  }

  get rbx(): bigint {
    return this.view.getBigUint64(48, true);
  }

  get rcx(): bigint {
    return this.view.getBigUint64(56, true);
  }

  get rdx(): bigint {
    return this.view.getBigUint64(64, true);
  }

  get r8(): bigint {
    return this.view.getBigUint64(72, true);
  }

  get rsi(): bigint {
    return this.view.getBigUint64(80, true);
  }

  get rdi(): bigint {
    return this.view.getBigUint64(88, true);
  }

  /** XMM0 to XMM5: 128 bits each. */
  get xmm(): readonly bigint[] {
    return [96, 112, 128, 144, 160, 176].map(
      (at) => (this.view.getBigUint64(at + 8, true) << 64n) | this.view.getBigUint64(at, true),
    );
  }

  /** From an isolated guest, which shares no registers. */
  get isolated(): boolean {
    return (this.view.getUint8(192) & 1) !== 0;
  }

  snapshot(): HypercallIntercept {
    return new HypercallIntercept(this.copy());
  }
}
