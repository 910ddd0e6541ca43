import { describe, expect, it } from 'vitest';

import { Latency } from '../../../lib/cli/latency.js';

describe('Latency', () => {
  it('is null before the first record', () => {
    expect(new Latency().summary()).toBeNull();
  });

  it('sorts into buckets whose lower bound is their own', () => {
    const latency = new Latency();
    for (const ns of [1999n, 2000n, 4999n, 5000n, 20_000n]) {
      latency.record(ns);
    }
    expect(latency.summary()?.buckets).toEqual([
      { from: 1000, to: 2000, count: 1 },
      { from: 2000, to: 5000, count: 2 },
      { from: 5000, to: 10_000, count: 1 },
      { from: 10_000, to: 20_000, count: 0 },
      { from: 20_000, to: 50_000, count: 1 },
    ]);
  });

  it('takes what is out of range into the outermost buckets', () => {
    const latency = new Latency();
    latency.record(-5n);
    latency.record(0n);
    latency.record(10n ** 12n);
    const buckets = latency.summary()?.buckets;
    expect(buckets?.[0]).toEqual({ from: 1, to: 2, count: 2 });
    expect(buckets?.at(-1)).toEqual({ from: 5e9, to: 1e10, count: 1 });
  });

  it('summarizes', () => {
    const latency = new Latency();
    for (let ns = 1n; ns <= 100n; ns++) {
      latency.record(ns);
    }
    expect(latency.summary()).toMatchObject({
      count: 100,
      min: 1,
      p50: 50,
      p90: 90,
      p99: 99,
      max: 100,
    });
  });
});
