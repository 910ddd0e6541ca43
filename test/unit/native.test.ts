import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

it('says how to build an addon that is missing', () => {
  const copy = mkdtempSync(join(tmpdir(), 'mshv-'));
  try {
    for (const part of ['lib', 'package.json']) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'lib/cli/main.ts', 'irqfd', '--device', 'sim'],
      { cwd: copy, encoding: 'utf8' },
    );
    expect(stderr).toContain('cannot load the addon mshv_sim.node: build it with npm rebuild mshv');
    expect(status).toBe(1);
  } finally {
    rmSync(copy, { recursive: true });
  }
});

it('says how to let Node load addons', () => {
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--no-addons', '--import', 'tsx', 'lib/cli/main.ts', 'irqfd', '--device', 'sim'],
    { cwd: root, encoding: 'utf8' },
  );
  expect(stderr).toContain('cannot load the addon mshv_sim.node: start Node with --allow-addons');
  expect(status).toBe(1);
});
