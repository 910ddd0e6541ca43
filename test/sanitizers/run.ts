import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readCommandLine, readNames } from '../read-command-line.js';
import { type Outcome, SanitizedCopy, type Work } from './sanitized-copy.js';
import { addressSanitizer, threadSanitizer } from './sanitizer.js';

// Builds both addons with AddressSanitizer and UndefinedBehaviorSanitizer, and with ThreadSanitizer, in copies of
// the project below build/sanitized, and has them looked at:
//
//   npm run sanitize [-- STEP...]
//
//   seeded   each of the bugs in seeded-bug.cc is compiled in, and has to be reported
//   address  the unit tests and the conformance suite with the first build
//   thread   the same with the second one
//   leaks    leak-soak.ts with the first build, and LeakSanitizer at its end
//
// All of them where none is named. The last line has the figures; the status is 0 where every seeded bug was
// reported and nothing else, and no test has failed. Together they take half an hour, and three hours at most.

const suiteSeconds = 3600;
const soakSeconds = 420;
const seededSeconds = 90;
const soakRounds = 400;

interface Result {
  readonly figure: string;
  readonly good: boolean;
}

const address = new SanitizedCopy(addressSanitizer);
const thread = new SanitizedCopy(threadSanitizer);

const vitest = ['node_modules/vitest/vitest.mjs', 'run'];

/** As the suites are run. */
const oneFile: Work = {
  words: [...vitest, '--project', 'unit', 'addon-memory'],
  seconds: seededSeconds,
};

const load: Work = {
  words: ['--eval', "require('./build/Release/mshv.node')"],
  seconds: seededSeconds,
};

function soak(rounds: number, seconds: number): Work {
  return {
    words: ['--import', 'tsx', 'test/sanitizers/leak-soak.ts', `${rounds}`],
    seconds,
    // What allocates for us, such as libstdc++ and Node, has no frame pointers by which to find us. Node leaks,
    // too, so the status tells nothing.
    options: { detect_leaks: 1, fast_unwind_on_malloc: 0, exitcode: 0 },
  };
}

/** The bugs of seeded-bug.cc, what finds them, and what it says. */
const seeds = [
  { bug: 'HeapOverflow', copy: address, work: oneFile, says: 'heap-buffer-overflow' },
  { bug: 'UseAfterFree', copy: address, work: load, says: 'heap-use-after-free' },
  { bug: 'SignedOverflow', copy: address, work: load, says: 'signed integer overflow' },
  { bug: 'MisalignedLoad', copy: address, work: load, says: 'misaligned address' },
  { bug: 'Leak', copy: address, work: soak(1, seededSeconds), says: 'leak of 48 byte(s)' },
  { bug: 'DataRace', copy: thread, work: oneFile, says: 'data race' },
];

async function checkSeeds(): Promise<Result> {
  let caught = 0;
  for (const { bug, copy, work, says } of seeds) {
    const { reports } = await copy.run({ ...work, bug, output: 'none' });
    const found = reports.find(
      ({ ours, text }) => ours && text.includes(says) && text.includes(bug),
    );
    console.log(`${bug}: ${found?.title ?? `not among ${reports.length} reports`}`);
    if (found !== undefined) caught++;
  }
  // A process that has lost the sanitizer on its way cannot pass for one that has nothing to report.
  let refused = 0;
  for (const copy of [address, thread]) {
    const { succeeded } = await copy.run({ ...load, watched: false, output: 'none' });
    console.log(`${copy.sanitizer.name} without its library: ${succeeded ? 'loaded' : 'refused'}`);
    if (!succeeded) refused++;
  }
  return {
    figure: `${caught} of ${seeds.length} seeded bugs reported, ${refused} of 2 addons refused without their library`,
    good: caught === seeds.length && refused === 2,
  };
}

/** Prints what counts, and says how much that is. */
function judge({ succeeded, reports }: Outcome): Result {
  const ours = reports.filter((report) => report.ours);
  for (const { text } of ours) {
    console.log(text);
  }
  const others = reports.length - ours.length;
  return {
    figure: `${ours.length} reports${others === 0 ? '' : ` (${others} on Node alone)`}`,
    good: succeeded && ours.length === 0,
  };
}

/** The counts in vitest's report. */
interface TestCounts {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

async function runTests(copy: SanitizedCopy): Promise<Result> {
  // As with `npm test`, but for test/device, which needs /dev/mshv, and for refused system calls: the sanitizer makes
  // the same ones for itself.
  const refusals = 'test/unit/limits-and-filters.test.ts';
  const words = [...vitest, '--project', 'unit', '--project', 'conformance', '--exclude', refusals];
  const folder = mkdtempSync(join(tmpdir(), 'mshv-sanitize-'));
  try {
    const report = join(folder, 'tests.json');
    const variables = { MSHV_TEST_REPORT: report };
    const { figure, good } = judge(await copy.run({ words, seconds: suiteSeconds, variables }));
    const tests = JSON.parse(readFileSync(report, 'utf8')) as TestCounts;
    const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = tests;
    return {
      figure: `${passed} tests passed, ${failed} failed, ${skipped} skipped, ${figure}`,
      good,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function checkLeaks(): Promise<Result> {
  const { figure, good } = judge(await address.run(soak(soakRounds, soakSeconds)));
  return { figure: `${soakRounds} rounds, ${figure}`, good };
}

const steps = new Map<string, () => Promise<Result>>([
  ['seeded', checkSeeds],
  ['address', () => runTests(address)],
  ['thread', () => runTests(thread)],
  ['leaks', checkLeaks],
]);

const named = readCommandLine((args) => readNames('step', [...steps.keys()], args));
const figures: string[] = [];
for (const [name, step] of steps) {
  if (!named.includes(name)) continue;
  console.log(`== ${name}`);
  const begun = performance.now();
  const { figure, good } = await step().catch((error: unknown) => {
    console.error(error);
    return { figure: 'broke off', good: false };
  });
  const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
  figures.push(`${name}: ${figure}, ${minutes} min`);
  if (!good) process.exitCode = 1;
}
console.log(figures.join('; '));
