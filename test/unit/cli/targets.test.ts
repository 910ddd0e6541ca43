import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { spreadTargets } from '../../../lib/cli/targets.js';

describe('spreadTargets', () => {
  it('gives each route a VP and vector of its own, the VPs from 0 without a gap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4095 }), (routes) => {
        const targets = spreadTargets(routes);
        expect(targets).toHaveLength(routes);
        expect(new Set(targets.map(({ vp, vector }) => vp * 256 + vector)).size).toBe(routes);
        expect(targets.every(({ vector }) => vector >= 16 && vector <= 255)).toBe(true);
        const vps = new Set(targets.map(({ vp }) => vp));
        expect(Math.max(...vps)).toBe(vps.size - 1);
      }),
      { examples: [[1], [4], [5], [240], [241], [960], [961], [4095]] },
    );
  });

  it('spreads few routes over vectors and VPs', () => {
    expect(spreadTargets(4)).toEqual([
      { vp: 0, vector: 16 },
      { vp: 1, vector: 76 },
      { vp: 2, vector: 136 },
      { vp: 3, vector: 196 },
    ]);
  });
});
