/** What both sides measured in one round. */
export interface Pair<Measured> {
  ours: Measured;
  baseline: Measured;
}

export interface Comparison {
  /** Medians of the rounds. */
  ours: number;
  baseline: number;
  /** Ours divided by the baseline, of each round. */
  ratio: { median: number; min: number; max: number };
  rounds: number;
}

/**
 * Measures both sides in turn, so that whatever else the machine does falls on both alike. A fifth as
 * many rounds go before, to warm up, and are thrown away.
 */
export async function interleave<Measured>(
  rounds: number,
  ours: () => Measured | Promise<Measured>,
  baseline: () => Measured | Promise<Measured>,
): Promise<Pair<Measured>[]> {
  const warmUp = Math.ceil(rounds / 5);
  const pairs: Pair<Measured>[] = [];
  for (let round = 0; round < warmUp + rounds; round++) {
    pairs.push({ ours: await ours(), baseline: await baseline() });
  }
  return pairs.slice(warmUp);
}

export function compare(pairs: readonly Pair<number>[]): Comparison {
  const ratios = pairs.map(({ ours, baseline }) => ours / baseline);
  return {
    ours: quantile(
      pairs.map(({ ours }) => ours),
      0.5,
    ),
    baseline: quantile(
      pairs.map(({ baseline }) => baseline),
      0.5,
    ),
    ratio: { median: quantile(ratios, 0.5), min: Math.min(...ratios), max: Math.max(...ratios) },
    rounds: pairs.length,
  };
}

/** @param fraction - 0.5 for the median, 0.99 for p99 */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length * fraction)] ?? NaN;
}

/** How many ns `work` takes. */
export function timed(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start);
}
