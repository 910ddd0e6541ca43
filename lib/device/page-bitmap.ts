import { inspect } from 'node:util';

import { integerArgument, uint64Argument } from '../arguments.js';
import { pageSize } from './guest-memory.js';

/** Some pages of a range of guest physical memory. */
export class PageBitmap implements Iterable<bigint> {
  /** The address of the first page. */
  readonly gpa: bigint;
  readonly pages: number;
  /** Bit i, least significant first, is page i. Bits behind the last page are 0. */
  readonly words: BigUint64Array;
  /** @internal */
  constructor(gpa: bigint, pages: number, words: BigUint64Array) {
    this.gpa = gpa;
    this.pages = pages;
    this.words = words;
  }
  /** How many pages are set. */
  get count(): number {
    let count = 0;
    for (const word of this.words) {
      for (let rest = word; rest !== 0n; rest &= rest - 1n) {
        count++;
      }
    }
    return count;
  }
}
