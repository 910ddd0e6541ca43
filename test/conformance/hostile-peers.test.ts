import { describe, expect, it } from 'vitest';

import { boundedRun } from '../bounded-run.js';
import { slowness } from '../slowness.js';
import { typescriptProgram } from '../typescript-program.js';

const program = typescriptProgram(new URL('programs/hostile-peer-child.ts', import.meta.url));

const scenarios = [
  'nothing waits',
  'counts add up',
  'routes change',
  'signals arrive',
  'doorbells ring',
];

describe('hostile peers, a process and a thread', () => {
  it('stop nothing, and take only what they read', async () => {
    // In a process of its own, which is ended where its event loop stands; it says how far it has come.
    const words = [program, ...scenarios];
    expect(await boundedRun(process.execPath, words, { seconds: 150 * slowness })).toBeUndefined();
  });
});
