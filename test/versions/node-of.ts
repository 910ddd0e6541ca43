import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The program of a release line of Node.js, as npm has it. */
export function nodeOf(line: string): string {
  const folder = resolve('build/versions', line);
  const name = `node-linux-${process.arch}`;
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync(
    'npm',
    ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `${name}@${line}`],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) throw new Error(`npm has no ${name}@${line}`);
  return join(folder, 'node_modules', name, 'bin/node');
}
