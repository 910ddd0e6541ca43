import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { boundedRun } from '../bounded-run.js';
import { copyProject, project, projectModules } from '../project-copy.js';

// Runs unit tests with addons to which the runtime refuses buffers over memory of others, as Electron does:
//
//   npm run test:no-external-buffers [-- FILTER...]
//
// In a copy of the project, whose addons are linked anew from the objects of the last build. Without a FILTER those
// run in which guest memory and the pages of VPs matter.

const usual = ['partition-calls', 'synic/', 'simulator-synic', 'memory-by-address', 'hypercall'];

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
const words = [
  join(projectModules, 'vitest/vitest.mjs'),
  ...['run', '--project', 'unit', ...(filters.length === 0 ? usual : filters)],
];
const problem = await boundedRun(process.execPath, words, {
  cwd: folder,
  env: { ...process.env, MSHV_TEST_NO_BUFFERS: '1' },
  seconds: 600,
});
if (problem !== undefined) {
  console.error(`the tests ${problem}`);
  process.exitCode = 1;
}
