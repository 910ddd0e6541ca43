import { readdirSync } from 'node:fs';
import { styleText } from 'node:util';

import { architectures, type Architecture } from '../abi/architecture.js';
import { MshvError } from '../errors.js';
import { chooseDevice, type ChosenDevice } from './chosen-device.js';
import { circumstancesOf } from './circumstances.js';
import { integerOption, parseOptions, wordOption } from './command-line.js';
import { type Command, CommandFailure } from './command.js';
import { checkIrqfd, descriptorsNeeded, type IrqfdPlan, type IrqfdReport } from './irqfd-check.js';
import { describeReport, verdictOf } from './irqfd-report.js';
import { ProgressLine } from './progress-line.js';
import { maskedBurst } from './signal-run.js';
import { type OutputStream, type Terminal, widthOf, wrap } from './terminal.js';

const defaults = { device: 'auto', routes: '256', signals: '48', 'mask-every': '4' };

const architectureNames = Object.keys(architectures) as Architecture[];

const options = {
  device: {
    type: 'string',
    summary: 'auto, sim, or the path of a device',
    words: ['auto', 'sim'],
    takesPath: true,
  },
  architecture: {
    type: 'string',
    summary: 'of the simulator: x64 or arm64',
    words: architectureNames,
  },
  routes: { type: 'string', summary: 'how many routes: 1 to 4095' },
  signals: { type: 'string', summary: 'how many signals to each route: 1 to 1000000' },
  'mask-every': { type: 'string', summary: 'every how manieth interrupt is masked first' },
  json: { type: 'boolean', summary: 'one JSON object' },
} as const;

export const irqfd: Command = {
  name: 'irqfd',
  summary: 'signals eventfds, checks what the guest gets',
  usage: `[--device auto|sim|PATH]
         [--architecture x64|arm64] [--routes N]
         [--signals M] [--mask-every K] [--json]`,
  help: `Creates a partition, arms N routes in one batch, sends M
signals to each and checks that each signal became exactly
the interrupt that it should. On a real device nobody sees
the guest's side: there it checks that the driver takes the
signals of armed routes from their eventfds and leaves those
of masked ones.

  --device DEVICE  auto: /dev/mshv where it can be opened,
                   else the simulator; sim: the simulator;
                   or the path of a device.
                   Default ${defaults.device}
  --architecture A x64 or arm64: of --device sim.
                   Default x64
  --routes N       1 to 4095, each takes a descriptor, on
                   the simulator two. Default ${defaults.routes}
  --signals M      to each route, 1 to 1000000. Default ${defaults.signals}
  --mask-every K   every K-th interrupt of a route is made
                   of ${maskedBurst} signals sent while it is masked,
                   1 to 1000000; 0: none. Default ${defaults['mask-every']}
  --json           one JSON object with stable keys

Ctrl-C ends it with the report so far.

Exit status: 0 all right, 1 mismatch or failure, 2 wrong
usage, 130 interrupted and all right until then.
`,
  options,
  async run(args, terminal) {
    const {
      device: choice = defaults.device,
      architecture: named,
      routes = defaults.routes,
      signals = defaults.signals,
      'mask-every': maskEvery = defaults['mask-every'],
      json = false,
    } = parseOptions(args, options);
    const plan: IrqfdPlan = {
      routes: integerOption('routes', routes, 1, 4095),
      signals: integerOption('signals', signals, 1, 1_000_000),
      maskEvery: integerOption('mask-every', maskEvery, 0, 1_000_000),
    };
    const architecture =
      named === undefined ? undefined : wordOption('architecture', named, architectureNames);
    const { stdout } = terminal;
    const circumstances = circumstancesOf(['irqfd', ...args]);
    const report = await check({ choice, architecture }, plan, terminal);
    const { ok, interrupted } = report;
    stdout.write(
      json
        ? `${JSON.stringify({ ...circumstances, ...report }, undefined, 2)}\n`
        : screen(report, stdout),
    );
    return !ok ? 1 : interrupted ? 130 : 0;
  },
};

interface Choice {
  readonly choice: string;
  readonly architecture: Architecture | undefined;
}

async function check(
  { choice, architecture }: Choice,
  plan: IrqfdPlan,
  terminal: Terminal,
): Promise<IrqfdReport> {
  const open = openDescriptors();
  const interruption = new AbortController();
  // Once: another Ctrl-C ends a process that does not end otherwise.
  const interrupt = (): void => {
    interruption.abort();
  };
  terminal.once('SIGINT', interrupt);
  const progress = new ProgressLine(terminal.stderr, 'signals');
  let device: ChosenDevice | undefined;
  try {
    device = chooseDevice(choice, architecture);
    return await checkIrqfd(
      device,
      plan,
      (sent, of) => {
        progress.update(sent, of);
      },
      interruption.signal,
    );
  } catch (error) {
    if (!(error instanceof MshvError) || error.code !== 'EMFILE') throw error;
    const kind = device?.kind ?? (choice === 'auto' || choice === 'sim' ? 'simulator' : 'device');
    const needed = descriptorsNeeded(plan, kind, open);
    throw new CommandFailure(
      `${error.message}. ${plan.routes} routes need ${needed} descriptors here: ulimit -n ${needed}, or fewer --routes`,
      { cause: error },
    );
  } finally {
    progress.end();
    device?.close();
    terminal.off('SIGINT', interrupt);
  }
}

/** How many descriptors this process has. */
function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    // No /proc: what Node.js has of its own.
    return 32;
  }
}

function screen(report: IrqfdReport, stream: OutputStream): string {
  const width = widthOf(stream);
  const colour = report.ok ? 'green' : 'red';
  const verdict = styleText(colour, wrap(verdictOf(report), width), { stream });
  return `${describeReport(report, width)}\n\n${verdict}\n`;
}
