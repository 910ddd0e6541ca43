import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import { Table } from 'console-table-printer';

import { boundedRun } from '../bounded-run.js';
import { nodeOf } from './node-of.js';
import { isOtherRuntime, tryRuntime } from './other-runtimes.js';

// Runs the tests, with the addon as it is built, on other release lines of Node.js, whose binaries come from npm:
//
//   npm run versions [-- LINE... [FILTER...]]
//
// A LINE is a major version; without any they are those that are maintained, and 20. 'hardened' is this Node where it makes
// no code of strings (with frozen intrinsics vitest does not start: test/unit/examples.test.ts has those). 'bun' and 'deno' are
// other runtimes: trials.mjs holds them against docs/support.md, with the package as it is built. A FILTER is the beginning of a
// path below test. The tables of docs/support.md are from here. The last line has the figures; the status is 0 where nothing
// has failed.

const maintained = ['20', '22', '24', '26', 'hardened'];
const hardening = '--disallow-code-generation-from-strings';
const suiteSeconds = 1200;

/** The part of vitest's report that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

interface Result {
  readonly line: string;
  readonly version: string;
  readonly nodeApi: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What went wrong beside failed tests. */
  readonly problem: string;
}

async function run(line: string, filters: readonly string[], folder: string): Promise<Result> {
  const node = line === 'hardened' ? process.execPath : nodeOf(line);
  const versions = ['-p', 'process.version + " " + process.versions.napi'];
  const [version = '', nodeApi = ''] = spawnSync(node, versions, { encoding: 'utf8' })
    .stdout.trim()
    .split(' ');
  const report = join(folder, `${line}.json`);
  const flags = line === 'hardened' ? { MSHV_TEST_NODE_FLAGS: hardening } : {};
  console.log(`== ${line}: Node ${version}`);
  const problem = await boundedRun(
    node,
    [
      ...['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', '--project', 'conformance'],
      ...filters,
    ],
    {
      // What starts a program by its name gets this one, too.
      env: {
        ...process.env,
        PATH: [dirname(node), process.env['PATH']].join(delimiter),
        MSHV_TEST_REPORT: report,
        ...flags,
      },
      seconds: suiteSeconds,
    },
  );
  const what = { line, version, nodeApi };
  try {
    const tests = JSON.parse(readFileSync(report, 'utf8')) as Report;
    const failed = tests.numFailedTests;
    return {
      ...what,
      passed: tests.numPassedTests,
      failed,
      skipped: tests.numPendingTests,
      problem: problem !== undefined && failed === 0 ? problem : '',
    };
  } catch {
    const ending = problem ?? 'ended with status 0';
    return { ...what, passed: 0, failed: 0, skipped: 0, problem: `no report: ${ending}` };
  }
}

const words = process.argv.slice(2);
const others = words.filter(isOtherRuntime);
const isLine = (word: string): boolean => /^\d+$/.test(word) || word === 'hardened';
const named = words.filter(isLine);
const filters = words
  .filter((word) => !isLine(word) && !isOtherRuntime(word))
  .map((word) => join('test', word));
const lines = named.length > 0 || others.length > 0 ? named : maintained;
const unexpected = others.reduce((total, name) => total + tryRuntime(name), 0);
const folder = mkdtempSync(join(tmpdir(), 'mshv-versions-'));
try {
  const results: Result[] = [];
  for (const line of lines) {
    results.push(await run(line, filters, folder));
  }
  const table = new Table();
  for (const { line, version, nodeApi, passed, failed, skipped, problem } of results) {
    table.addRow({ line, version, 'Node-API': nodeApi, passed, failed, skipped, problem });
  }
  if (results.length > 0) table.printTable();
  const sum = (key: 'passed' | 'failed'): number =>
    results.reduce((total, result) => total + result[key], 0);
  const broken = results.filter(({ failed, problem }) => failed > 0 || problem !== '').length;
  if (results.length > 0) {
    console.log(
      `${results.length} runs, ${broken} not good: ${sum('passed')} tests passed, ${sum('failed')} failed`,
    );
  }
  if (others.length > 0) console.log(`${unexpected} trials not as expected`);
  process.exitCode = broken + unexpected === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
