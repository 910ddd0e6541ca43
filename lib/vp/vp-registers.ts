import { constants } from 'node:os';

import type { Architecture } from '../abi/architecture.js';
import { dirtyMasks, registerPageFields, registerPageLayout } from '../abi/register-page.js';
import { registerCode } from '../abi/registers.js';
import { registerCallsOf, type PartitionCalls } from '../hypercall/partition-calls.js';
import type { OwnRegisters, RegisterCalls } from '../hypercall/register-calls.js';
import type { VpDescriptor } from './vp-descriptor.js';

const { ENODEV, ESTALE } = constants.errno;
const bytesPerWord = BigUint64Array.BYTES_PER_ELEMENT;

/** Where the register page has a register. */
interface Place {
  /** In bytes. */
  readonly at: number;
  /** Whether it takes two words. */
  readonly wide: boolean;
  /** The bit of its class; 0 where the hypervisor does not take it from the page. */
  readonly dirty: number;
}

/** By code of x64. The page of arm64 has no registers, and is never read. */
const places = new Map<number, Place>(
  Object.entries(registerPageFields).map(([name, { at, dirty }]) => [
    registerCode('name', name, 'x64'),
    { at, dirty, wide: isWide(dirty) },
  ]),
);

/** The register page's registers of one class. */
const codesOf = (mask: number): Uint32Array =>
  Uint32Array.from([...places].filter(([, { dirty }]) => dirty === mask).map(([code]) => code));

const nothing = new Uint32Array(0);

/** Whether the registers of a class take two words. */
export function isWide(dirty: number): boolean {
  return dirty === dirtyMasks.XMM || dirty === dirtyMasks.SEGMENT;
}

/** Registers that are written together, and where the page has them. */
export class RegisterSet {
  readonly codes: Uint32Array;
  /** Where in the page each word of the values goes, in bytes; 0 where it has no place there. */
  readonly places: Uint32Array;
  /** The classes that this marks, as bits of `dirtyMasks`. */
  readonly dirty: number;
  /** The indices of those that the hypervisor does not take from the page. */
  readonly others: readonly number[];
  /** Whether the page shows one of those. */
  readonly shown: boolean;

  constructor(codes: Uint32Array) {
    const others: number[] = [];
    let mask = 0;
    let shown = false;
    this.codes = codes;
    this.places = new Uint32Array(2 * codes.length);
    codes.forEach((code, i) => {
      const place = places.get(code);
      if (place !== undefined) {
        this.places[2 * i] = place.at;
        this.places[2 * i + 1] = place.wide ? place.at + bytesPerWord : 0;
        mask |= place.dirty;
      }
      if (!isPaged(code)) {
        others.push(i);
        shown ||= place !== undefined;
      }
    });
    this.dirty = mask;
    this.others = others;
    this.shown = shown;
  }
}

/**
 * The registers of a VP, wherever they are the truth: between two runs the register page has, where it is valid, those
 * that the hypervisor takes from it at the next run. So an exit that was completed is seen as completed, and what is
 * set before a completion stays: marking one register of a class has the hypervisor take all of the class.
 *
 * While the VP runs, without a page, and for all other registers, they are the hypervisor's. So are those that the page
 * only shows (CR0, CR8, PENDING_INTERRUPTION, …): they can change there while the VP stands still.
 *
 * Of a VP that this environment has not prepared for running nobody can have written the page.
 */
export class VpRegisters implements OwnRegisters {
  readonly #vp: VpDescriptor;
  readonly #calls: RegisterCalls;
  /** A copy of the register page, made when it is needed. */
  readonly #page = new BigUint64Array(registerPageLayout.size / bytesPerWord);
  readonly #bytes = new Uint8Array(this.#page.buffer);
  readonly #dirty = new Uint32Array(this.#page.buffer, registerPageLayout.dirty, 1);
  /** The driver has no such page. */
  #absent: boolean;
  readonly architecture: Architecture;

  constructor(vp: VpDescriptor, partition: PartitionCalls) {
    this.architecture = partition.architecture;
    this.#absent = this.architecture !== 'x64';
    this.#vp = vp;
    this.#calls = registerCallsOf(partition);
  }

  /** False where all of them are the hypervisor's for certain. */
  get mayBePaged(): boolean {
    return !this.#absent && this.#vp.isAttached;
  }

  /** Reads registers: two words for each code, the low one first. Allocates nothing where they are all in one place. */
  get(codes: Uint32Array, values: BigUint64Array): void {
    const { index } = this.#vp;
    this.#calls.checkOpen();
    const paged = countPaged(codes);
    if (paged === 0 || !this.#copyPage(0)) {
      this.#calls.read(index, codes, values);
      return;
    }
    if (paged < codes.length) {
      const others = codes.filter((code) => !isPaged(code));
      const otherValues = new BigUint64Array(2 * others.length);
      this.#calls.read(index, others, otherValues);
      let from = 0;
      codes.forEach((code, i) => {
        if (!isPaged(code)) {
          values.set(otherValues.subarray(from, from + 2), 2 * i);
          from += 2;
        }
      });
    }
    for (let i = 0; i < codes.length; i++) {
      const place = places.get(codes[i] ?? 0);
      if (place !== undefined && place.dirty !== 0) {
        const word = place.at / bytesPerWord;
        values[2 * i] = this.#page[word] ?? 0n;
        values[2 * i + 1] = (place.wide ? this.#page[word + 1] : undefined) ?? 0n;
      }
    }
  }

  /**
   * Writes registers: two words for each, the low one first. Those that are the hypervisor's come first: where it refuses
   * one, the page is as it was.
   */
  set(registers: RegisterSet, values: BigUint64Array): void {
    const { codes, dirty, others } = registers;
    const { index } = this.#vp;
    this.#calls.checkOpen();
    if (others.length === 0) {
      if (!this.#writePage(registers, values)) {
        this.#calls.write(index, codes, values);
      }
      return;
    }
    if (dirty === 0 || !this.#copyPage(0)) {
      this.#calls.write(index, codes, values);
      if (registers.shown) {
        this.#writePage(registers, values);
      }
      return;
    }
    const write = (indices: readonly number[]): void => {
      const some = Uint32Array.from(indices, (i) => codes[i] ?? 0);
      const words = indices.flatMap((i) => [values[2 * i] ?? 0n, values[2 * i + 1] ?? 0n]);
      this.#calls.write(index, some, BigUint64Array.from(words));
    };
    write(others);
    if (!this.#writePage(registers, values)) {
      // The VP has begun to run.
      write([...codes.keys()].filter((i) => !others.includes(i)));
    }
  }

  /**
   * Writes the words of the VP's exit block, of few registers that all have a place in the page.
   *
   * @returns false where the VP is running, or has run after the run of this number: then nothing is written
   */
  complete(registers: RegisterSet, run: number): boolean {
    const { codes, dirty, places: wordPlaces } = registers;
    const { native, attached, block, index } = this.#vp;
    const count = wordPlaces.length;
    this.#calls.checkOpen();
    if (this.mayBePaged) {
      for (let i = 0; i < count; i++) {
        block.places[i] = wordPlaces[i] ?? 0;
      }
      const result = native.vpCompleteExit(attached, run, count, dirty);
      if (result === -ESTALE) {
        return false;
      }
      if (this.#counts(result)) {
        return true;
      }
    } else if (native.vpLastRun(attached) !== run) {
      return false;
    }
    this.#calls.write(index, codes, block.words);
    return true;
  }

  /** Likewise, where the registers are not written together again. */
  write(codes: Uint32Array, values: BigUint64Array): void {
    this.set(new RegisterSet(codes), values);
  }

  /** Hands over to the hypervisor what the page has for it of one class. */
  settle(mask: number): void {
    this.#calls.checkOpen();
    if (!this.#copyPage(mask) || ((this.#dirty[0] ?? 0) & mask) === 0) {
      return;
    }
    const { native, index, attached } = this.#vp;
    const { codes, places: words } = new RegisterSet(codesOf(mask));
    const values = BigUint64Array.from(words, (at) =>
      at === 0 ? 0n : (this.#page[at / bytesPerWord] ?? 0n),
    );
    try {
      this.#calls.write(index, codes, values);
    } catch (error) {
      native.vpWriteRegisterPage(attached, nothing, values, mask);
      throw error;
    }
  }

  /** Has the page show what the hypervisor has of one class. */
  renew(mask: number): void {
    this.#calls.checkOpen();
    if (!this.#copyPage(0)) {
      return;
    }
    const { native, index, attached } = this.#vp;
    const { codes, places: words } = new RegisterSet(codesOf(mask));
    const values = new BigUint64Array(words.length);
    this.#calls.read(index, codes, values);
    native.vpWriteRegisterPage(attached, words, values, 0);
  }

  /**
   * Copies the page and takes back some marks: the copy has them still.
   *
   * @returns false where it does not count
   */
  #copyPage(clear: number): boolean {
    if (!this.mayBePaged) {
      return false;
    }
    return this.#counts(this.#vp.native.vpReadRegisterPage(this.#vp.attached, this.#bytes, clear));
  }

  #writePage({ places: words, dirty }: RegisterSet, values: BigUint64Array): boolean {
    if (!this.mayBePaged) {
      return false;
    }
    const { native, attached } = this.#vp;
    return this.#counts(native.vpWriteRegisterPage(attached, words, values, dirty));
  }

  // Whatever else keeps the page from being used, there are hypercalls.
  #counts(result: number): boolean {
    this.#absent = result === -ENODEV;
    return result === 1;
  }
}

function isPaged(code: number): boolean {
  const place = places.get(code);
  return place !== undefined && place.dirty !== 0;
}

function countPaged(codes: Uint32Array): number {
  let count = 0;
  for (const code of codes) {
    count += isPaged(code) ? 1 : 0;
  }
  return count;
}
