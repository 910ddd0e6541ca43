import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../../lib/cli/main.ts', import.meta.url));

/** Runs the program in a process of its own; `read` says how to take its output. */
async function run(args: string[], read: (stream: Readable) => Promise<string> = text) {
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Node would warn of what vitest sets for colours.
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined },
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

  it('takes it that its reader stops early', async () => {
    const { status, stderr } = await run(
      ['irqfd', '--device', 'sim', '--routes', '4095', '--signals', '1', '--json'],
      (stream) => {
        stream.destroy();
        return Promise.resolve('');
      },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
