import { execFileSync } from 'node:child_process';

import { readCommandLine, readNames } from '../read-command-line.js';
import { checkInstalls } from './installs.js';

// Packs the package and checks what is published, as its users get it:
//
//   npm run test:package [-- [--all] [STEP...]]
//
//   installs  by npm, pnpm and yarn, on each line of Node.js, without a compiler: installs.ts
//
// All of them where none is named; with --all, every combination. The last line has the figures; the status is 0 where all is right.

const steps = ['installs'] as const;

const plan = readCommandLine((words) => ({
  all: words.includes('--all'),
  names: readNames(
    'step',
    steps,
    words.filter((word) => word !== '--all'),
  ),
}));

execFileSync('npm', ['run', '--silent', 'prebuild', '--', 'linux-x64-glibc'], { stdio: 'inherit' });
const packed = execFileSync('npm', ['run', '--silent', 'package', '--', '--some'], {
  encoding: 'utf8',
});
const tarball = packed.trim();
let wrong = 0;
if (plan.names.includes('installs')) wrong += checkInstalls(tarball, plan.all);
console.log(`${wrong} not right`);
process.exitCode = wrong === 0 ? 0 : 1;
