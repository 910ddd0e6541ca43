/** A hypercall of the guest: what the dispatcher needs of a hypercall intercept. */
export interface GuestHypercall {
  /** The caller. */
  readonly vpIndex: number;
  /** The caller's virtual trust level. */
  readonly vtl: number;
  /** Whether the caller follows the 64-bit convention. */
  readonly is64Bit: boolean;
  /** The two halves of the control word. */
  readonly controlLow: number;
  /** The high half of the control word. */
  readonly controlHigh: number;
  /** The guest physical address of the input, unless the call is fast. */
  readonly inputGpa: bigint;
  /** The guest physical address that the output is to go to, unless the call is fast. */
  readonly outputGpa: bigint;
  /**
   * How many bytes of input the registers of a fast call hold. Default: those of x64, 112 for a 64-bit caller and 16 for a
   * 32-bit one; on arm64 it is 128.
   */
  readonly fastInputSize?: number;
  /**
   * Copies the first bytes of a fast call's input, which is in registers.
   *
   * @param into - from its start on
   * @param length - a multiple of 8, up to `fastInputSize`
   */
  copyFastInput(into: DataView, length: number): void;
}

/** The guest's memory, for the input of a hypercall. */
export interface HypercallMemory {
  /**
   * Copies guest memory, once: the guest may change it at any moment, and what was checked must be what is
   * used. The range lies within one page.
   *
   * @returns false where the range is not mapped
   */
  read(gpa: bigint, into: Uint8Array): boolean;
}
