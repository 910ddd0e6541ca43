/** An interrupt that a simulated guest got. */
export interface GuestInterrupt {
  /** Ascending in the order of injection, over all partitions of one simulator. The first is 1. */
  readonly sequence: bigint;
  /** 0 to 255; more where a hypercall asserted it, which no processor takes. */
  readonly vector: number;
  /**
   * APIC id, or a set of logical APIC ids where `logical`. An MSI has 0 to 255, and 0 on arm64; a hypercall
   * can name more, of which this holds what a number can.
   */
  readonly destination: number;
  /** `HV_X64_INTERRUPT_TYPE_*`, of an MSI its delivery mode: 0 fixed, 1 lowest priority, … */
  readonly type: number;
  /** Level-triggered; edge-triggered where false. */
  readonly level: boolean;
  /** Whether `destination` is a logical one. */
  readonly logical: boolean;
  /**
   * The VP that it went to: the one with the APIC id `destination`, on the fast path the one with that index. Undefined
   * where `logical`, and where no VP has the id, or several: then no one VP can be named.
   */
  readonly vp: number | undefined;
  /**
   * Came through the VP's register page (fast injection): the driver passes on vector and destination
   * only, so `type`, `level` and `logical` are 0 and false whatever the MSI said.
   */
  readonly fast: boolean;
  /** When it was injected, in nanoseconds of the clock of `process.hrtime.bigint()`. */
  readonly time: bigint;
}

/** 64-bit words of one interrupt as the addon hands it over. */
export const interruptWords = 4;

const bit = (word: bigint, position: bigint): boolean => ((word >> position) & 1n) !== 0n;

/** What is in the place of interrupts that were dropped: how many. Undefined where there is an interrupt. */
export function decodeLost(words: BigUint64Array): number | undefined {
  return words[0] === 0n ? Number(words[1]) : undefined;
}

/** Decodes the interrupt that begins at `words[at]`. */
export function decodeInterrupt(words: BigUint64Array, at: number): GuestInterrupt {
  const what = words[at + 1] ?? 0n;
  const vp = Number((what >> 51n) & 0x1ffn) - 1;
  return {
    sequence: words[at] ?? 0n,
    vector: Number(what & 0xffff_ffffn),
    destination: Number(words[at + 2]),
    type: Number((what >> 32n) & 0xffffn),
    level: bit(what, 48n),
    logical: bit(what, 49n),
    vp: vp < 0 ? undefined : vp,
    fast: bit(what, 50n),
    time: words[at + 3] ?? 0n,
  };
}
