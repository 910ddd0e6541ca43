import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { boundedRun } from '../bounded-run.js';
import { copyProject, project, projectModules } from '../project-copy.js';
import { elsewhere, refusalOf, refused, type Refused } from './refused.js';

// Runs the unit tests with addons to which the runtime refuses buffers over memory of others, as Electron does:
//
//   npm run test:no-external-buffers [-- FILTER...]
//
// In a copy of the project, whose addons are linked anew from the objects of the last build. All tests have to pass but
// those of refused.ts, which have to fail. With a FILTER those that are run elsewhere are run too.

const folder = join(project, 'build/no-external-buffers');
const built = join(project, 'build/Release');
const addons = join(folder, 'build/Release');

copyProject(folder);
cpSync(join(project, 'dist'), join(folder, 'dist'), { recursive: true });
mkdirSync(addons, { recursive: true });
const refusal = join(addons, 'refusal.o');
const headers = join(process.execPath, '../../include/node');
const source = join(project, 'test/no-external-buffers/refusal.c');
execFileSync('gcc', ['-Wall', '-Werror', '-fPIC', '-I', headers, '-c', source, '-o', refusal]);
for (const addon of ['mshv', 'mshv_sim']) {
  const objects = ['mshv_shared', addon].flatMap((target) =>
    readdirSync(join(built, 'obj.target', target), { encoding: 'utf8', recursive: true })
      .filter((name) => name.endsWith('.o'))
      .map((name) => join(built, 'obj.target', target, name)),
  );
  execFileSync('g++', [
    ...['-shared', '-pthread', '-Wl,-z,nodelete', '-Wl,-z,now'],
    '-Wl,--wrap=napi_create_external_arraybuffer',
    ...objects,
    ...[refusal, '-o', join(addons, `${addon}.node`)],
  ]);
}

const filters = process.argv.slice(2);
const taken = (file: string): boolean =>
  filters.length === 0 || filters.some((filter) => `test/unit/${file}`.includes(filter));
const reports = mkdtempSync(join(tmpdir(), 'mshv-'));

function run(
  which: 'others' | 'refused',
  words: readonly string[],
  report = '',
): Promise<string | undefined> {
  const vitest = [join(projectModules, 'vitest/vitest.mjs'), 'run', '--project', 'unit'];
  const named = report === '' ? {} : { MSHV_TEST_REPORT: report };
  return boundedRun(process.execPath, [...vitest, ...words], {
    cwd: folder,
    env: { ...process.env, MSHV_TEST_NO_BUFFERS: which, ...named },
    seconds: 600,
    output: which === 'others' ? 'all' : 'none',
  });
}

/** The part of vitest's report that is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** What is wrong with tests that have to fail. */
async function unrefused(): Promise<string[]> {
  const files = [...new Set(refused.map(({ file }) => file).filter(taken))];
  if (files.length === 0) return [];
  const path = join(reports, 'refused.json');
  await run(
    'refused',
    files.map((file) => `test/unit/${file}`),
    path,
  );
  const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as Report;
  const problems: string[] = [];
  const failed = new Set<Refused>();
  for (const { name, assertionResults } of testResults) {
    const file = name.slice(name.lastIndexOf('test/unit/') + 'test/unit/'.length);
    for (const { ancestorTitles, title, status, failureMessages } of assertionResults) {
      const test = [...ancestorTitles, title].join(' > ');
      const refusal = refusalOf(file, test);
      if (refusal === undefined) continue;
      const told = failureMessages.some((message) => /ENOTSUP|-95\b/.test(message));
      if (status === 'passed') problems.push(`${file}: ${test}: passes without buffers`);
      if (status !== 'failed') continue;
      failed.add(refusal);
      if (refusal.by === 'ENOTSUP' && !told) {
        problems.push(`${file}: ${test}: ${failureMessages.join('\n')}`);
      }
    }
  }
  for (const one of refused) {
    if (taken(one.file) && !failed.has(one)) {
      problems.push(`${one.file}: no test of ${String(one.tests)} has failed`);
    }
  }
  console.log(`${failed.size} kinds of test are refused, as they have to be`);
  return problems;
}

const excluded = elsewhere.flatMap(({ file }) => ['--exclude', `test/unit/${file}`]);
try {
  const problem = await run('others', [...(filters.length === 0 ? excluded : []), ...filters]);
  if (problem !== undefined) console.error(`the tests ${problem}`);
  const problems = await unrefused();
  for (const one of problems) console.error(one);
  if (problem !== undefined || problems.length > 0) process.exitCode = 1;
} finally {
  rmSync(reports, { recursive: true });
}
