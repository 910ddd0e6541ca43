import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { boundedRun } from '../bounded-run.js';
import { slowness } from '../slowness.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-bounded-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

/** Runs a script of bash. What it and all that it starts say to descriptor 3 ends when the last of them has. */
async function run(script: string, seconds: number) {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  // Who waits for a writer waits for ever where none comes: so there is one.
  const end = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(fifo, constants.O_WRONLY);
  const problem = await boundedRun('bash', ['-c', `exec 3> "$FIFO"; ${script}`], {
    seconds,
    // Shells do not survive ThreadSanitizer (npm run sanitize).
    env: { ...process.env, FIFO: fifo, LD_PRELOAD: undefined },
  });
  closeSync(writer);
  return { problem, said: await text(new Socket({ fd: end, writable: false })) };
}

it('says nothing of a program that has succeeded', async () => {
  expect(await run('echo done >&3', 60)).toEqual({ problem: undefined, said: 'done\n' });
});

it('says how a program has ended', async () => {
  expect(await run('exit 3', 60)).toMatchObject({ problem: 'ended with status 3' });
});

it('ends what a program has started and left', async () => {
  expect(await run('sleep 3600 & echo left >&3', 60)).toEqual({
    problem: undefined,
    said: 'left\n',
  });
});

it('ends a program at its limit, and what that has started', async () => {
  const error = vi.spyOn(console, 'error').mockReturnValue();
  const seconds = 2 * slowness;
  expect(await run('sleep 3600 & echo waits >&3; wait', seconds)).toEqual({
    problem: 'ended with SIGKILL',
    said: 'waits\n',
  });
  expect(error).toHaveBeenCalledExactlyOnceWith(
    expect.stringContaining(`killed after ${seconds} seconds: `),
  );
});

it('throws where there is no such program', async () => {
  await expect(boundedRun(join(folder, 'nothing'), [], { seconds: 60 })).rejects.toMatchObject({
    code: 'ENOENT',
  });
});
