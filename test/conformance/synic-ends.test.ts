import { expect, it } from 'vitest';

import { runScenario } from '../scenario-run.js';

// What a SynIC in which everything waits means to the life of its process: nothing.

const program = new URL('programs/synic-child.ts', import.meta.url);

it.each<[string, string[]]>([
  ['closes the partition, answers then, and closes nothing else', ['run closed']],
  ['closes everything', ['waiting ERR_MSHV_RESET', 'run closed']],
  ['stops the run, and closes nothing', ['run stopped']],
])('a process %s, and ends by itself', async (scenario, said) => {
  expect(await runScenario(program, scenario)).toEqual({
    code: 7,
    said: ['posts true true', 'event false', 'page 4096', ...said],
    errors: '',
  });
});
