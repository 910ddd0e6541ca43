import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';

import { Table } from 'console-table-printer';

/** What a trial of trials.mjs comes to. */
type Outcome = 'works' | 'ERR_MSHV_ADDON' | 'ERR_MSHV_RUNTIME';

interface Runtime {
  /** What npm calls the package of the program itself, by `process.arch`. */
  readonly packages: Readonly<Partial<Record<string, string>>>;
  /** The program inside it. */
  readonly program: string;
  /** What comes before a file to run. */
  readonly words: readonly string[];
  readonly expected: (trial: string) => Outcome;
}

const watching: ReadonlySet<string> = new Set(['watch()', 'wait()']);

const runtimes = {
  bun: {
    packages: { x64: '@oven/bun-linux-x64', arm64: '@oven/bun-linux-aarch64' },
    program: 'bin/bun',
    words: [],
    expected: (trial) => (watching.has(trial) ? 'ERR_MSHV_RUNTIME' : 'works'),
  },
  deno: {
    packages: { x64: '@deno/linux-x64-glibc', arm64: '@deno/linux-arm64-glibc' },
    program: 'deno',
    words: ['run', '--allow-all'],
    expected: () => 'ERR_MSHV_ADDON',
  },
} as const satisfies Record<string, Runtime>;

export type OtherRuntime = keyof typeof runtimes;

export function isOtherRuntime(word: string): word is OtherRuntime {
  return Object.hasOwn(runtimes, word);
}

const trials = [
  ...['routes', 'run()', 'start()', 'run() in a Worker', 'memory', 'eventfds'],
  ...watching,
];

const trialSeconds = 30;

/** Tries another runtime, whose program comes from npm, with the built package. Returns how many trials were not as expected. */
export function tryRuntime(name: OtherRuntime): number {
  const { packages, program, words, expected }: Runtime = runtimes[name];
  const packed = packages[process.arch];
  if (packed === undefined) throw new Error(`${name} is not known for ${process.arch}`);
  const folder = resolve('build/versions', name);
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync(
    'npm',
    ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', packed],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) throw new Error(`npm has no ${packed}`);
  const file = resolve(folder, 'node_modules', packed, program);
  const [version = ''] = spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout.split('\n');
  console.log(`== ${name} ${version}`);
  const table = new Table();
  let unexpected = 0;
  for (const trial of trials) {
    const came = outcome(file, [...words, 'test/versions/trials.mjs', trial]);
    const wanted = expected(trial);
    if (came !== wanted) unexpected++;
    table.addRow({ trial, outcome: came, expected: wanted });
  }
  table.printTable();
  return unexpected;
}

function outcome(file: string, words: readonly string[]): string {
  const { status, signal, stdout } = spawnSync(file, words, {
    encoding: 'utf8',
    timeout: trialSeconds * 1000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const said = stdout.trim();
  return status === 0 ? said : `ended with ${signal ?? `status ${status}`}: ${said}`;
}
