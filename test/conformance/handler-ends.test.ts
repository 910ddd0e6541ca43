import { afterAll, expect, it } from 'vitest';

import { insideLab } from '../inside-lab.js';
import { handlerEnds, handlerThrows, type HandlerEnd, type HandlerName } from '../handler-ends.js';
import { runToSignal } from '../scenario-run.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// A process that ends inside a function that the library calls, while a VP runs and everything is open, ends as any other
// process does, and leaves nothing.

const program = new URL('programs/handler-child.ts', import.meta.url);
const handlers = Object.keys(handlerThrows) as HandlerName[];

const stack = expect.stringMatching(/Error: nobody catches this\n +at /) as string;

function expectedEnd(handler: HandlerName, end: HandlerEnd): object {
  const said = ['begins false', 'called'];
  const quiet = { said, errors: '' };
  switch (end) {
    case 'exits':
      return { ...quiet, code: 7, signal: null };
    case 'is terminated':
      return { ...quiet, code: null, signal: 'SIGTERM' };
    case 'is killed':
      return { ...quiet, code: null, signal: 'SIGKILL' };
    case 'throws': {
      const outcome = handlerThrows[handler];
      if (outcome === 'dies') break;
      return { said: [...said, outcome], errors: '', code: 8, signal: null };
    }
  }
  return { said, errors: stack, code: 1, signal: null };
}

const guest = await guestSideForTests();
let cells = 0;

afterAll(() => {
  console.log(`${cells} cells of handlers x ends`);
  expect(guest.leftovers()).toEqual([]);
});

// In the lab a process takes seconds and has to be the only one.
const inLab: readonly (readonly [HandlerName, HandlerEnd])[] = [
  ['a handler of exits', 'is killed'],
  ['a port for messages that answers later', 'exits'],
  ['a listener of a doorbell', 'leaves a rejection'],
  ['a hypercall of the VMM', 'is terminated'],
];
const all = handlers.flatMap((handler) => handlerEnds.map((end) => [handler, end] as const));

(insideLab ? it : it.concurrent).each(insideLab ? inLab : all)(
  'a process that ends inside %s and %s',
  async (handler, end) => {
    expect(await runToSignal(program, handler, end)).toEqual(expectedEnd(handler, end));
    cells++;
  },
);
