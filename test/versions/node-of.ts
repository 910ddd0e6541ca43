import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The program of a release line of Node.js, as npm has it: for this machine, or for another processor. */
export function nodeOf(line: string, arch: string = process.arch): string {
  const folder = resolve('build/versions', arch === process.arch ? line : `${line}-${arch}`);
  const name = `node-linux-${arch}`;
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync(
    'npm',
    [
      'install',
      '--prefix',
      folder,
      // npm refuses what is for another processor.
      ...(arch === process.arch ? [] : ['--force', '--loglevel=error']),
      '--no-save',
      '--no-audit',
      '--no-fund',
      `${name}@${line}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) throw new Error(`npm has no ${name}@${line}`);
  return join(folder, 'node_modules', name, 'bin/node');
}
