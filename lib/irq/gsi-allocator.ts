import { inspect, type InspectOptions } from 'node:util';

import { integerArgument, stringArgument } from '../arguments.js';
import { limits } from '../abi/limits.js';
import { MshvError } from '../errors.js';
import { inspected } from '../inspection.js';

/** The highest GSI that the driver routes. */
const highestGsi = limits.MSHV_MAX_GUEST_IRQS - 1;

// GSIs below 256, in words of each level of the bitmap of free ones.
const vectorWords = 256 / 32;

/**
 * Hands out GSIs 1 to 4095 of one partition, the lowest free one from 256 up first: the driver's routing table is
 * as long as the highest routed GSI. Those below 256 are the vectors that level-triggered routes need
 * (`mshv_notify_acked_gsi`), and the guest chooses a vector late, so they are left until no other is free. GSI 0 is
 * never handed out, because the driver asserts vector 0 for a signal on an unrouted GSI 0 (`mshv_assert_irq_slow`).
 *
 * Every operation takes constant time. A GSI has one holder at a time.
 *
 * @example
 * ```ts
 * import { GsiAllocator } from 'mshv';
 *
 * const gsis = new GsiAllocator();
 * console.log(gsis.allocate('net'), gsis.inUse); // 256 1
 * ```
 */
export class GsiAllocator {
  // A bitmap of the free GSIs, then what word of it is not 0, then what word of that is not 0.
  readonly #free = [new Uint32Array(128), new Uint32Array(4), new Uint32Array(1)] as const;
  readonly #holders: (string | undefined)[] = new Array<undefined>(highestGsi + 1);
  #inUse = 0;

  constructor() {
    for (const level of this.#free) {
      level.fill(0xffff_ffff);
    }
    this.#free[2][0] = 0b1111;
    this.#take(0);
  }

  /** How many GSIs are handed out, 0 to 4095. */
  get inUse(): number {
    return this.#inUse;
  }

  /** How many GSIs there are in all: 4095. */
  get capacity(): number {
    return highestGsi;
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { inUse, capacity } = this;
    return inspected('GsiAllocator', { inUse, capacity }, depth, options);
  }

  /**
   * Who holds a GSI, or undefined where it is free.
   *
   * @example
   * ```ts
   * import { GsiAllocator } from 'mshv';
   *
   * const gsis = new GsiAllocator();
   * console.log(gsis.holder(gsis.allocate('net'))); // net
   * ```
   */
  holder(gsi: number): string | undefined {
    return this.#holders[gsiArgument(gsi)];
  }

  /**
   * Hands out the lowest free GSI from 256 up, or the lowest free one where all of those are in use.
   *
   * @param holder - who asks, for later error messages
   * @throws MshvError `ERR_MSHV_GSI_EXHAUSTED` where none is left
   *
   * @example
   * ```ts
   * import { GsiAllocator } from 'mshv';
   *
   * const gsis = new GsiAllocator();
   * console.log(gsis.allocate(), gsis.allocate()); // 256 257
   * ```
   */
  allocate(holder = 'unnamed'): number {
    stringArgument('holder', holder);
    const [bottom, middle, top] = this.#free;
    const all = top[0] ?? 0;
    if (all === 0) {
      throw new MshvError(
        `no GSI is free: all ${this.#inUse} of the partition's ${highestGsi} are in use`,
        { code: 'ERR_MSHV_GSI_EXHAUSTED' },
      );
    }
    // Word 0 of the middle level has the vectors in its low bits; without other ones it is passed over.
    const beyondVectors = (middle[0] ?? 0) & (-1 << vectorWords);
    const wanted = beyondVectors === 0 && all !== 1 ? all & ~1 : all;
    const second = lowestBit(wanted);
    const word = second === 0 && beyondVectors !== 0 ? beyondVectors : (middle[second] ?? 0);
    const third = second * 32 + lowestBit(word);
    const gsi = third * 32 + lowestBit(bottom[third] ?? 0);
    this.#hand(gsi, holder);
    return gsi;
  }

  /**
   * Hands out this very GSI.
   *
   * @throws MshvError `ERR_MSHV_GSI_IN_USE`, naming the holder
   *
   * @example
   * ```ts
   * import { GsiAllocator } from 'mshv';
   *
   * console.log(new GsiAllocator().allocateExact(0x41, 'timer')); // 65
   * ```
   */
  allocateExact(gsi: number, holder = 'unnamed'): number {
    const present = this.#holders[gsiArgument(gsi)];
    stringArgument('holder', holder);
    if (present !== undefined) {
      throw new MshvError(`GSI ${gsi} is in use by ${present}`, { code: 'ERR_MSHV_GSI_IN_USE' });
    }
    this.#hand(gsi, holder);
    return gsi;
  }

  /**
   * Takes a GSI back.
   *
   * @throws MshvError `ERR_MSHV_GSI_NOT_IN_USE` where it was free: two owners were about to share it
   *
   * @example
   * ```ts
   * import { GsiAllocator } from 'mshv';
   *
   * const gsis = new GsiAllocator();
   * gsis.free(gsis.allocate());
   * console.log(gsis.inUse); // 0
   * ```
   */
  free(gsi: number): void {
    if (this.#holders[gsiArgument(gsi)] === undefined) {
      throw new MshvError(`GSI ${gsi} is not in use`, { code: 'ERR_MSHV_GSI_NOT_IN_USE' });
    }
    this.#holders[gsi] = undefined;
    this.#inUse--;
    let index = gsi;
    for (const level of this.#free) {
      const word = index >>> 5;
      level[word] = (level[word] ?? 0) | (1 << (index & 31));
      index = word;
    }
  }

  #hand(gsi: number, holder: string): void {
    this.#take(gsi);
    this.#holders[gsi] = holder;
    this.#inUse++;
  }

  #take(gsi: number): void {
    let index = gsi;
    for (const level of this.#free) {
      const word = index >>> 5;
      const rest = (level[word] ?? 0) & ~(1 << (index & 31));
      level[word] = rest;
      if (rest !== 0) {
        return;
      }
      index = word;
    }
  }
}

function gsiArgument(gsi: number): number {
  return integerArgument('gsi', gsi, 1, highestGsi);
}

/** The position of the lowest set bit of a word that is not 0. */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
