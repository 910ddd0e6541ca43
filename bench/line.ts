import type { Comparison, Pair } from './rounds.js';

/** One line of the table. Times are in ns per operation. */
export interface Line extends Comparison {
  name: string;
  /** What the baseline is. */
  against: string;
  /** The highest ratio that is good enough; undefined where none was set. */
  goal?: number | undefined;
  /** How many ns more than the baseline's are good enough; undefined where that is not the goal. */
  extra?: number | undefined;
  /** How many ns are good enough, whatever the baseline's; undefined where that is not the goal. */
  limit?: number | undefined;
  /** What else was measured. */
  note?: string | undefined;
  /** Of one operation, on either side; the same in every run. */
  counts?: Pair<Counts> | undefined;
}

export interface Counts {
  ioctls: number;
  /** Entries of the MSI routing table that the driver copied. */
  entries: number;
}
