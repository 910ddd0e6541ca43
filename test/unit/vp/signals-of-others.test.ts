import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { typescriptProgram } from '../../typescript-program.js';

// What the library does to the signals of its process: it takes two that nobody has, and no more, whoever of it needs them.

const root = fileURLToPath(new URL('../../../', import.meta.url));

let folder: string;
let library: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  library = join(folder, 'timer-library.so');
  const source = join(root, 'test/unit/programs/timer_library.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What the process does with a signal by its number. */
type Actions = Map<number, string>;

/** The signals with which it does something else than before. */
function changed(before: Actions | undefined, after: Actions | undefined): number[] {
  return [...(after ?? [])].filter(([n, text]) => before?.get(n) !== text).map(([n]) => n);
}

it('both addons and their Workers share two signals, beside a preloaded library whose SIGRTMIN goes on working', () => {
  const { stderr, status } = spawnSync(
    process.execPath,
    [typescriptProgram(new URL('../programs/all-that-signals.ts', import.meta.url))],
    {
      cwd: root,
      // Sanitizers are preloaded too, and come first.
      env: { ...process.env, LD_PRELOAD: `${process.env['LD_PRELOAD'] ?? ''} ${library}`.trim() },
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  const runs = [...stderr.matchAll(/^runs (\d+)$/gm)].map(([, count]) => Number(count));
  // Of those before, the last of which came when both addons had their signals.
  expect(runs).toEqual([0, 1, 2]);
  const [before, used, after] = stderr
    .split(/^runs \d+$/m)
    .slice(1)
    .map(
      (told): Actions =>
        new Map(
          [...told.matchAll(/^signal (\d+): (.*)$/gm)].map(([, n, text = '']) => [Number(n), text]),
        ),
    );
  expect(before?.size).toBeGreaterThan(constants.signals.SIGSYS);
  expect(changed(before, used)).toEqual([63, 64]);
  expect(used?.get(63)).toBe(used?.get(64));
  expect(changed(used, after)).toEqual([]);
});
