/** An interrupt that a simulated guest got. */
export interface GuestInterrupt {
  /** Ascending in the order of injection, over all partitions of one simulator. The first is 1. */
  readonly sequence: bigint;
  /** 0 to 255. */
  readonly vector: number;
  /** APIC id, or a set of logical APIC ids where `logical`; 0 to 255. 0 on arm64. */
  readonly destination: number;
  /** `HV_X64_INTERRUPT_TYPE_*`, which is the MSI's delivery mode: 0 fixed, 1 lowest priority, … */
  readonly type: number;
  /** Level-triggered; edge-triggered where false. */
  readonly level: boolean;
  readonly logical: boolean;
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

const bit = (word: number, position: number): boolean => (word & (1 << position)) !== 0;

/** Decodes the interrupt that begins at `words[at]`. */
export function decodeInterrupt(words: BigUint64Array, at: number): GuestInterrupt {
  const what = Number(words[at + 1]);
  return {
    sequence: words[at] ?? 0n,
    vector: what & 0xff,
    destination: Number(words[at + 2]),
    type: (what >>> 8) & 0xff,
    level: bit(what, 16),
    logical: bit(what, 17),
    fast: bit(what, 18),
    time: words[at + 3] ?? 0n,
  };
}
