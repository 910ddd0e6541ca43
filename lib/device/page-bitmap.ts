import { inspect } from 'node:util';

import { accessStateBits } from '../abi/hypercall-outputs.js';
import { pageAccessOperations, pageAccessTypes } from '../abi/memory.js';
import { booleanArgument, integerArgument, optionsArgument, uint64Argument } from '../arguments.js';
import { systemError } from '../errors.js';
import type { Native } from '../native.js';
import { pageSize } from './guest-memory.js';
import { gpaRangeArgument, gpaRangeText, type GpaRange } from './memory-map.js';
import type { PartitionCalls } from './partition-calls.js';

/** Which pages to look at, and whether to begin anew. */
export interface TrackedPagesOptions extends GpaRange {
  /** Clear the bits that are read, so that the next call shows what came after. Default false. */
  clear?: boolean;
}

/** The most pages that one call looks at: 1 TiB. */
const mostPages = 2 ** 28;
const wordBits = 64;

let create: (gpa: bigint, pages: number, words: BigUint64Array) => PageBitmap;

/** A set of pages out of a range of guest physical memory. Iteration gives their addresses, ascending. */
export class PageBitmap implements Iterable<bigint> {
  /** The address of the range's first page. */
  readonly gpa: bigint;
  /** How many pages the range has. */
  readonly pages: number;
  /** Bit i, least significant first, is page i. Bits behind the last page are 0. */
  readonly words: BigUint64Array;

  private constructor(gpa: bigint, pages: number, words: BigUint64Array) {
    this.gpa = gpa;
    this.pages = pages;
    this.words = words;
  }

  static {
    create = (...args) => new PageBitmap(...args);
  }

  /** How many pages are in the set. */
  get count(): number {
    let count = 0;
    for (let word of this.words) {
      for (; word !== 0n; word &= word - 1n) {
        count++;
      }
    }
    return count;
  }

  /**
   * Whether the page is in the set that has this address.
   *
   * @param gpa - within the range; it need not be the page's first
   */
  has(gpa: number | bigint): boolean {
    const last = this.gpa + BigInt(this.pages) * BigInt(pageSize) - 1n;
    const page = Number((uint64Argument('gpa', gpa, this.gpa, last) - this.gpa) / BigInt(pageSize));
    const word = this.words[Math.floor(page / wordBits)] ?? 0n;
    return ((word >> BigInt(page % wordBits)) & 1n) === 1n;
  }

  *[Symbol.iterator](): Generator<bigint, void, undefined> {
    for (const [index, word] of this.words.entries()) {
      for (let bit = 0n, rest = word; rest !== 0n; bit++, rest >>= 1n) {
        if ((rest & 1n) === 1n) {
          yield this.gpa + (BigInt(index * wordBits) + bit) * BigInt(pageSize);
        }
      }
    }
  }

  [inspect.custom](): string {
    const range = gpaRangeText(this.gpa, this.pages * pageSize);
    return `PageBitmap { ${this.count} of ${this.pages} pages, ${range} }`;
  }
}

/** Which of the hypervisor's bits is looked at. */
export type PageAccess = 'accessed' | 'dirty';

const accesses = {
  accessed: { type: pageAccessTypes.ACCESSED, bit: accessStateBits.ACCESSED },
  dirty: { type: pageAccessTypes.DIRTY, bit: accessStateBits.DIRTY },
} as const;

/** The pages of a range that were accessed, or written, since their bits were cleared. */
export function trackedPages(
  native: Native,
  partition: PartitionCalls,
  access: PageAccess,
  options: TrackedPagesOptions,
): PageBitmap {
  optionsArgument('options', options, ['gpa', 'size', 'clear']);
  const { clear = false, ...range } = options;
  booleanArgument('options.clear', clear);
  const { gpa, size } = gpaRangeArgument('options', range);
  const pages = Number(size / BigInt(pageSize));
  integerArgument('options.size / 4096', pages, 1, mostPages);
  const words = new BigUint64Array(Math.ceil(pages / wordBits));
  if (clear) {
    const result = native.accessBitmap(
      partition.fd,
      accesses[access].type,
      pageAccessOperations.CLEAR,
      gpa / BigInt(pageSize),
      pages,
      words,
    );
    if (result < 0) {
      throw systemError(
        `read and clear the ${access} bits of ${gpaRangeText(gpa, size)}`,
        result,
        { ioctl: 'MSHV_GET_GPAP_ACCESS_BITMAP' },
        'all of the range must be mapped; some bits may be clear already',
      );
    }
  } else {
    // By hypercall, because the ioctl cannot just look: without CLEAR it sets the bits.
    const bytes = new Uint8Array(words.buffer);
    for (const [page, state] of partition.accessStates({ gpa, pages }).entries()) {
      if ((state & accesses[access].bit) !== 0) {
        const at = page >>> 3;
        bytes[at] = (bytes[at] ?? 0) | (1 << (page & 7));
      }
    }
  }
  return create(gpa, pages, words);
}
