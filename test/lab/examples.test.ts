import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { exampleOutput, runExample } from '../example-run.js';

const executesGuests =
  existsSync('/dev/fakehv') && readFileSync('/proc/cmdline', 'utf8').includes('fakehv.svm=1');
const why = executesGuests ? '' : ' (skipped: runs in the lab only, with --svm)';

describe.skipIf(!executesGuests)(`guest code of the examples${why}`, () => {
  it.each(Object.keys(exampleOutput) as (keyof typeof exampleOutput)[])(
    'examples/%s.ts',
    (name) => {
      expect(runExample(name)).toEqual(['on /dev/mshv:', ...exampleOutput[name]]);
    },
    120_000,
  );
});
