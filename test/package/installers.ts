/** How a package manager is used, as it comes. */
export interface Installer {
  readonly name: string;
  /** The npm package that it is in. npm itself comes with Node.js. */
  readonly tool?: string;
  /** What the tarball follows. */
  readonly install: readonly string[];
  /** What a command of `mshv` follows. */
  readonly run: readonly string[];
  /** Where the package is then, below the project: its one folder that begins so. */
  readonly installed: string;
}

const npm = { run: ['npx', '--no', 'mshv'], installed: 'node_modules/mshv' };

export const installers: readonly Installer[] = [
  { ...npm, name: 'npm', install: ['npm', 'install'] },
  { ...npm, name: 'npm --ignore-scripts', install: ['npm', 'install', '--ignore-scripts'] },
  {
    name: 'pnpm',
    tool: 'pnpm@12.4.2',
    install: ['pnpm', 'add'],
    run: ['pnpm', 'exec', 'mshv'],
    installed: 'node_modules/mshv',
  },
  {
    name: 'yarn 1',
    tool: 'yarn@1.22.22',
    install: ['yarn', 'add'],
    run: ['yarn', '--silent', 'mshv'],
    installed: 'node_modules/mshv',
  },
  {
    name: "yarn 4, Plug'n'Play",
    tool: '@yarnpkg/cli-dist@4.18.1',
    install: ['yarn', 'add'],
    run: ['yarn', 'mshv'],
    installed: '.yarn/unplugged/mshv-',
  },
];
