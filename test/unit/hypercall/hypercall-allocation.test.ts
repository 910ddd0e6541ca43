import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import { typescriptProgram } from '../../typescript-program.js';

const program = typescriptProgram(new URL('../programs/make-hypercalls.ts', import.meta.url));

test('interrupts are requested, registers reached and VPs run without allocating', async () => {
  const young = ['--min-semi-space-size=256', '--max-semi-space-size=256', '--trace-gc'];
  const { stdout } = await promisify(execFile)(process.execPath, [...young, program]);
  const lines = stdout.trim().split('\n');
  expect(lines.filter((line) => line.includes('Scavenge'))).toEqual([]);
  const growth = JSON.parse(lines.at(-1) ?? '') as Record<string, number>;
  // Of 50 000 calls. The smallest object is 16 bytes: one for each would be 800 000.
  expect(growth['requestInterrupt']).toBeLessThan(400_000);
  expect(growth['getRegisters']).toBeLessThan(400_000);
  expect(growth['setRegisters']).toBeLessThan(400_000);
  expect(growth['run']).toBeLessThan(400_000);
  // The same measurement sees what is allocated.
  expect(growth['translateGva']).toBeGreaterThan(1_600_000);
});
