import { monitorPageLayout as layout } from '../abi/synic.js';
import type { MemoryBits } from '../memory/memory-bits.js';

/** The bits of a page that there is a view of. What is set, or not, is not written: the guest's cache line stays its own. */
export class ViewedBits implements MemoryBits {
  readonly #words: Int32Array;

  constructor(bytes: Uint8Array) {
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, layout.size / 4);
  }

  setBits(offset: number, bits: number): void {
    if ((Atomics.load(this.#words, offset / 4) & bits) !== bits) {
      Atomics.or(this.#words, offset / 4, bits);
    }
  }

  takeBits(offset: number, bits: number): number {
    const present = Atomics.load(this.#words, offset / 4) & bits;
    return present === 0 ? 0 : Atomics.and(this.#words, offset / 4, ~bits) & bits;
  }
}

/** Takes a trigger's bit back, where it is set. */
export function takeTrigger(bits: MemoryBits, id: number): boolean {
  const group = Math.floor(id / layout.triggersPerGroup);
  const offset = layout.triggerGroups + group * layout.triggerGroupSize;
  return bits.takeBits(offset, 1 << (id % layout.triggersPerGroup)) !== 0;
}
