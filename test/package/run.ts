import { execFileSync } from 'node:child_process';

import { thisPlatform } from '../../lib/prebuilt.js';
import { readCommandLine, readNames } from '../read-command-line.js';
import { checkInstalls } from './installs.js';
import { checkManifest } from './manifest.js';
import { checkMusl } from './musl.js';
import { checkTypes } from './types.js';

// Packs the package and checks what is published, as its users get it:
//
//   npm run test:package [-- [--all] [STEP...]]
//
//   manifest  by publint and attw, and that nothing is run as it is installed: manifest.ts
//   types     by each line of TypeScript with the types of each line of Node.js: types.ts
//   musl      the addons for musl, by Bun under musl's dynamic linker: musl.ts
//   installs  by npm, pnpm and yarn, on each line of Node.js, without a compiler: installs.ts
//
// All of them where none is named; with --all, every combination. The last line has the figures; the status is 0 where all is right.

const steps = ['manifest', 'types', 'musl', 'installs'] as const;

const plan = readCommandLine((words) => ({
  all: words.includes('--all'),
  names: readNames(
    'step',
    steps,
    words.filter((word) => word !== '--all'),
  ),
}));

const platforms = [thisPlatform(), ...(plan.names.includes('musl') ? ['linux-x64-musl'] : [])];
execFileSync('npm', ['run', '--silent', 'prebuild', '--', ...platforms], { stdio: 'inherit' });
const packed = execFileSync('npm', ['run', '--silent', 'package', '--', '--some'], {
  encoding: 'utf8',
});
const tarball = packed.trim();
let wrong = 0;
if (plan.names.includes('manifest')) wrong += checkManifest(tarball);
if (plan.names.includes('types')) wrong += checkTypes(tarball, plan.all);
if (plan.names.includes('musl')) wrong += checkMusl(tarball);
if (plan.names.includes('installs')) wrong += checkInstalls(tarball, plan.all);
console.log(`${wrong} not right`);
process.exitCode = wrong === 0 ? 0 : 1;
