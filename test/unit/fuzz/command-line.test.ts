import fc from 'fast-check';
import { describe, expect, vi } from 'vitest';

import type * as chosenDevice from '../../../lib/cli/chosen-device.js';
import { parseOptions, UsageError } from '../../../lib/cli/command-line.js';
import type { IrqfdPlan } from '../../../lib/cli/irqfd-check.js';
import { runProgram } from '../../../lib/cli/program.js';
import { CapturedTerminal } from '../cli/captured-terminal.js';
import { fuzz } from './fuzz.js';

/** What got past the parsers: nothing is opened here, and no check is run. */
class Parsed extends Error {
  readonly plan: IrqfdPlan;

  constructor(plan: IrqfdPlan) {
    super('parsed');
    this.plan = plan;
  }
}

vi.mock('../../../lib/cli/chosen-device.js', async (importOriginal) => {
  const { chooseDevice } = await importOriginal<typeof chosenDevice>();
  return {
    chooseDevice: (choice: string) =>
      choice === 'sim' || choice === 'auto' || choice.includes('/')
        ? { close: () => undefined }
        : chooseDevice(choice),
  };
});

vi.mock('../../../lib/cli/irqfd-check.js', () => ({
  descriptorsNeeded: () => 0,
  checkIrqfd: (_device: unknown, plan: IrqfdPlan) => {
    throw new Parsed(plan);
  },
}));

const isFrom = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most;

const word = fc.oneof(
  fc.constantFrom(
    'info',
    'irqfd',
    'help',
    'completion',
    'zsh',
    '--json',
    '--help',
    '-h',
    '--version',
    '--',
    '-',
    '',
  ),
  fc.constantFrom('--device', '--architecture', '--routes', '--signals', '--mask-every'),
  fc.constantFrom('x64', 'arm64', 'ARM64'),
  fc.constantFrom('sim', 'auto', '/dev/mshv', '0', '1', '48', '4095', '4096', '1000000', '-1'),
  fc.constantFrom('--__proto__', '--constructor', '--no-json', '--=', '-j', '--json=', '-=h'),
  fc
    .tuple(
      fc.constantFrom(
        '--device',
        '--architecture',
        '--routes',
        '--signals',
        '--mask-every',
        '--json',
      ),
      fc.oneof(
        fc.string(),
        fc.constantFrom('0', '1', '4095', '4096', '1000001'),
        fc.nat().map(String),
      ),
    )
    .map(([name, value]) => `${name}=${value}`),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.nat().map((number) => `${number}`),
);

// No argument of a process has a NUL.
const argv = fc
  .tuple(
    fc.constantFrom(['info'], ['irqfd'], ['irqfd'], ['help'], ['completion'], []),
    fc.array(word, { maxLength: 8 }),
  )
  .map(([name, rest]) => [...name, ...rest].map((arg) => arg.replaceAll('\0', '')));

describe('the command line', () => {
  fuzz(
    'of any words is a command, or wrong usage, and nothing else',
    500,
    // The look at the machine is no part of this.
    fc.asyncProperty(
      argv.filter(([name]) => name !== 'info'),
      async (args) => {
        const terminal = new CapturedTerminal();
        let status: number | undefined;
        try {
          status = await runProgram(args, terminal);
        } catch (error) {
          if (!(error instanceof Parsed)) throw error;
          const { routes, signals, maskEvery } = error.plan;
          expect(isFrom(routes, 1, 4095)).toBe(true);
          expect(isFrom(signals, 1, 1_000_000)).toBe(true);
          expect(isFrom(maskEvery, 0, 1_000_000)).toBe(true);
          return;
        }
        expect([0, 2]).toContain(status);
        const { stdout, stderr } = terminal;
        const [said, silent] = status === 0 ? [stdout, stderr] : [stderr, stdout];
        expect(said.text).not.toBe('');
        expect(silent.text).toBe('');
        if (status === 2) expect(said.text).toContain('usage: mshv ');
      },
    ),
  );

  fuzz(
    'has options of the types that were asked for, or is a usage error',
    500,
    fc.property(argv, ([, ...args]) => {
      let values;
      try {
        values = parseOptions(args, { json: { type: 'boolean' }, device: { type: 'string' } });
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        return;
      }
      expect(Object.keys(values).filter((key) => key !== 'json' && key !== 'device')).toEqual([]);
      expect(['boolean', 'undefined']).toContain(typeof values.json);
      expect(['string', 'undefined']).toContain(typeof values.device);
    }),
  );
});
