import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parseOptions } from './command-line.js';
import type { Command } from './command.js';

const packageFolder = fileURLToPath(new URL('../../', import.meta.url));

export const build: Command = {
  name: 'build',
  summary: 'compiles the addons, where none fits',
  usage: '',
  help: `Compiles the addons from the sources in the package, where
the package is: what was compiled there is preferred to what
came with it. Needs g++ 12 or clang 14, make, python3, npm,
and the headers of this Node.js, which npm fetches.

Exit status: 0 they were compiled, 1 they were not.
`,
  options: {},
  run(args, { stderr }) {
    parseOptions(args, {});
    // In its place a package manager would take the package for one that has to be compiled as it is installed.
    const project = join(packageFolder, 'binding.gyp');
    const packed = join(packageFolder, 'native/binding.gyp');
    const isPacked = existsSync(packed);
    try {
      if (isPacked) copyFileSync(packed, project);
      // npm has node-gyp for the scripts that it runs.
      const { status, error } = spawnSync('npm', ['run', 'compile'], {
        cwd: packageFolder,
        stdio: ['ignore', 2, 2],
      });
      if (status === 0) return 0;
      stderr.write(
        `mshv build: ${error === undefined ? 'the addons could not be compiled' : `npm cannot be started: ${error.message}`}\n`,
      );
      return 1;
    } finally {
      if (isPacked) rmSync(project, { force: true });
    }
  },
};
