import { types } from 'node:util';

import { limits } from '../abi/limits.js';
import { rangeError, typeError } from '../arguments.js';
import { MshvError } from '../errors.js';

/** The highest APIC id that a VP may have: the one above addresses all. */
export const highestApicId = 0xffff_fffe;

// For each VP its APIC id plus 1, 0 where there is no such VP; then for each VP whether the id was given to it.
const vps = limits.MSHV_MAX_VPS;
const words = 2 * vps;

/** What `vpOf` says of an id that no VP has, and of one that several have. */
export const noVp = -1;
export const severalVps = -2;

/**
 * Which VP of a partition has which APIC id: what physical destinations of interrupts name.
 *
 * A VP has its index as APIC id until it is given another one. The table is in memory that goes with the tokens of
 * the partition and its VPs, so all environments of the process that create VPs or write their registers by this
 * library's methods agree on it. It does not see what another process does with a descriptor, an id in a local APIC's
 * state that is written whole, nor one in a hypercall that was packed by hand.
 */
export class ApicIds {
  readonly memory: SharedArrayBuffer;
  readonly #words: Uint32Array;

  /** @param memory - of another environment's table of the same partition */
  constructor(memory = new SharedArrayBuffer(words * Uint32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#words = new Uint32Array(memory);
  }

  /** The table that a token carries. */
  static ofToken({ apicIds }: { readonly apicIds: SharedArrayBuffer }): ApicIds {
    const given: unknown = apicIds;
    if (
      !types.isSharedArrayBuffer(given) ||
      given.byteLength !== words * Uint32Array.BYTES_PER_ELEMENT
    ) {
      throw typeError('token.apicIds', 'what share() put there', given);
    }
    return new ApicIds(apicIds);
  }

  /** Whether there is a VP with this index, 0 to 255. */
  has(vp: number): boolean {
    return this.#words[vp] !== 0;
  }

  /** The APIC id of a VP, 0 to 255; undefined where there is no such VP. */
  of(vp: number): number | undefined {
    const word = this.#words[vp] ?? 0;
    return word === 0 ? undefined : word - 1;
  }

  /** The VP with this APIC id, or `noVp`, or `severalVps`. */
  vpOf(apicId: number): number {
    let found = noVp;
    for (let vp = 0; vp < vps; vp++) {
      if (this.#words[vp] === apicId + 1) {
        if (found !== noVp) {
          return severalVps;
        }
        found = vp;
      }
    }
    return found;
  }

  /**
   * Refuses to give a VP an id that was given to another one. An id that another one has because that is its index is
   * not refused, since it may be about to get its own: until then the id is that of several.
   *
   * @throws MshvError `ERR_MSHV_APIC_ID_IN_USE`
   */
  check(vp: number, apicId: number): void {
    for (let other = 0; other < vps; other++) {
      if (other !== vp && this.#words[other] === apicId + 1 && this.#words[vps + other] !== 0) {
        throw new MshvError(`cannot give VP ${vp} the APIC id ${apicId}: VP ${other} has it`, {
          code: 'ERR_MSHV_APIC_ID_IN_USE',
        });
      }
    }
  }

  /** A VP was created, and has its index as id. */
  add(vp: number): void {
    this.#words[vp] = vp + 1;
  }

  /** A VP has been given an id. */
  give(vp: number, apicId: number): void {
    // A VP that this process did not create is not made known by its registers.
    if (this.has(vp)) {
      this.#words[vp] = apicId + 1;
      this.#words[vps + vp] = 1;
    }
  }
}

/** The value of a register that is an APIC id. */
export function apicIdArgument(name: string, value: bigint): number {
  if (value > BigInt(highestApicId)) {
    throw rangeError(name, `an APIC id from 0 to ${highestApicId}`, value);
  }
  return Number(value);
}
