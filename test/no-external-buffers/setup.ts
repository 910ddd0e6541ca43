import { sep } from 'node:path';
import { beforeEach } from 'vitest';

import { refusalOf } from './refused.js';

// Runs either the tests of refused.ts, which have to fail, or all others.

const refusedOnly = process.env['MSHV_TEST_NO_BUFFERS'] === 'refused';

beforeEach(({ task, skip }) => {
  const file = task.file.name.split(sep).slice(2).join('/');
  const refusal = refusalOf(file, task.fullTestName);
  skip((refusal !== undefined) !== refusedOnly, refusal?.because);
});
