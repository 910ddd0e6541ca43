import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { UsageError } from '../../lib/cli/command-line.js';
import { boundedRun } from '../bounded-run.js';
import { copyProject, project } from '../project-copy.js';
import { readCommandLine } from '../read-command-line.js';
import { nodeOf } from '../versions/node-of.js';
import { bounded } from './bounded.js';

// Runs the tests by Node.js for arm64 under qemu-user, with addons of the cross compiler:
//
//   npm run test:arm64 [-- bounded | FILTER...]
//
// All unit and conformance tests that need no compiler, those of bounded.ts, or those whose files have a FILTER in their names; `mshv irqfd`
// first. In a copy of the project, build/arm64, whose packages are those of arm64. The simulator is of x64 there too, unless a test asks for
// arm64. It needs what packaging/prebuild.ts needs for arm64, and qemu-user-static.

const folder = join(project, 'build/arm64');
const modules = join(folder, 'build/modules');
const platform = 'linux-arm64-glibc';
const sysroot = '/usr/aarch64-linux-gnu';
const slowness = 10;

const plan = readCommandLine((words): Record<string, readonly string[]> => {
  if (process.arch === 'arm64') throw new UsageError('this machine runs arm64 itself: npm test');
  if (words.includes('bounded')) {
    if (words.length > 1) throw new UsageError("'bounded' takes no filters");
    return { unit: bounded };
  }
  return { unit: words, conformance: words };
});

function qemu(): string {
  const { error, stdout } = spawnSync('sh', ['-c', 'command -v qemu-aarch64-static'], {
    encoding: 'utf8',
  });
  const found = error === undefined ? stdout.trim() : '';
  if (found === '') {
    console.error('there is no qemu-aarch64-static: apt-get install qemu-user-static');
    process.exit(2);
  }
  return found;
}

/** The packages of the tests, for arm64: vitest's have programs of their own. Anew where the lock file has changed. */
function installModules(): void {
  const lock = readFileSync(join(project, 'package-lock.json'), 'utf8');
  const stamp = join(modules, 'installed-lock.json');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  mkdirSync(modules, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) {
    cpSync(join(project, name), join(modules, name));
  }
  execFileSync(
    'npm',
    [
      'ci',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--cpu=arm64',
      '--os=linux',
      '--libc=glibc',
    ],
    { cwd: modules, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  writeFileSync(stamp, lock);
}

const emulator = qemu();
execFileSync(process.execPath, ['--import', 'tsx', 'packaging/prebuild.ts', platform], {
  cwd: project,
  stdio: 'inherit',
});
const node = nodeOf(String(process.versions.node.split('.')[0]), 'arm64');
installModules();
copyProject(folder);
rmSync(join(folder, 'node_modules'));
symlinkSync(join(modules, 'node_modules'), join(folder, 'node_modules'));
cpSync(join(project, 'dist'), join(folder, 'dist'), { recursive: true });
cpSync(join(project, 'prebuilds', platform), join(folder, 'build/Release'), { recursive: true });

const signals = join(folder, 'build/missing-signals.so');
execFileSync('aarch64-linux-gnu-gcc', [
  ...['-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', signals],
  join(project, 'test/arm64/missing-signals.c'),
]);

const environment = {
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${process.env['PATH'] ?? ''}`,
  QEMU_LD_PREFIX: sysroot,
  QEMU_SET_ENV: `LD_PRELOAD=${signals}`,
  MSHV_TEST_SLOWNESS: String(slowness),
};

/** Runs arm64 Node.js. */
function run(words: readonly string[], seconds: number, report = ''): Promise<string | undefined> {
  const within = join(folder, 'test/arm64/within-binfmt.sh');
  return boundedRun(within, [emulator, node, ...words], {
    cwd: folder,
    env: report === '' ? environment : { ...environment, MSHV_TEST_REPORT: report },
    seconds,
    output: 'all',
  });
}

const isArm64 = "process.exit(process.arch === 'arm64' ? 0 : 1)";
if ((await run(['-e', isArm64], 60)) !== undefined) {
  console.error(
    'arm64 programs cannot be run here: a user namespace with a binfmt_misc of its own is needed (Linux 6.7 or later, and a container ' +
      'that allows unshare and mount: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)',
  );
  process.exit(2);
}
const problems: (string | undefined)[] = [
  await run(['dist/cli/main.js', '--version'], 60),
  await run(['dist/cli/main.js', 'irqfd', '--device', 'sim', '--routes', '64'], 300),
];
const report = process.env['MSHV_TEST_REPORT'];
for (const [suite, files] of Object.entries(plan)) {
  const vitest = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--passWithNoTests',
    '--project',
    suite,
    ...files,
  ];
  const named = report === undefined ? '' : report.replace(/\.json$/, `-${suite}.json`);
  problems.push(await run(vitest, 7200, named));
}
for (const problem of problems) {
  if (problem !== undefined) {
    console.error(`it ${problem}`);
    process.exitCode = 1;
  }
}
