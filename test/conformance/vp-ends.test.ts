import { expect, it } from 'vitest';

import { runScenario } from '../scenario-run.js';

// What a running VP means to the life of its process, and the end of that to the VP.

const run = (scenario: string) =>
  runScenario(new URL('programs/vp-child.ts', import.meta.url), scenario);

it.each<[string, string[]]>([
  ['exits in a handler', []],
  ['exits in an asynchronous handler', []],
  ['exits while a thread runs a VP', []],
  ['exits while a Worker is in run()', []],
  ['exits while a Worker has started a VP', []],
  [
    'goes on after what a handler throws is caught',
    ['caught Error: somebody catches this', 'finished stopped'],
  ],
  ['stays while a VP runs', ['exit halt', 'finished stopped']],
  ['ends although a VP runs after unref()', []],
])('a process %s', async (scenario, said) => {
  expect(await run(scenario)).toEqual({ code: 7, said, errors: '' });
});

it.each(['dies of what a handler throws', 'dies of what a handler rejects with'])(
  'a process %s',
  async (scenario) => {
    const { code, said, errors } = await run(scenario);
    expect({ code, said }).toEqual({ code: 1, said: [] });
    expect(errors).toContain('Error: nobody catches this');
  },
);
