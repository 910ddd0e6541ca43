import { integerOption, parseOptions } from '../../lib/cli/command-line.js';
import { readCommandLine } from '../read-command-line.js';
import { Differential } from './differential.js';
import { LabMachine, simulatedLab } from './machine.js';

// The part of lab/differential.sh that runs in the VM: the driver and the simulator side by side.

const largest = 2 ** 32 - 1;
const { ops, seed, only, most } = readCommandLine((args) => {
  const { sequence, ...values } = parseOptions(args, {
    ops: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '20261121' },
    sequence: { type: 'string' },
    differences: { type: 'string', default: '1' },
  });
  return {
    ops: integerOption('ops', values.ops, 1, largest),
    seed: integerOption('seed', values.seed, 0, largest),
    only: sequence === undefined ? undefined : integerOption('sequence', sequence, 0, largest),
    most: integerOption('differences', values.differences, 1, largest),
  };
});
/** Steps of one sequence: long enough that making the partitions takes little of the time. */
const length = 400;
const secondsBetweenLines = 15;

// Many calls are refused, and nobody looks where from.
Error.stackTraceLimit = 0;

using lab = new LabMachine();
using simulator = simulatedLab();
using differential = new Differential(lab, simulator);
const { figures } = differential;

const started = performance.now();
const seconds = (): number => Math.round((performance.now() - started) / 1000);
let lines = 0;
let differences = 0;
let seenOnce = 0;
for (let sequence = only ?? 0; differences < most && figures.operations < ops; sequence++) {
  const found = differential.run(seed, sequence, length);
  if (found !== undefined) {
    if (found.comesAgain) differences++;
    else seenOnce++;
    console.log(
      found.comesAgain
        ? `sequence ${sequence} differs; of its ${found.steps} steps ${found.shrunk} are enough:`
        : `sequence ${sequence} differed once, and not when its ${found.steps} steps were made again:`,
    );
    console.log(found.report.join('\n'));
    console.log(`the same again: npm run differential -- --seed ${seed} --sequence ${sequence}`);
  }
  if (only !== undefined) break;
  if (seconds() >= (lines + 1) * secondsBetweenLines) {
    lines = Math.floor(seconds() / secondsBetweenLines);
    console.log(`${figures.operations} operations after ${seconds()} s`);
  }
}
if (process.env['MSHV_DIFFERENTIAL_COUNTS'] !== undefined) {
  console.log([...figures.byName].map(([name, count]) => `${name} ${count}`).join(', '));
}
if (differences + seenOnce > 0) process.exitCode = 1;
const share = Math.round((1000 * figures.failed) / Math.max(1, figures.operations)) / 10;
console.log(
  `${figures.operations} operations (${figures.byName.size} distinct) in ${figures.sequences} sequences, ` +
    `${share} % of them refused, ${differences} differences, ${seenOnce} seen once, ` +
    `${seconds()} s, seed ${seed}`,
);
