import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import { typescriptProgram } from '../../typescript-program.js';

const program = typescriptProgram(new URL('../programs/dispatch-hypercalls.ts', import.meta.url));

async function dispatch(kind: 'signal' | 'message' | 'refused' | 'queue', ...options: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [...options, program, kind]);
  const lines = stdout.trim().split('\n');
  const result = JSON.parse(lines.at(-1) ?? '') as {
    growth: number;
    handled: number;
    reads: number;
  };
  return { ...result, collections: lines.slice(0, -1) };
}

test('a million fast events are dispatched without allocating', async () => {
  const young = ['--min-semi-space-size=256', '--max-semi-space-size=256', '--trace-gc'];
  const { growth, handled, collections } = await dispatch('signal', ...young);
  expect(handled).toBe(1_000_000);
  expect(collections.filter((line) => line.includes('Scavenge'))).toEqual([]);
  // An object for each would be 16 MB at least; what V8 compiles meanwhile is some 0.3 MB where the machine is busy.
  expect(growth).toBeLessThan(2_000_000);
});

test('a million messages, each 256th answered later, leave nothing behind', async () => {
  const { growth, handled, reads } = await dispatch('message', '--expose-gc');
  expect(handled).toBe(1_000_000);
  // The guest posts those again that are answered later.
  expect(reads).toBeGreaterThanOrEqual(1_000_000 + Math.floor(1_000_000 / 256));
  // Those that are answered later would be 1.7 MB; what V8 compiles and forgets is 0.2 MB either way.
  expect(growth).toBeLessThan(600_000);
});

test('a million hypercalls that are nobody’s or wrong, each another, leave nothing behind', async () => {
  const { growth, handled, reads } = await dispatch('refused', '--expose-gc');
  expect(handled).toBe(1_000_000);
  expect(reads).toBeGreaterThan(200_000);
  // A few bytes for each would be more.
  expect(growth).toBeLessThan(600_000);
});

test('a million messages to the guest, through a queue that is never empty, leave nothing behind', async () => {
  const { growth, handled } = await dispatch('queue', '--expose-gc');
  expect(handled).toBe(1_000_000);
  expect(growth).toBeLessThan(600_000);
});
