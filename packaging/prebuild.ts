import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { UsageError } from '../lib/cli/command-line.js';
import { thisPlatform } from '../lib/prebuilt.js';
import { readCommandLine, readNames } from '../test/read-command-line.js';
import { excessiveNeeds, glibcFloor } from './addon-needs.js';
import { type Target, targets } from './targets.js';

// Makes the addons that the published package has in prebuilds/, each from the same sources, on one machine with Debian for x64:
//
//   npm run prebuild [-- PLATFORM...]
//
// All of them where none is named. Those of this machine are linked in build/, so that what is tested is what is published; the
// others are built below build/prebuild, where what has not changed is kept. It ends with 1 where a toolchain is missing, or an addon
// needs more than every system has that it is for.

const root = fileURLToPath(new URL('../', import.meta.url));
const addons = ['mshv', 'mshv_sim'];

// libgcc_s stays: Node has it, too, and two unwinders in a process would not know each other's frames.
const linkerFlags = '-static-libstdc++ -Wl,--exclude-libs,libstdc++.a -Wl,--gc-sections';

function requireTools(chosen: readonly Target[]): void {
  const missing = chosen
    .flatMap(({ tools }) => tools)
    .filter(({ program }) => spawnSync(program, ['--version']).error !== undefined);
  if (missing.length > 0) {
    const programs = [...new Set(missing.map(({ program }) => program))].join(', ');
    const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(' ');
    throw new UsageError(`there is no ${programs}: apt-get install ${packages}`);
  }
}

/** A folder in which node-gyp builds for another platform: the sources of this one, objects of its own. */
function folderOf({ platform }: Target): string {
  const folder = join(root, 'build/prebuild', platform);
  mkdirSync(folder, { recursive: true });
  for (const name of ['binding.gyp', 'native', 'node_modules', 'package.json']) {
    const link = join(folder, name);
    if (!existsSync(link)) symlinkSync(join(root, name), link);
  }
  return folder;
}

function build(target: Target): void {
  const isHere = target.platform === thisPlatform();
  const folder = isHere ? root : folderOf(target);
  const isMusl = target.platform.endsWith('musl');
  const jobs = `${availableParallelism()}`;
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/node-gyp/bin/node-gyp.js'),
      ...['--loglevel', 'error', 'configure', 'build'],
      ...['--arch', target.arch, '--jobs', jobs],
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        // The compiler that the objects here are from stays, or all of them would be made anew.
        ...(isHere ? {} : target.compilers()),
        // Zig links its own libc++ so without being asked.
        LDFLAGS: isMusl ? '-Wl,--gc-sections' : linkerFlags,
      },
    },
  );
  const prebuilt = join(root, 'prebuilds', target.platform);
  rmSync(prebuilt, { recursive: true, force: true });
  mkdirSync(prebuilt, { recursive: true });
  for (const addon of addons) {
    const file = join(prebuilt, `${addon}.node`);
    execFileSync(target.strip, ['-o', file, join(folder, 'build/Release', `${addon}.node`)]);
    const excess = excessiveNeeds(file);
    if (excess.length > 0) {
      throw new UsageError(
        `${file} needs more than glibc ${glibcFloor} and Node.js bring: ${excess.join(', ')}`,
      );
    }
  }
}

readCommandLine((words) => {
  const names = readNames(
    'platform',
    targets.map(({ platform }) => platform),
    words,
  );
  const chosen = targets.filter(({ platform }) => names.includes(platform));
  requireTools(chosen);
  for (const target of chosen) {
    console.log(`== ${target.platform}`);
    build(target);
  }
});
