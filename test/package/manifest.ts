import { execFileSync, spawnSync } from 'node:child_process';

/** What must not be in the published package: to a package manager it is a script to run, or a reason to compile. */
const refused = /^package\/(?:binding\.gyp|build\/|.*\.tgz$)|^package\/dist\/.*\.ts$(?<!\.d\.ts)/;
const installScripts = ['preinstall', 'install', 'postinstall', 'prepare'];

/**
 * Holds the manifest and what it names against what Node.js and TypeScript make of it (publint, attw), and looks for what would be run
 * as the package is installed.
 *
 * @returns how many were not right
 */
export function checkManifest(tarball: string): number {
  const files = execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' }).split('\n');
  const unwanted = files.filter((name) => refused.test(name));
  const manifest = JSON.parse(
    execFileSync('tar', ['xzOf', tarball, 'package/package.json'], { encoding: 'utf8' }),
  ) as { readonly scripts: Readonly<Record<string, string>>; readonly gypfile: unknown };
  const scripts = installScripts.filter((name) => Object.hasOwn(manifest.scripts, name));
  if (manifest.gypfile !== false) scripts.push('gypfile');
  // What the compiler was to strip of the declarations.
  const declarations = execFileSync(
    'tar',
    ['xzOf', tarball, '--wildcards', 'package/dist/*.d.ts'],
    {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    },
  );
  if (declarations.includes('@internal')) unwanted.push('@internal in a .d.ts');
  for (const name of [...unwanted, ...scripts]) console.error(`== published: ${name}`);
  const failed = [
    ['publint/src/cli.js', 'run', tarball, '--strict'],
    ['@arethetypeswrong/cli/dist/index.js', '--profile', 'esm-only', tarball],
  ].filter(([program = '', ...words]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [`node_modules/${program}`, ...words],
      { encoding: 'utf8' },
    );
    console.log(`${status === 0 ? 'right    ' : 'not right'} ${program}`);
    if (status !== 0) console.error(stdout + stderr);
    return status !== 0;
  });
  return unwanted.length + scripts.length + failed.length;
}
