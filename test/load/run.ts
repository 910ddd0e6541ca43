import { setImmediate } from 'node:timers/promises';

import { integerOption, parseOptions } from '../../lib/cli/command-line.js';
import bundlePrograms from '../bundle-programs.js';
import { openGuestSide } from '../guest-side.js';
import { insideLab } from '../inside-lab.js';
import { readCommandLine } from '../read-command-line.js';
import { Crowd, largestCrowd, type CrowdSize } from './crowd.js';
import { costOf, footprint, type Cost, type Footprint } from './footprint.js';
import { runSignals, type SignalRun } from './signals.js';
import { stormFromAThread, stormOfMany, type StormReport } from './storm.js';

// Has as many partitions, VPs, routes, doorbells and ports in one process as there can be, and lets them work:
//
//   npm run load [-- [--minutes N] [--scale PERCENT] [--seconds N]]
//
// N minutes' worth of signals (a thousand in a second, an hour of them unless told) are sent as fast as they can be, for
// --seconds N at most (90); all of them, whatever PERCENT of the crowd there is (100). On the simulated driver, or inside
// the lab on the real one, where a minute's worth is the default:
//
//   npm run lab -- --timeout 900 node build/programs/test/load/run.js
//
// Says what each thing costs, and at last which promises were kept. Costs are of this process: what the kernel and the
// hypervisor have of them does not count, and the simulated driver does.

const { minutes, scale, seconds } = readCommandLine((args) => {
  const values = parseOptions(args, {
    minutes: { type: 'string', default: insideLab ? '1' : '60' },
    scale: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '90' },
  });
  return {
    minutes: integerOption('minutes', values.minutes, 1, 1440),
    scale: integerOption('scale', values.scale, 1, 100),
    seconds: integerOption('seconds', values.seconds, 1, 86_400),
  };
});
await bundlePrograms();
const guest = await openGuestSide();
const signalsInAMinute = 60_000;
/** How much more there may be after the signals than early in them, in bytes. */
const flat = { heap: 2 ** 20, external: 2 ** 18, resident: 16 * 2 ** 20 };

const broken: string[] = [];
let promises = 0;

function promise(text: string, kept: boolean): void {
  promises++;
  if (!kept) broken.push(text);
  console.log(`${kept ? 'kept  ' : 'BROKEN'} ${text}`);
}

function crowdOf(percent: number): CrowdSize {
  const part = (what: keyof CrowdSize): number => Math.ceil((largestCrowd[what] * percent) / 100);
  return {
    partitions: part('partitions'),
    vps: part('vps'),
    routes: part('routes'),
    doorbells: part('doorbells'),
    ports: part('ports'),
  };
}

const number = (value: number): string => Math.round(value).toLocaleString('en').padStart(10);
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function costLine({ what, count, heap, external, resident, descriptors }: Cost): string {
  const bytes = [heap, external, resident].map(number).join('');
  return `${what.padEnd(30)}${number(count)}${bytes}${descriptors.toFixed(1).padStart(6)}`;
}

function stormLines(report: StormReport): void {
  const { what, turns, signals, heard, calls, timers, delay, rounds, longestRound } = report;
  console.log(`${what}:`);
  console.log(`  ${signals} signals, ${calls} calls in ${turns} turns of the event loop,`);
  console.log(`  ${(signals / calls).toFixed(1)} signals a call; ${timers} timers;`);
  console.log(`  loop delay p99 ${delay.p99.toFixed(1)} ms, max ${delay.max.toFixed(1)} ms`);
  promise(`  all signals were heard of: ${heard} of ${signals}`, heard === signals);
  promise(
    `  200 others were heard within 3 turns in each of ${rounds} rounds: ${longestRound}`,
    longestRound <= 3,
  );
}

function flatLine(what: keyof typeof flat, early: Footprint, late: Footprint): void {
  const growth = late[what] - early[what];
  promise(
    `${what} is flat: ${mib(early[what])}, then ${mib(late[what])} (${mib(flat[what])} more at most)`,
    growth <= flat[what],
  );
}

function signalLines(run: SignalRun, wanted: number): void {
  const { signals, interrupts, wrong, rings, heard, early, late } = run;
  const share = signals < wanted ? ` of ${wanted}` : '';
  console.log(`${signals}${share} signals in ${run.seconds.toFixed(1)} s, which are`);
  console.log(`${(signals / signalsInAMinute).toFixed(1)} minutes of a thousand in a second:`);
  promise(`${interrupts} interrupts came, each as routed and in order`, interrupts === signals);
  promise(`${wrong} interrupts were wrong`, wrong === 0);
  promise(`${rings} doorbell rings, ${heard} heard`, heard === BigInt(rings));
  for (const what of ['heap', 'external', 'resident'] as const) flatLine(what, early, late);
  promise('as many descriptors and threads as early in the run', sameNumbers(early, late));
}

function sameNumbers(one: Footprint, other: Footprint): boolean {
  return one.descriptors === other.descriptors && one.threads === other.threads;
}

interface LoadReport {
  readonly costs: Cost[];
  readonly storms: StormReport[];
  readonly run: SignalRun;
}

/** All of it once, from nothing to nothing. */
async function load(percent: number, signals: number): Promise<LoadReport> {
  const size = crowdOf(percent);
  const crowd = new Crowd(guest);
  const costs = [
    await costOf('partition', size.partitions, (count) => {
      crowd.addPartitions(count);
    }),
    await costOf('VP that has run', size.vps, (count) => {
      crowd.addVps(count);
    }),
    await costOf('route', size.routes, (count) => {
      crowd.addRoutes(count);
    }),
    await costOf('doorbell with a listener', size.doorbells, (count) => {
      crowd.addDoorbells(count);
    }),
    await costOf('port, to host and to guest', size.ports, (count) => {
      crowd.addPorts(count);
    }),
  ];
  await crowd.startVps();
  const run = await runSignals(guest, crowd, signals, seconds);
  const storms = [await stormFromAThread(guest), await stormOfMany(guest, 15 * percent)];
  await crowd.stopVps();
  crowd.close();
  return { costs, storms, run };
}

async function main(): Promise<void> {
  // Threads and descriptors that the runtime and the simulator make once and keep.
  await load(2, 1000);
  const before = await footprint();
  const signals = minutes * signalsInAMinute;
  const { costs, storms, run } = await load(scale, signals);
  await setImmediate();
  const after = await footprint();
  const columns = ['count', 'heap', 'external', 'resident']
    .map((name) => name.padStart(10))
    .join('');
  console.log(
    `Bytes for each, of this process, on the ${insideLab ? 'real driver' : 'simulator'}:`,
  );
  console.log(`${''.padEnd(30)}${columns}${'fds'.padStart(6)}`);
  for (const cost of costs) console.log(costLine(cost));
  for (const storm of storms) stormLines(storm);
  signalLines(run, signals);
  for (const what of ['descriptors', 'threads'] as const) {
    promise(
      `${after[what]} ${what} in the end, ${before[what]} before`,
      after[what] === before[what],
    );
  }
  const left = guest.leftovers();
  promise(`nothing is left in the driver: ${left.join('; ') || 'nothing'}`, left.length === 0);
}

await main();
guest[Symbol.dispose]();
console.log(`load: ${promises - broken.length} of ${promises} promises kept`);
process.exitCode = broken.length === 0 ? 0 : 1;
