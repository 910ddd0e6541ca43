import { constants } from 'node:os';

import { ioeventfdFlags } from '../lib/abi/ioeventfd.js';

const { EEXIST, ENOENT } = constants.errno;

/** What the fake driver has of one doorbell. */
export interface FakeDoorbell {
  /** The identity of its eventfd. */
  readonly counter: string;
  readonly gpa: bigint;
  readonly size: number;
  /** Undefined: any value. */
  readonly match: bigint | undefined;
}

/** The doorbells of a partition, as `mshv_assign_ioeventfd` and `mshv_deassign_ioeventfd` keep them. */
export class FakeDoorbells {
  readonly all: FakeDoorbell[] = [];

  /** MSHV_IOEVENTFD. */
  set(wanted: FakeDoorbell, flags: number): number {
    const { counter, gpa, size, match } = wanted;
    const there = this.all.filter((one) => one.gpa === gpa && one.size === size);
    if ((flags & ioeventfdFlags.DEASSIGN) !== 0) {
      const found = there.find((one) => one.counter === counter && one.match === match);
      if (found === undefined) return -ENOENT;
      this.all.splice(this.all.indexOf(found), 1);
      return 0;
    }
    if (
      there.some((one) => one.match === undefined || match === undefined || one.match === match)
    ) {
      return -EEXIST;
    }
    this.all.push(wanted);
    return 0;
  }
}
