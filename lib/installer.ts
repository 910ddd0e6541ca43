import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** How whoever has installed a package is told to do something about it. */
export interface Installer {
  /** Installs it again, also where a file is missing in it. */
  readonly again: string;
  /** Compiles the addons where it is installed. */
  readonly build: string;
}

/** What each package manager leaves in a `node_modules` that it has filled, the newer ones first. */
const marks: readonly (readonly [file: string, installer: Installer])[] = [
  ['.modules.yaml', { again: 'rm -r node_modules && pnpm install', build: 'pnpm exec mshv build' }],
  ['.yarn-state.yml', { again: 'rm -r node_modules && yarn install', build: 'yarn mshv build' }],
  ['.yarn-integrity', { again: 'yarn install --force', build: 'yarn mshv build' }],
  ['.package-lock.json', { again: 'npm ci', build: 'npx mshv build' }],
];

const plugAndPlay: Installer = {
  again: 'rm -r .yarn/unplugged && yarn install',
  build: 'yarn mshv build',
};

/** Who has installed the package in this folder; undefined where nobody has, as in a checkout. */
export function installerOf(packageFolder: string): Installer | undefined {
  if ('pnp' in process.versions) {
    return plugAndPlay;
  }
  let installed: Installer | undefined;
  for (let folder = packageFolder; folder !== dirname(folder); folder = dirname(folder)) {
    if (basename(folder) === 'node_modules') {
      const mark = marks.find(([file]) => existsSync(join(folder, file)));
      if (mark !== undefined) {
        return mark[1];
      }
      // npm leaves no mark where it installs for all (--global).
      installed = { again: 'npm install --global mshv', build: 'mshv build' };
    }
  }
  return installed;
}
