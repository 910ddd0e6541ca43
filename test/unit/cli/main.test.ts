import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { shellEnvironment, startedByShell } from '../../shell.js';

const main = fileURLToPath(new URL('../../../lib/cli/main.ts', import.meta.url));

// Node would warn of what vitest sets for colours.
const noColours = { FORCE_COLOR: undefined, NO_COLOR: undefined };

/** Runs the program in a process of its own; `read` says how to take its output. */
async function run(args: string[], read: (stream: Readable) => Promise<string> = text) {
  return runInShell('exec "$@"', args, read);
}

/** The same, where the program is `"$@"` of a shell's command. */
async function runInShell(
  command: string,
  args: string[],
  read: (stream: Readable) => Promise<string> = text,
) {
  const words = startedByShell([process.execPath, '--import', 'tsx', main, ...args]);
  const child = spawn('/bin/sh', ['-c', command, 'sh', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...shellEnvironment, ...noColours },
  });
  const status = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr] = await Promise.all([read(child.stdout), text(child.stderr)]);
  return { status: await status, stdout, stderr };
}

describe('the mshv process', () => {
  it('checks routes on the simulator', async () => {
    const { status, stdout, stderr } = await run(['irqfd', '--device', 'sim', '--routes', '20']);
    expect(stderr).toBe('');
    expect(stdout).toContain('All right: 960 signals');
    expect(stdout).not.toContain('\u001b');
    expect(status).toBe(0);
  });

  it('exits with the status of the command', async () => {
    expect((await run(['irqfd', '--device', '/dev/null'])).status).toBe(1);
    expect((await run(['irqfd', '--routes', '0'])).status).toBe(2);
    expect((await run(['--version'])).status).toBe(0);
  });

  it('says that whoever was to read its output has closed it', async () => {
    const { status, stderr } = await run(
      ['irqfd', '--device', 'sim', '--routes', '4095', '--signals', '1', '--json'],
      (stream) => {
        stream.destroy();
        return Promise.resolve('');
      },
    );
    expect(stderr).toBe(
      'mshv: the output cannot be written: write EPIPE: whoever was to read it has closed it\n',
    );
    expect(status).toBe(1);
  });

  it.each(['info', '--version', '--help', 'help', 'irqfd --device sim --routes 1 --json'])(
    'says that there is no room for its output: %s',
    async (args) => {
      const { status, stderr } = await runInShell('exec "$@" > /dev/full', args.split(' '));
      expect(stderr).toBe(
        'mshv: the output cannot be written: ENOSPC: no space left on device, write\n',
      );
      expect(status).toBe(1);
    },
  );

  it('ends by itself where nobody hears what is wrong', async () => {
    expect((await runInShell('exec "$@" > /dev/full 2> /dev/full', ['help'])).status).toBe(1);
    expect((await runInShell('exec "$@" 2> /dev/full', ['help', 'bogus'])).status).toBe(2);
    // Node.js opens /dev/null in the place of what is closed.
    expect((await runInShell('exec "$@" >&- 2>&-', ['help'])).status).toBe(0);
  });

  it('says how many descriptors a run needs, with which it works', async () => {
    const run = ['irqfd', '--device', 'sim', '--routes', '300', '--signals', '1'];
    const { status, stdout, stderr } = await runInShell('ulimit -n 300; exec "$@"', run);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    const [, needed = ''] =
      /^mshv irqfd: cannot .*EMFILE .*raise ulimit -n\. 300 routes need \d+ descriptors here: ulimit -n (\d+), or fewer --routes\n$/.exec(
        stderr,
      ) ?? [];
    expect(Number(needed)).toBeGreaterThan(600);
    expect(Number(needed)).toBeLessThan(900);
    const enough = await runInShell(`ulimit -n ${needed}; exec "$@"`, run);
    expect(enough).toMatchObject({ status: 0, stderr: '' });
  });

  it.each([['--json'], []])('gives what it has when it is interrupted %s', async (...json) => {
    const args = ['irqfd', '--device', 'sim', '--routes', '9', '--signals', '1000000', ...json];
    const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...noColours },
    });
    const status = new Promise<number | null>((resolve) => child.on('close', resolve));
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    // Ctrl-C has a meaning of its own only while it runs: then each route has an eventfd, and the simulator one of it.
    while (eventfdsOf(child.pid ?? 0) < 18) await turn(10);
    child.kill('SIGINT');
    const [stdout, stderr] = await output;
    expect(stderr).toBe('');
    expect(await status).toBe(130);
    if (json.length > 0) {
      expect(JSON.parse(stdout)).toMatchObject({ ok: true, interrupted: true, arguments: args });
    } else {
      expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(
        /Interrupted after \d+ of 9000000 signals\. Until then: All right: \d+ signals, /,
      );
    }
  });
});

function eventfdsOf(pid: number): number {
  const folder = `/proc/${pid}/fd/`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(folder + fd) === 'anon_inode:[eventfd]';
    } catch {
      return false; // Closed meanwhile.
    }
  }).length;
}
