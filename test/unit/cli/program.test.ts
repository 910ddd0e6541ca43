import { describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/cli/program.js';
import { CapturedTerminal, wideLines } from './captured-terminal.js';

async function run(...args: string[]) {
  const terminal = new CapturedTerminal();
  const status = await runProgram(args, terminal);
  return { status, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

describe('mshv', () => {
  it.each([
    ...['--help', '-h', 'help', 'info --help', 'irqfd --help', 'irqfd --json -h'],
    ...['help info', 'help irqfd', 'help build', 'help completion', 'help help'],
  ])('prints help: %s', async (args) => {
    const { status, stdout, stderr } = await run(...args.split(' '));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^usage: mshv /);
    expect(stderr).toBe('');
    expect(wideLines(stdout, 60)).toEqual([]);
  });

  it('tells of each command by its name what it tells itself', async () => {
    const names = [...(await run('help')).stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name);
    expect(names).toEqual(['info', 'irqfd', 'build', 'completion', 'help']);
    for (const name of names) {
      const told = await run('help', name ?? '');
      expect(told.stdout).toContain(`usage: mshv ${name ?? ''}`);
      expect(told.stdout).toContain('Exit status: 0');
      expect(told).toEqual(await run(name ?? '', '--help'));
    }
  });

  it.each(['--version', '-v'])('prints its version: %s', async (option) => {
    expect(await run(option)).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
      stderr: '',
    });
  });

  it('prints its usage where no command is given', async () => {
    const { status, stdout, stderr } = await run();
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^usage: mshv COMMAND/);
  });

  it('names a command that does not exist', async () => {
    const { status, stderr } = await run('irqfds');
    expect(status).toBe(2);
    expect(stderr).toContain("there is no command 'irqfds'");
    expect(stderr).toContain('usage: mshv COMMAND');
  });
});

describe.each([
  [['help', 'irqfds'], "there is no command 'irqfds'"],
  [['help', 'irqfd', 'info'], "Unexpected argument 'info'"],
  [['completion'], "the shell must be bash or zsh, received ''"],
  [['completion', 'fish'], "the shell must be bash or zsh, received 'fish'"],
  [['completion', 'toString'], "received 'toString'"],
  [['completion', 'bash', '--bogus'], "Unknown option '--bogus'"],
  [['info', '--bogus'], "Unknown option '--bogus'\n"],
  [['info', 'sim'], "Unexpected argument 'sim'"],
  [['info', '--json=yes'], "Option '--json' does not take an argument"],
  [['irqfd', '--bogus'], "Unknown option '--bogus'\n"],
  [['irqfd', '4'], "Unexpected argument '4'"],
  [['irqfd', '--routes'], "Option '--routes <value>' argument missing"],
  [['irqfd', '--routes', '-5'], "Option '--routes' argument is ambiguous"],
  [['irqfd', '--routes', '0'], "--routes must be a whole number from 1 to 4095, received '0'"],
  [['irqfd', '--routes', '4096'], 'from 1 to 4095'],
  [['irqfd', '--routes', '1.5'], "received '1.5'"],
  [['irqfd', '--routes', ''], "received ''"],
  [['irqfd', '--routes', ' 5'], "received ' 5'"],
  [['irqfd', '--routes', '0x10'], "received '0x10'"],
  [['irqfd', '--signals', '0'], '--signals must be a whole number from 1 to 1000000'],
  [['irqfd', '--signals', '1000001'], 'from 1 to 1000000'],
  [['irqfd', '--signals', '1e3'], "received '1e3'"],
  [['irqfd', '--signals', '9'.repeat(400)], 'from 1 to 1000000'],
  [['irqfd', '--mask-every', 'x'], '--mask-every must be a whole number from 0 to 1000000'],
  [
    ['irqfd', '--device=sim', '--architecture', 'ARM64'],
    "--architecture must be x64 or arm64, received 'ARM64'",
  ],
  [['irqfd', '--device=sim', '--architecture='], "must be x64 or arm64, received ''"],
  [['irqfd', '--device=sim', '--architecture', 'toString'], "received 'toString'"],
  [
    ['irqfd', '--architecture', 'arm64'],
    "--architecture says what to simulate: it needs --device sim, received 'auto'",
  ],
  [
    ['irqfd', '--device', '/dev/mshv', '--architecture=x64'],
    "it needs --device sim, received '/dev/mshv'",
  ],
  [['irqfd', '--device', 'simulator'], "--device must be auto, sim or a path with a '/'"],
])('mshv %j', (args, problem) => {
  it('is wrong usage', async () => {
    const { status, stdout, stderr } = await run(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`mshv ${args[0] ?? ''}: `);
    expect(stderr).toContain(problem);
    expect(stderr).toContain(`usage: mshv ${args[0] ?? ''} `);
  });
});
