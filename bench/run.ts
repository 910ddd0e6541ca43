import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';

import { readCommandLine, readNames } from '../test/read-command-line.js';
import { signalLines, watchLines } from './eventfd.js';
import { gsiLines } from './gsi.js';
import type { Line } from './line.js';
import { table } from './report.js';
import { routeLines } from './routes.js';
import { synicLines } from './synic.js';
import { vpLines } from './vp.js';

// Prints how the library compares with C and C++ programs that do the same, or with the least that
// JavaScript could do, as ratios measured in this run:
//
//   npm run bench [-- [--json] [GROUP...]]
//
// A GROUP is one of signal, watch, gsi, routes, vp, synic; all of them where none is named.
//
// Everything runs on one CPU: what it costs to wake another one would hide everything else.

const allowed = /^Cpus_allowed_list:.*?(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
const cpu = allowed?.[1] ?? '0';
execFileSync('taskset', ['-apc', cpu, `${process.pid}`], { stdio: 'ignore' });

const machine = {
  processor: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
  pinnedTo: `CPU ${cpu}`,
  kernel: release(),
  node: process.version,
  gcc: execFileSync('gcc', ['-dumpfullversion'], { encoding: 'utf8' }).trim(),
};
const groups = {
  signal: signalLines,
  watch: watchLines,
  gsi: gsiLines,
  routes: routeLines,
  vp: vpLines,
  synic: synicLines,
};
const named = readCommandLine((args) => {
  const words = args.filter((word) => word !== '--json');
  return readNames('group', Object.keys(groups), words);
});
const lines: Line[] = [];
for (const [name, measure] of Object.entries(groups)) {
  if (named.includes(name)) {
    lines.push(...(await measure()));
  }
}

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ machine, lines }, null, 2));
} else {
  console.log(`${machine.processor}, pinned to ${machine.pinnedTo}; Linux ${machine.kernel},`);
  console.log(`Node ${machine.node}, gcc ${machine.gcc}.`);
  console.log('Ratio: ours / baseline, the median of interleaved rounds.');
  console.log('Routes: 4000 on the simulated driver, where a new table costs no grace period.\n');
  console.log(table(lines));
}
