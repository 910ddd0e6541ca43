import { constants } from 'node:os';

import { memoryFlags } from '../lib/abi/memory.js';

const { EEXIST, EINVAL, ENOENT } = constants.errno;

/** What the fake driver has of one mapping. */
export interface FakeMapping {
  /** The handle of the memory. */
  readonly memory: number;
  readonly offset: bigint;
  readonly size: bigint;
  readonly gpa: bigint;
  readonly flags: number;
}

/** The guest memory of a partition, as `mshv_map_user_memory` and `mshv_unmap_user_memory` keep it. */
export class FakeGuestMemory {
  readonly mappings: FakeMapping[] = [];

  /** MSHV_SET_GUEST_MEMORY. */
  set(wanted: FakeMapping): number {
    return (wanted.flags & memoryFlags.UNMAP) === 0 ? this.#map(wanted) : this.#unmap(wanted);
  }

  /** Whether all of these pages are mapped. */
  has(firstPage: bigint, pages: number): boolean {
    return Array.from({ length: pages }, (_, page) => (firstPage + BigInt(page)) * 4096n).every(
      (gpa) => this.#at(gpa) !== undefined,
    );
  }

  #map(wanted: FakeMapping): number {
    const { gpa, size } = wanted;
    if (this.mappings.some((one) => one.gpa < gpa + size && gpa < one.gpa + one.size)) {
      return -EEXIST;
    }
    this.mappings.push(wanted);
    return 0;
  }

  #unmap({ memory, offset, size, gpa }: FakeMapping): number {
    const found = this.#at(gpa);
    if (found === undefined) return -ENOENT;
    if (
      found.memory !== memory ||
      found.offset !== offset ||
      found.size !== size ||
      found.gpa !== gpa
    ) {
      return -EINVAL;
    }
    this.mappings.splice(this.mappings.indexOf(found), 1);
    return 0;
  }

  #at(gpa: bigint): FakeMapping | undefined {
    return this.mappings.find((one) => one.gpa <= gpa && gpa < one.gpa + one.size);
  }
}
