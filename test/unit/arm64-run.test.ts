import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { bounded } from '../arm64/bounded.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-arm64-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function program(name: string, body: string): void {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

function run(command: string, args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` },
  });
}

describe('npm run test:arm64', () => {
  it.each(bounded)('finds %s', (name) => {
    expect(existsSync(join(root, name))).toBe(true);
  });

  it.skipIf(process.arch === 'arm64')('ends with 125 where nobody may unshare', () => {
    program('qemu-aarch64-static', 'exit 1');
    program('unshare', "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1");
    const { status, stderr } = run(process.execPath, ['--import', 'tsx', 'test/arm64/run.ts']);
    expect(stderr).toContain('unshare: unshare failed');
    expect(stderr).toContain('arm64 programs cannot be run here: a user namespace');
    expect(status).toBe(125);
  });
});

describe('in CI', () => {
  const reason = (): string => join(folder, 'arm64.not-run');

  it('it is said that arm64 was not run, and is no failure', () => {
    program('npm', 'exit 125');
    const { status, stdout } = run('.ci/arm64', [reason()]);
    expect(status).toBe(0);
    expect(stdout).toContain('NOT RUN');
    expect(readFileSync(reason(), 'utf8')).toBe(stdout);
    const total = run(process.execPath, ['.ci/total.mjs', folder, '0']);
    expect(total.stdout).toContain(`arm64: ${stdout}`);
    expect(total.stdout).not.toContain('arm64: no report');
  });

  it.each([0, 1, 2])('status %i of it stays', (code) => {
    program('npm', `exit ${code}`);
    expect(run('.ci/arm64', [reason()]).status).toBe(code);
    expect(existsSync(reason())).toBe(false);
  });
});
