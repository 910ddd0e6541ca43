import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { exampleOutput, runExample } from '../example-run.js';

const onDevice = existsSync('/dev/mshv');
const why = onDevice ? ' (skipped: this machine has /dev/mshv, which they would use)' : '';

describe.skipIf(onDevice)(`on the simulator${why}`, () => {
  it.each(Object.keys(exampleOutput) as (keyof typeof exampleOutput)[])(
    'examples/%s.ts',
    (name) => {
      expect(runExample(name)).toEqual(['on the simulator:', ...exampleOutput[name]]);
    },
    120_000,
  );
});
