import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it.each([
  [
    'test/fuzz',
    ['--seconds', '0'],
    "--seconds must be a whole number from 1 to 86400, received '0'",
  ],
  ['test/load', ['--scale', '101'], "--scale must be a whole number from 1 to 100, received '101'"],
  [
    'test/differential',
    ['--ops', '1e5'],
    "--ops must be a whole number from 1 to 4294967295, received '1e5'",
  ],
  ['test/load', ['--hours', '1'], "Unknown option '--hours'"],
  ['test/sanitizers', ['leak'], "there is no step 'leak', only seeded, address, thread, leaks"],
  ['bench', ['irq'], "there is no group 'irq', only signal, watch, gsi, routes, vp, synic"],
])('%s %j is refused', (folder, args, message) => {
  const program = ['--import', 'tsx', `${folder}/run.ts`];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...program, ...args], {
    cwd: new URL('../..', import.meta.url),
    encoding: 'utf8',
    // Node would warn of what vitest sets for colours.
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined },
  });
  expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: `${message}\n` });
});

it('prebuild says what toolchain is missing, and what has it', () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'packaging/prebuild.ts', 'linux-arm64-glibc'],
    {
      cwd: new URL('../..', import.meta.url),
      encoding: 'utf8',
      env: { ...process.env, PATH: '/nowhere', FORCE_COLOR: undefined, NO_COLOR: undefined },
    },
  );
  expect({ status, stdout, stderr }).toEqual({
    status: 2,
    stdout: '',
    stderr:
      'there is no aarch64-linux-gnu-g++, aarch64-linux-gnu-strip: ' +
      'apt-get install g++-aarch64-linux-gnu binutils-aarch64-linux-gnu\n',
  });
});
