import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { exampleOutput, runExample } from '../example-run.js';
import { slowness } from '../slowness.js';

const onDevice = existsSync('/dev/mshv');
const why = onDevice ? ' (skipped: this machine has /dev/mshv, which they would use)' : '';

const names = Object.keys(exampleOutput) as (keyof typeof exampleOutput)[];

describe.skipIf(onDevice)(`on the simulator${why}`, () => {
  it.each(names)(
    'examples/%s.ts',
    (name) => {
      expect(runExample(name)).toEqual(['on the simulator:', ...exampleOutput[name]]);
    },
    120_000 * slowness,
  );

  // vitest does not start where intrinsics are frozen; these do, with all of the library.
  it.each(names)(
    'examples/%s.ts, with frozen intrinsics and no code from strings',
    (name) => {
      const flags = ['--frozen-intrinsics', '--disallow-code-generation-from-strings'];
      expect(runExample(name, flags)).toEqual(['on the simulator:', ...exampleOutput[name]]);
    },
    120_000 * slowness,
  );
});
