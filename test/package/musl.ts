import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { targets } from '../../packaging/targets.js';

const dynamicLinker = '/lib/ld-musl-x86_64.so.1';
const bun = '@oven/bun-linux-x64-musl';
const bunVersion = '1.4.5';

/**
 * Runs `mshv irqfd` with the addons for musl, in Bun: npm has no Node.js for musl. Bun for musl wants a C++ library that Debian has for
 * glibc only, which serves with some names of glibc beside it (glibc-names.c).
 *
 * @returns how many were not right
 */
export function checkMusl(tarball: string): number {
  if (!existsSync(dynamicLinker)) {
    console.error(`there is no ${dynamicLinker}: apt-get install musl`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'mshv-musl-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    // npm takes this system for one of glibc.
    const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--force'];
    execFileSync('npm', ['install', ...flags, tarball, `${bun}@${bunVersion}`], {
      cwd: folder,
      stdio: 'ignore',
    });
    const libraries = join(folder, 'lib');
    mkdirSync(libraries);
    for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
      symlinkSync(libraryOf(name), join(libraries, name));
    }
    symlinkSync(dynamicLinker, join(libraries, 'ld-linux-x86-64.so.2'));
    const names = join(libraries, 'glibc-names.so');
    const compiler = targets.find(({ platform }) => platform === 'linux-x64-musl')?.compilers();
    const source = fileURLToPath(new URL('glibc-names.c', import.meta.url));
    const words = ['-shared', '-fPIC', '-fno-builtin', '-o', names, source];
    execFileSync(compiler?.['CC'] ?? 'cc', words, { env: { ...process.env, ...compiler } });
    const { status, stdout, stderr } = spawnSync(
      join(folder, 'node_modules', bun, 'bin/bun'),
      ['node_modules/mshv/dist/cli/main.js', 'irqfd', '--device', 'sim'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, LD_PRELOAD: names, LD_LIBRARY_PATH: libraries },
        timeout: 120_000,
      },
    );
    const isRight = status === 0 && stdout.includes('lost 0, extra 0, wrong 0');
    console.log(`${isRight ? 'right    ' : 'not right'} mshv irqfd under ${dynamicLinker}`);
    if (!isRight) console.error(stdout + stderr);
    return isRight ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function libraryOf(name: string): string {
  return execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
}
