import { collectGarbage } from '../collect-garbage.js';
import { processResources } from '../process-resources.js';

/** What the process holds, in bytes and in numbers, after garbage was collected. */
export interface Footprint {
  readonly heap: number;
  /** Of C++, as V8 was told of it: array buffers and native objects. */
  readonly external: number;
  readonly resident: number;
  readonly descriptors: number;
  readonly threads: number;
}

export async function footprint(): Promise<Footprint> {
  await collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  const { descriptors, threads } = processResources();
  return { heap: heapUsed, external, resident: rss, descriptors, threads };
}

/** What one thing of many costs. */
export interface Cost extends Footprint {
  readonly what: string;
  readonly count: number;
}

/**
 * Makes `count` of a thing, and returns what one of them costs: the difference between a fifth of them and all, so that
 * what is there but once does not count.
 */
export async function costOf(
  what: string,
  count: number,
  make: (count: number) => void | Promise<void>,
): Promise<Cost> {
  const first = Math.ceil(count / 5);
  await make(first);
  const before = await footprint();
  await make(count - first);
  const after = await footprint();
  const each = (key: keyof Footprint): number => (after[key] - before[key]) / (count - first);
  return {
    what,
    count,
    heap: each('heap'),
    external: each('external'),
    resident: each('resident'),
    descriptors: each('descriptors'),
    threads: each('threads'),
  };
}
