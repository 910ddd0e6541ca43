import { lowestFixedVector } from '../irq/msi.js';

/** Where a route's interrupts go. */
export interface Target {
  readonly vp: number;
  readonly vector: number;
}

const vectorsPerVp = 256 - lowestFixedVector;
/** As few routes as four go to a VP each. */
const preferredVps = 4;

/**
 * A VP and a vector for each of `routes` routes, no pair twice: a block of routes to each VP, its
 * vectors spread over 16 to 255, other vectors for other VPs where there are few.
 */
export function spreadTargets(routes: number): Target[] {
  const vps = Math.max(Math.min(routes, preferredVps), Math.ceil(routes / vectorsPerVp));
  const perVp = Math.ceil(routes / vps);
  const vectorOffset = (index: number): number => {
    const place = (index % perVp) * vps + Math.floor(index / perVp);
    return Math.floor((place * vectorsPerVp) / (perVp * vps));
  };
  return Array.from({ length: routes }, (_, index) => ({
    vp: Math.floor(index / perVp),
    vector: lowestFixedVector + vectorOffset(index),
  }));
}
