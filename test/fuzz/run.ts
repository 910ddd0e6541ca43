import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { integerOption, parseOptions } from '../../lib/cli/command-line.js';
import { boundedRun } from '../bounded-run.js';
import { readCommandLine } from '../read-command-line.js';

// Tries random and mutated input on everything that decodes what others have written:
//
//   npm run fuzz [-- [--seconds N] [--seed S]]
//
// First the properties of test/unit/fuzz, then the libFuzzer programs of this folder on the addon and on the
// simulated driver: N seconds for each of them. The last lines say how many cases there were and how to have the
// same again. Where clang has no libFuzzer (Debian: clang and the libclang-rt-dev of its version), its programs
// are named as skipped.

const { seconds, seed } = readCommandLine((args) => {
  const values = parseOptions(args, {
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
  });
  return {
    seconds: integerOption('seconds', values.seconds, 1, 86_400),
    seed: integerOption('seed', values.seed, 0, 2 ** 31 - 1),
  };
});
const programs = ['addon', 'hypercalls'];
// For what is not the fuzzing itself: starting, and shrinking what was found.
const slack = 300;

interface Outcome {
  readonly name: string;
  readonly cases: number;
  /** Undefined where all is well. */
  readonly problem?: string;
}

async function runProperties(folder: string): Promise<Outcome[]> {
  const report = join(folder, 'properties');
  writeFileSync(report, '');
  // Files run beside each other, the properties of one after each other.
  const problem = await boundedRun(
    'npx',
    ['vitest', 'run', '--project', 'unit', '--testTimeout', '0', 'test/unit/fuzz/'],
    {
      seconds: 20 * seconds + slack,
      env: {
        ...process.env,
        MSHV_FUZZ_SECONDS: `${seconds}`,
        MSHV_TEST_SEED: `${seed}`,
        MSHV_FUZZ_REPORT: report,
      },
    },
  );
  const outcomes = readFileSync(report, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Outcome);
  return problem === undefined
    ? outcomes
    : [...outcomes, { name: 'the properties of test/unit/fuzz', cases: 0, problem }];
}

/** Whether clang makes libFuzzer programs here. */
function hasLibFuzzer(folder: string): boolean {
  const source = join(folder, 'probe.cc');
  writeFileSync(source, 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }\n');
  const flags = ['-fsanitize=fuzzer,address,undefined', source, '-o', join(folder, 'probe')];
  return spawnSync('clang++', flags, { stdio: 'ignore' }).status === 0;
}

async function runProgram(name: string, folder: string): Promise<Outcome> {
  const corpus = join(folder, name);
  mkdirSync(corpus);
  const log = join(folder, `${name}.log`);
  const found = `build/fuzz/${name}-found-`;
  const flags = [
    `-seed=${seed}`,
    `-max_total_time=${seconds}`,
    '-max_len=16384',
    '-len_control=0',
    // A case of minutes is one that hangs.
    '-timeout=20',
    '-print_final_stats=1',
    `-artifact_prefix=${found}`,
  ];
  const program = `build/fuzz/${name} ${flags.join(' ')} ${corpus}`;
  const problem = await boundedRun(
    'bash',
    ['-c', `set -o pipefail; ${program} 2>&1 | tee ${log} | grep -v -e '^#' -e '^\\s*NEW_FUNC'`],
    { seconds: seconds + slack },
  );
  const cases = /number_of_executed_units: (\d+)/.exec(readFileSync(log, 'utf8'))?.[1];
  const again = `the input is in ${found}*: build/fuzz/${name} FILE`;
  return {
    name: `libFuzzer ${name}`,
    cases: Number(cases ?? 0),
    ...(problem !== undefined && { problem: `${problem}; ${again}` }),
  };
}

async function runPrograms(folder: string): Promise<Outcome[]> {
  const makefile = ['-s', '-j2', '-f', 'test/fuzz/Makefile'];
  const problem = await boundedRun('make', makefile, { seconds: slack + 600 });
  if (problem !== undefined) return [{ name: 'make -f test/fuzz/Makefile', cases: 0, problem }];
  const outcomes: Outcome[] = [];
  for (const name of programs) outcomes.push(await runProgram(name, folder));
  return outcomes;
}

const folder = mkdtempSync(join(tmpdir(), 'mshv-fuzz-'));
try {
  const outcomes = await runProperties(folder);
  const skipped = hasLibFuzzer(folder) ? [] : programs;
  if (skipped.length === 0) {
    outcomes.push(...(await runPrograms(folder)));
  }
  console.log();
  for (const { name, cases, problem } of outcomes) {
    console.log(`${`${cases}`.padStart(10)} cases: ${name}${problem ? `: ${problem}` : ''}`);
  }
  for (const name of skipped) {
    console.log(`   skipped: libFuzzer ${name}: clang++ has no -fsanitize=fuzzer here`);
  }
  const failed = outcomes.filter(({ problem }) => problem !== undefined).length;
  const total = outcomes.reduce((sum, { cases }) => sum + cases, 0);
  console.log(`again with: npm run fuzz -- --seconds ${seconds} --seed ${seed}`);
  console.log(`${total} cases, ${failed} failed, ${skipped.length} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
