import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { shellEnvironment } from '../shell.js';

// Which images lab/run.sh boots. The project is a folder with the lab's scripts and sources, and QEMU a script that says
// what a VM says whose command has succeeded.

const lab = fileURLToPath(new URL('../../lab', import.meta.url));
let project: string;
let image: string;

const qemu = `#!/bin/sh
while [ "$1" != -serial ]; do shift; done
echo 'VM-RESULT rc=0' > "\${2#file:}"
`;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'mshv-lab-'));
  image = join(project, 'lab/image');
  for (const name of ['build.sh', 'run.sh', 'initramfs', 'kernel']) {
    cpSync(join(lab, name), join(project, 'lab', name), { recursive: true });
  }
  mkdirSync(join(project, 'bin'));
  writeFileSync(join(project, 'bin/qemu-system-x86_64'), qemu, { mode: 0o755 });
  mkdirSync(image);
  for (const name of ['bzImage', 'initramfs.gz']) {
    writeFileSync(join(image, name), '');
  }
  writeFileSync(join(image, 'sources.sha256'), run('lab/build.sh', ['--sources']).stdout);
});

afterEach(() => {
  rmSync(project, { recursive: true });
});

function run(
  script: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(join(project, script), args, {
    encoding: 'utf8',
    env: {
      ...shellEnvironment,
      PATH: `${join(project, 'bin')}:${process.env['PATH'] ?? ''}`,
      MSHV_LAB_IMAGE: undefined,
      ...env,
    },
  });
  return { status, stdout, stderr };
}

const boot = (args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): ReturnType<typeof run> =>
  run('lab/run.sh', ['smoke', ...args], env);

const refused = (text: string): ReturnType<typeof run> => ({
  status: 2,
  stdout: '',
  stderr:
    `lab: the image ${image} ${text}\n` +
    'Build it with `npm run lab:build`, name another in MSHV_LAB_IMAGE, or take it as it is with --other-sources.\n',
});

describe('lab/run.sh', () => {
  it('boots an image that was made of the present sources', () => {
    expect(boot()).toMatchObject({ status: 0, stdout: 'VM-RESULT rc=0\n' });
  });

  it.each(['lab/build.sh', 'lab/kernel/fakehv.c', 'lab/initramfs/init.c'])(
    'refuses an image after a change of %s',
    (name) => {
      appendFileSync(join(project, name), '\n');
      expect(boot()).toEqual(refused(`was made of other sources: ${name}`));
      expect(boot(['--other-sources'])).toMatchObject({ status: 0 });
    },
  );

  it('refuses an image without a file that has been added, or with one that has gone', () => {
    writeFileSync(join(project, 'lab/kernel/added.c'), '');
    rmSync(join(project, 'lab/kernel/debug.config'));
    expect(boot()).toEqual(
      refused('was made of other sources: lab/kernel/added.c lab/kernel/debug.config'),
    );
  });

  it('refuses an image that does not say what it was made of', () => {
    rmSync(join(image, 'sources.sha256'));
    expect(boot()).toEqual(refused('does not say what it was made of (sources.sha256)'));
    expect(boot(['--other-sources'])).toMatchObject({ status: 0 });
  });

  it('looks at the image that MSHV_LAB_IMAGE names', () => {
    const elsewhere = join(project, 'elsewhere');
    renameSync(image, elsewhere);
    expect(boot([], { MSHV_LAB_IMAGE: elsewhere })).toMatchObject({ status: 0 });
    appendFileSync(join(elsewhere, 'sources.sha256'), '\n');
    expect(boot([], { MSHV_LAB_IMAGE: elsewhere })).toMatchObject({ status: 2, stdout: '' });
  });

  it('says how the debug image is built', () => {
    const debug = join(project, 'lab/build/image-debug');
    cpSync(image, debug, { recursive: true });
    rmSync(join(debug, 'sources.sha256'));
    const { status, stderr } = boot([], { MSHV_LAB_IMAGE: debug });
    expect(status).toBe(2);
    expect(stderr).toContain('`npm run lab:build -- --debug`');
  });
});

it('names sources in one order, whatever the locale', () => {
  const { stdout } = run('lab/build.sh', ['--sources'], { LC_ALL: 'en_US.UTF-8' });
  const names = stdout.split('\n').map((line) => line.slice(66));
  expect(names.slice(0, -1)).toEqual([...names.slice(0, -1)].sort());
});
