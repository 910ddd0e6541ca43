import { inspect, type InspectOptions } from 'node:util';

import { uint64Argument, ours, ownConstructor } from '../arguments.js';
import { hexadecimal, inspected } from '../inspection.js';

const pageSize = 4096;

let create: (firstGpa: bigint, pageCount: number, words: BigUint64Array<ArrayBuffer>) => PageBitmap;

/**
 * A set of guest pages: those of a range that the guest has accessed, or written. A snapshot, which no later access
 * changes.
 *
 * @example
 * ```ts
 * const dirty = partition.dirtyPages(mapped);
 * console.log(dirty.has(0)); // false
 * ```
 */
export class PageBitmap implements Iterable<bigint> {
  /** Guest physical address of the first page. */
  readonly firstGpa: bigint;
  /** How many pages the range has, in the set or not. */
  readonly pageCount: number;
  readonly #words: BigUint64Array<ArrayBuffer>;
  #copy: BigUint64Array<ArrayBuffer> | undefined;

  private constructor(
    key: symbol,
    firstGpa: bigint,
    pageCount: number,
    words: BigUint64Array<ArrayBuffer>,
  ) {
    ownConstructor('PageBitmap', key);
    this.firstGpa = firstGpa;
    this.pageCount = pageCount;
    this.#words = words;
  }

  static {
    create = (...args) => new PageBitmap(ours, ...args);
  }

  /**
   * Bit i of the whole, least significant first, is page i of the range. Bits past the last page are 0. A copy, the same
   * each time: what becomes of it changes nothing here.
   */
  get words(): BigUint64Array<ArrayBuffer> {
    return (this.#copy ??= this.#words.slice());
  }

  /** How many pages are in the set. */
  get count(): number {
    const halves = new Uint32Array(this.#words.buffer);
    let count = 0;
    for (let bits of halves) {
      for (; bits !== 0; bits &= bits - 1) {
        count++;
      }
    }
    return count;
  }

  /**
   * Whether a page is in the set.
   *
   * @param gpa - any address of the page, within the range
   *
   * @example
   * ```ts
   * const dirty = partition.dirtyPages({ gpa: 0, size: memory.size });
   * console.log(dirty.has(1)); // false
   * ```
   */
  has(gpa: number | bigint): boolean {
    const end = this.firstGpa + BigInt(this.pageCount) * BigInt(pageSize);
    const address = uint64Argument('gpa', gpa, this.firstGpa, end - 1n);
    const page = Number((address - this.firstGpa) / BigInt(pageSize));
    const word = this.#words[Math.floor(page / 64)] ?? 0n;
    return ((word >> BigInt(page % 64)) & 1n) === 1n;
  }

  /** The addresses of the pages in the set, ascending. */
  *[Symbol.iterator](): Generator<bigint, undefined> {
    for (const [index, word] of this.#words.entries()) {
      let page = this.firstGpa + BigInt(index * 64 * pageSize);
      for (let bits = word; bits !== 0n; bits >>= 1n) {
        if ((bits & 1n) === 1n) {
          yield page;
        }
        page += BigInt(pageSize);
      }
    }
    return undefined;
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { firstGpa, pageCount, count } = this;
    return inspected(
      'PageBitmap',
      { firstGpa: hexadecimal(firstGpa), pageCount, count },
      depth,
      options,
    );
  }
}

export { create as createPageBitmap };

/** Makes words of a bitmap of the states of pages, a byte each: a bit is set where its page has one of `mask`. */
export function packBits(
  states: Uint8Array,
  mask: number,
  words: BigUint64Array<ArrayBuffer>,
): void {
  const bytes = new Uint8Array(words.buffer);
  states.forEach((state, page) => {
    if ((state & mask) !== 0) {
      const at = page >>> 3;
      bytes[at] = (bytes[at] ?? 0) | (1 << (page & 7));
    }
  });
}
