import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { emulated } from './emulated.js';
import { slowness } from './slowness.js';
import { typescriptProgram } from './typescript-program.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each program of examples/ prints after the line that says what it runs on. */
export const exampleOutput = {
  'port-io': ['Hello from the guest', '41 + 1 = 42'],
  doorbell: ['a write that rings nothing exits: GPA 0xd0000008', 'rung 5 times without an exit'],
  'worker-vp': [
    'the guest has counted to 1000 and more while this thread was free',
    'the run in the Worker: canceled',
  ],
  'vmbus-hello': [
    'the guest asks for version 5.3, by SINT 2 of VP 0',
    'it finds in its slot: not supported',
    'the guest asks for version 5.2, by SINT 2 of VP 0',
    'it finds in its slot: supported',
    'from now on it posts to connection 4',
  ],
} as const;

/** Runs one, as the README has it but for more flags of Node, and returns the lines that it printed. */
export function runExample(
  name: keyof typeof exampleOutput,
  flags: readonly string[] = [],
): string[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    // On an emulated processor tsx takes ten seconds to load.
    [
      ...flags,
      ...(emulated
        ? [typescriptProgram(new URL(`../examples/${name}.ts`, import.meta.url))]
        : ['--import', 'tsx', `examples/${name}.ts`]),
    ],
    { cwd: root, encoding: 'utf8', timeout: 100_000 * slowness, killSignal: 'SIGKILL' },
  );
  if (status !== 0) {
    throw new Error(`examples/${name}.ts ended with ${String(status)}: ${stdout}${stderr}`);
  }
  return stdout.trimEnd().split('\n');
}
