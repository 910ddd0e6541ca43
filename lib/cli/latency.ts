import { createHistogram } from 'node:perf_hooks';

/** Numbers of a latency distribution, in ns. */
export interface LatencySummary {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
  /** Ascending, without empty ones at either end; `from` included, `to` excluded. */
  readonly buckets: readonly {
    readonly from: number;
    readonly to: number;
    readonly count: number;
  }[];
}

/** 1, 2, 5, 10, … ns to 5 s; what is longer goes to the last one. */
const bounds = Array.from({ length: 10 }, (_, power) =>
  [1, 2, 5].map((digit) => digit * 10 ** power),
).flat();

/** Collects latencies in constant memory. */
export class Latency {
  readonly #histogram = createHistogram();
  readonly #buckets = bounds.map(() => 0);

  /** @param ns - what a clock's resolution makes 0 or less counts as 1 */
  record(ns: bigint): void {
    const value = Math.max(1, Number(ns));
    this.#histogram.record(value);
    const bucket = bounds.findLastIndex((bound) => bound <= value);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  /** Null where nothing was recorded. */
  summary(): LatencySummary | null {
    const { count, min, max } = this.#histogram;
    if (count === 0) {
      return null;
    }
    const buckets = bounds.map((from, index) => ({
      from,
      to: bounds[index + 1] ?? from * 2,
      count: this.#buckets[index] ?? 0,
    }));
    const filled = ({ count }: { count: number }): boolean => count > 0;
    return {
      count,
      min,
      p50: this.#histogram.percentile(50),
      p90: this.#histogram.percentile(90),
      p99: this.#histogram.percentile(99),
      max,
      buckets: buckets.slice(buckets.findIndex(filled), buckets.findLastIndex(filled) + 1),
    };
  }
}
