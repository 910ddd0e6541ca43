import { Arm64Intercept } from './arm64-intercepts.js';
import { defineFields } from './fields.js';
import { type Fields, flag, type Layout, type PlainFields, u16 } from './layout.js';

/** `HvArm64HypercallInterceptMessage` of hvdef. */
export const arm64HypercallLayout = {
  /** Of the HVC: 0 where it follows Arm's calling convention (SMCCC), 1 for the hypervisor's own. */
  immediate: u16(24),
  /** From an isolated guest, which shares no registers. */
  isolated: flag(28, 0),
  /** X0 to X17. */
  x: { kind: 'u64s', at: 32, length: 18 },
} as const satisfies Layout;

export const arm64HypercallSize = 176;

const { immediate, x } = arm64HypercallLayout;
const word = 8;
const ownConvention = 1;
/** `HV_FUNC_ID` of Linux: a fast 64-bit call to a hypervisor of a vendor, number 1. */
const smcccFunction = 0x4600_0001;
const fastRegisters = 16;

/**
 * A hypercall of an arm64 guest that the hypervisor leaves to the VMM.
 *
 * The TLFS is silent on arm64. Source: `HvArm64HypercallInterceptMessage` of OpenVMM's hvdef, its hv1_hypercall for the
 * registers, and Linux' `arch/arm64/hyperv/hv_core.c`. With HVC #1 the control word is in X0, the addresses of input and
 * output in X1 and X2, and the input of a fast call in X1 to X16. With HVC #0 all of them are one register further, behind
 * the number of the function in X0. The result goes to X0 either way.
 */
export class Arm64HypercallIntercept
  extends Arm64Intercept
  implements Fields<typeof arm64HypercallLayout>
{
  static {
    defineFields(this, arm64HypercallLayout);
  }

  readonly type = 'arm64-hypercall';
  /** There is no other convention on arm64. */
  readonly is64Bit = true;

  constructor(message: Uint8Array) {
    super(message, arm64HypercallSize);
  }

  /**
   * Whether it is a hypercall that has a control word: HVC #1, or HVC #0 with the hypervisor's function. Others enter or
   * leave a VTL, launch a VP, or are calls to somebody else.
   */
  get hasControl(): boolean {
    const { view } = this;
    const convention = view.getUint16(immediate.at, true);
    return (
      convention === ownConvention ||
      (convention === 0 &&
        view.getUint32(x.at, true) === smcccFunction &&
        view.getUint32(x.at + 4, true) === 0)
    );
  }

  /** The low half of the control word: what `control` has, without a bigint. */
  get controlLow(): number {
    return this.view.getUint32(this.#register(0), true);
  }

  /** The high half of the control word. */
  get controlHigh(): number {
    return this.view.getUint32(this.#register(0) + 4, true);
  }

  /** Which hypercall. */
  get code(): number {
    return this.controlLow & 0xffff;
  }

  /** The input is in registers. */
  get isFast(): boolean {
    return (this.controlLow & (1 << 16)) !== 0;
  }

  /** The whole control word. */
  get control(): bigint {
    return this.view.getBigUint64(this.#register(0), true);
  }

  /** Guest physical address of the input; the first 8 bytes of it where `isFast`. */
  get inputGpa(): bigint {
    return this.view.getBigUint64(this.#register(1), true);
  }

  /** Guest physical address of the output; the second 8 bytes of the input where `isFast`. */
  get outputGpa(): bigint {
    return this.view.getBigUint64(this.#register(2), true);
  }

  /** How many bytes of input a fast call has registers for. */
  get fastInputSize(): number {
    return word * fastRegisters;
  }

  /**
   * Copies the input of a fast call, which is in registers, without allocating.
   *
   * @param length - a multiple of 4, up to 128 bytes
   */
  copyFastInput(into: DataView, length: number): void {
    const first = this.#register(1);
    for (let at = 0; at < length; at += 4) {
      into.setUint32(at, this.view.getUint32(first + at, true), true);
    }
  }

  /** X0 to X17, 64 bits each. */
  get x(): readonly bigint[] {
    return Array.from({ length: x.length }, (_, i) =>
      this.view.getBigUint64(x.at + word * i, true),
    );
  }

  /** Where the control word is, or a register behind it. */
  #register(behind: number): number {
    const first = this.view.getUint16(immediate.at, true) === 0 ? 1 : 0;
    return x.at + word * (first + behind);
  }

  snapshot(): Arm64HypercallIntercept {
    return new Arm64HypercallIntercept(this.copy());
  }
}

export interface Arm64HypercallIntercept extends PlainFields<typeof arm64HypercallLayout> {}

/** `HvArm64SynicSintDeliverableMessage` of hvdef. */
export const arm64SintDeliverableLayout = {
  /** Bit n: SINT n. */
  deliverableSints: u16(24),
} as const satisfies Layout;

export const arm64SintDeliverableSize = 32;

/** `SintDeliverable` on arm64. Source: `HvArm64SynicSintDeliverableMessage` of OpenVMM's hvdef. */
export class Arm64SintDeliverable extends Arm64Intercept {
  static {
    defineFields(this, arm64SintDeliverableLayout);
  }

  readonly type = 'arm64-sint-deliverable';

  constructor(message: Uint8Array) {
    super(message, arm64SintDeliverableSize);
  }

  snapshot(): Arm64SintDeliverable {
    return new Arm64SintDeliverable(this.copy());
  }
}

export interface Arm64SintDeliverable extends PlainFields<typeof arm64SintDeliverableLayout> {}
