import type { Partition, Vp } from '../lib/index.js';

/** A VP of a partition by its index. */
export function vpOf(partition: Partition, index: number): Vp {
  const vp = partition.vps.find((one) => one.index === index);
  if (vp === undefined) throw new Error(`the partition has no VP ${index}`);
  return vp;
}
