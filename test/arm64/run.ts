import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { UsageError } from '../../lib/cli/command-line.js';
import { boundedRun } from '../bounded-run.js';
import { bundleInto } from '../bundle-programs.js';
import { copyProject, project } from '../project-copy.js';
import { readCommandLine } from '../read-command-line.js';
import { nodeOf } from '../versions/node-of.js';
import { bounded } from './bounded.js';

// Runs the tests by Node.js for arm64 under qemu-user, with addons of the cross compiler:
//
//   npm run test:arm64 [-- bounded | FILTER...]
//
// `mshv info` and `mshv irqfd` first, then all unit and conformance tests, those of bounded.ts, or those whose files have a FILTER in their
// names. In a copy of the project, build/arm64. Vitest itself, esbuild and what else is no test run as they are on this machine: emulated,
// they would take longer than the tests. The simulator is of x64 there too, unless a test asks for arm64. It needs what packaging/prebuild.ts
// needs for arm64, and qemu-user-static. It ends with 125 where this machine, or the container, gives nobody a binfmt_misc of its own.

const folder = join(project, 'build/arm64');
const platform = 'linux-arm64-glibc';
const sysroot = '/usr/aarch64-linux-gnu';
const slowness = 10;
const withinBinfmt = join(project, 'test/arm64/within-binfmt.sh');

/** Vite's mocks are not for modules that are bundled. */
const mocking = ['test/unit/fuzz/command-line.test.ts'];

const filters = readCommandLine((words): readonly string[] => {
  if (process.arch === 'arm64') throw new UsageError('this machine runs arm64 itself: npm test');
  if (words.includes('bounded') && words.length > 1) {
    throw new UsageError("'bounded' takes no filters");
  }
  return words;
});
const isBounded = filters[0] === 'bounded';
const tests = isBounded ? bounded : testsOf(filters);

function testsOf(filters: readonly string[]): string[] {
  return ['test/unit', 'test/conformance'].flatMap((suite) =>
    readdirSync(join(project, suite), { encoding: 'utf8', recursive: true })
      .map((name) => `${suite}/${name}`)
      .filter((name) => name.endsWith('.test.ts') && !mocking.includes(name))
      .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
      .sort(),
  );
}

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

const emulator = qemu();
if (
  spawnSync(withinBinfmt, [emulator, 'true'], { stdio: ['ignore', 'ignore', 'inherit'] }).status !==
  0
) {
  console.error(
    'arm64 programs cannot be run here: a user namespace with a binfmt_misc of its own is needed (Linux 6.7 or later, and a container ' +
      'that allows unshare and mount: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)',
  );
  process.exit(125);
}
execFileSync(process.execPath, ['--import', 'tsx', 'packaging/prebuild.ts', platform], {
  cwd: project,
  stdio: 'inherit',
});
const node = nodeOf(String(process.versions.node.split('.')[0]), 'arm64');
copyProject(folder);
execFileSync(
  process.execPath,
  [join(project, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
  { cwd: folder, stdio: 'inherit' },
);
cpSync(join(project, 'prebuilds', platform), join(folder, 'build/Release'), { recursive: true });
rmSync(join(folder, 'build/programs'), { recursive: true, force: true });
await bundleInto(folder, tests);

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
  MSHV_TEST_NODE: node,
};

/** Runs a program where those of arm64 can be run. */
function run(words: readonly string[], seconds: number): Promise<string | undefined> {
  return boundedRun(withinBinfmt, [emulator, ...words], { cwd: folder, env: environment, seconds });
}

const cli = [node, 'dist/cli/main.js'];
const irqfd = ['irqfd', '--device', 'sim', '--routes', '64'];
const noDevice = 'ended with status 1';
const info = await run([...cli, 'info'], 60);
const problems = [
  info === noDevice ? undefined : info,
  await run([...cli, ...irqfd, '--architecture', 'x64'], 300),
  await run([...cli, ...irqfd, '--architecture', 'arm64'], 300),
  await run(
    [
      process.execPath,
      join(project, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...['--project', 'unit', '--project', 'conformance'],
      // To start a process and load the library takes longer than most files' tests.
      ...(isBounded ? ['--no-isolate', '--no-file-parallelism'] : []),
      ...tests.map((name) => `build/programs/${name.replace(/\.ts$/, '.js')}`),
    ],
    7200,
  ),
];
for (const problem of problems) {
  if (problem !== undefined) {
    console.error(`it ${problem}`);
    process.exitCode = 1;
  }
}
