/**
 * Bits of aligned 32-bit words of memory, at offsets in bytes. Both functions are atomic, since the guest is changing
 * other bits, and neither throws as long as nobody takes the memory away.
 */
export interface MemoryBits {
  /** Sets those that are not set. */
  setBits(offset: number, bits: number): void;
  /** Clears bits and returns those that were set. */
  takeBits(offset: number, bits: number): number;
}
