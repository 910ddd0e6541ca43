import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { UsageError } from '../lib/cli/command-line.js';
import { prebuiltPlatforms } from '../lib/prebuilt.js';
import { readCommandLine } from '../test/read-command-line.js';

// Packs what is published, and prints where it is:
//
//   npm run --silent package [-- --some]
//
// The addons of every platform have to be in prebuilds/ (npm run prebuild); with --some those that are there do, for tests.
//
// It is packed from a folder of its own, because its manifest is not that of a checkout: a script that is run as the package is
// installed is an error to pnpm and disabled by yarn and npm, and a binding.gyp beside the manifest is such a script to pnpm and yarn.

const root = fileURLToPath(new URL('../', import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
}

/** The manifest of what is published. Its one script is that of `mshv build`. */
function published(manifest: Manifest): object {
  return {
    ...manifest,
    files: undefined,
    scripts: { compile: manifest.scripts['compile'] },
    devDependencies: undefined,
    // npm would compile otherwise.
    gypfile: false,
    // No addon can be loaded out of a zip file, as Plug'n'Play keeps packages.
    preferUnplugged: true,
  };
}

readCommandLine((words) => {
  const [word, ...more] = words;
  if (more.length > 0 || (word !== undefined && word !== '--some')) {
    throw new UsageError('usage: npm run package [-- --some]');
  }
  const isThere = (platform: string): boolean =>
    existsSync(join(root, 'prebuilds', platform, 'mshv_sim.node'));
  const missing = prebuiltPlatforms.filter((platform) => !isThere(platform));
  if (missing.length > (word === '--some' ? prebuiltPlatforms.length - 1 : 0)) {
    throw new UsageError(`prebuilds lacks ${missing.join(', ')}: npm run prebuild`);
  }
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const folder = join(root, 'build/package');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of [...manifest.files, 'prebuilds', 'README.md', 'LICENSE']) {
    if (name !== 'binding.gyp') cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  copyFileSync(join(root, 'binding.gyp'), join(folder, 'native/binding.gyp'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(published(manifest), null, 2)}\n`);
  const to = ['--pack-destination', join(root, 'build')];
  execFileSync('npm', ['pack', '--silent', ...to], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  console.log(join(root, 'build', `${manifest.name}-${manifest.version}.tgz`));
});
