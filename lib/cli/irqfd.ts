import { styleText } from 'node:util';

import { chooseDevice } from './chosen-device.js';
import { integerOption, parseOptions } from './command-line.js';
import { checkIrqfd, type IrqfdPlan, type IrqfdReport } from './irqfd-check.js';
import { describeReport, verdictOf } from './irqfd-report.js';
import { ProgressLine } from './progress-line.js';
import type { Command } from './command.js';
import { maskedBurst } from './signal-run.js';
import type { OutputStream } from './terminal.js';

const defaults = { device: 'auto', routes: '256', signals: '48', 'mask-every': '4' };

export const irqfd: Command = {
  name: 'irqfd',
  summary: 'routes MSIs, signals eventfds, checks which interrupts the guest got',
  usage: `[--device auto|sim|PATH] [--routes N] [--signals M]
                  [--mask-every K] [--json]`,
  help: `Creates a partition, arms N routes in one batch, sends M signals to each and
checks that each signal became exactly the interrupt that it should. On a real
device nobody sees the guest's side: there it checks that the driver takes the
signals of armed routes from their eventfds and leaves those of masked ones.

  --device DEVICE  auto: /dev/mshv where it can be opened, else the simulator;
                   sim: the simulator; or the path of a device. Default ${defaults.device}
  --routes N       1 to 4095, each takes a descriptor. Default ${defaults.routes}
  --signals M      to each route, 1 to 1000000. Default ${defaults.signals}
  --mask-every K   every K-th interrupt of a route is made of ${maskedBurst} signals sent
                   while it is masked, 1 to 1000000; 0: none. Default ${defaults['mask-every']}
  --json           one JSON object with stable keys

Exit status: 0 all right, 1 mismatch or failure, 2 wrong usage.
`,
  run(args, { stdout, stderr }) {
    const {
      device: choice = defaults.device,
      routes = defaults.routes,
      signals = defaults.signals,
      'mask-every': maskEvery = defaults['mask-every'],
      json = false,
    } = parseOptions(args, {
      device: { type: 'string' },
      routes: { type: 'string' },
      signals: { type: 'string' },
      'mask-every': { type: 'string' },
      json: { type: 'boolean' },
    });
    const plan: IrqfdPlan = {
      routes: integerOption('routes', routes, 1, 4095),
      signals: integerOption('signals', signals, 1, 1_000_000),
      maskEvery: integerOption('mask-every', maskEvery, 0, 1_000_000),
    };

    const device = chooseDevice(choice);
    const progress = new ProgressLine(stderr, 'signals');
    let report: IrqfdReport;
    try {
      report = checkIrqfd(device, plan, (sent, of) => {
        progress.update(sent, of);
      });
    } finally {
      progress.end();
      device.close();
    }
    stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : screen(report, stdout));
    return report.ok ? 0 : 1;
  },
};

function screen(report: IrqfdReport, stream: OutputStream): string {
  const colour = report.ok ? 'green' : 'red';
  return `${describeReport(report)}\n\n${styleText(colour, verdictOf(report), { stream })}\n`;
}
