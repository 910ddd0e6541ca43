import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { boundedRun } from '../bounded-run.js';
import { slowness } from '../slowness.js';

const program = fileURLToPath(new URL('programs/hostile-peer-child.ts', import.meta.url));

describe('a hostile peer', () => {
  it('never stops the event loop, and takes only what it reads', async () => {
    expect(
      await boundedRun(process.execPath, ['--import', 'tsx', program], { seconds: 60 * slowness }),
    ).toBeUndefined();
  });
});
