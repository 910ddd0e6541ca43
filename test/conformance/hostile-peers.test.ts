import { describe, expect, it } from 'vitest';

import { boundedRun } from '../bounded-run.js';
import { slowness } from '../slowness.js';
import { typescriptProgram } from '../typescript-program.js';

const program = new URL('programs/hostile-peer-child.ts', import.meta.url);

describe('hostile peers, a process and a thread', () => {
  // Each in a process of its own, which is ended where its event loop stands.
  it.each(['counts add up', 'routes change', 'signals arrive', 'doorbells ring'])(
    'stop nothing, and take only what they read: %s',
    async (scenario) => {
      const words = [...typescriptProgram(program), scenario];
      expect(await boundedRun(process.execPath, words, { seconds: 60 * slowness })).toBeUndefined();
    },
  );
});
