import { describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/cli/program.js';
import { CapturedTerminal, wideLines } from './captured-terminal.js';

function run(...args: string[]) {
  const terminal = new CapturedTerminal();
  const status = runProgram(args, terminal);
  return { status, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

describe('mshv', () => {
  it.each(['--help', '-h', 'info --help', 'irqfd --help', 'irqfd --json -h'])(
    'prints help: %s',
    (args) => {
      const { status, stdout, stderr } = run(...args.split(' '));
      expect(status).toBe(0);
      expect(stdout).toMatch(/^usage: mshv /);
      expect(stderr).toBe('');
      expect(wideLines(stdout)).toEqual([]);
    },
  );

  it('prints its version', () => {
    expect(run('--version')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
      stderr: '',
    });
  });

  it('prints its usage where no command is given', () => {
    const { status, stdout, stderr } = run();
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^usage: mshv COMMAND/);
  });

  it('names a command that does not exist', () => {
    const { status, stderr } = run('irqfds');
    expect(status).toBe(2);
    expect(stderr).toContain("there is no command 'irqfds'");
    expect(stderr).toContain('usage: mshv COMMAND');
  });
});

describe.each([
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
  [['irqfd', '--device', 'simulator'], "--device must be auto, sim or a path with a '/'"],
])('mshv %j', (args, problem) => {
  it('is wrong usage', () => {
    const { status, stdout, stderr } = run(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`mshv ${args[0] ?? ''}: `);
    expect(stderr).toContain(problem);
    expect(stderr).toContain(`usage: mshv ${args[0] ?? ''} [`);
  });
});
