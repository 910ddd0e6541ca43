import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import { typescriptProgram } from '../../typescript-program.js';

const program = typescriptProgram(new URL('../programs/decode-port-io.ts', import.meta.url));

/** The bytes that a million decodes leave on the heap, and what the collector did meanwhile. */
async function decode(fields: 'numbers' | 'words') {
  const young = ['--min-semi-space-size=256', '--max-semi-space-size=256', '--trace-gc'];
  const { stdout } = await promisify(execFile)(process.execPath, [...young, program, fields]);
  const lines = stdout.trim().split('\n');
  return { growth: Number(lines.at(-1)), collections: lines.slice(0, -1) };
}

test('a million port I/O messages are decoded to numbers without allocating', async () => {
  const { growth, collections } = await decode('numbers');
  expect(collections.filter((line) => line.includes('Scavenge'))).toEqual([]);
  // An object for each would be 16 MB at least; V8's own code and feedback are there in any case.
  expect(growth).toBeLessThan(1_000_000);
});

test('the same measurement sees the bigints of the 64-bit fields', async () => {
  expect((await decode('words')).growth).toBeGreaterThan(16_000_000);
});
