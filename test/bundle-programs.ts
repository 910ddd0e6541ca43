import { build, type Plugin } from 'esbuild';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { insideLab } from './inside-lab.js';
import { project } from './project-copy.js';

// Bundles into build/programs what the tests run in processes and Workers of their own, and the tests that run in the
// lab: before each run of the tests here (vitest.config.ts) and of the lab's VM (lab/run.sh). test/arm64 has more of them bundled,
// for a processor that is emulated, too.
//
// Node 20 takes no TypeScript as the entry point of a process or Worker. tsx would load it in half a second, and the
// library's hundred modules take as long again; in the lab's VM that is ten seconds, for each of hundreds of processes.

const alone = [
  'test/differential/run.ts',
  'test/ending-worker.ts',
  'test/lab/killed-process.ts',
  'test/lab/vmm-worker.ts',
  'test/load/run.ts',
  'test/load/storm-worker.ts',
  'test/signaller.ts',
  'test/synic-worker.ts',
  'test/vp-borrower.ts',
  'test/vp-worker.ts',
];
const programs = ['examples', 'test/conformance/programs', 'test/unit/programs'];
const tests = ['test/conformance', 'test/device', 'test/fast-injection', 'test/lab'];

function namesIn(root: string, folders: readonly string[], extension: string): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(extension))
      .map((name) => `${folder}/${name}`),
  );
}

/** Modules look for files beside where they were written, and not beside the bundle. */
const urlsOfSources: Plugin = {
  name: 'urls-of-sources',
  setup(bundling) {
    bundling.onLoad(
      { filter: /[\\/](examples|lab|packaging|test)[\\/].*\.ts$/ },
      async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const url = JSON.stringify(pathToFileURL(path).href);
        return { contents: source.replaceAll('import.meta.url', url), loader: 'ts' };
      },
    );
  },
};

export default async function bundlePrograms(): Promise<void> {
  // The lab boots with what was made before.
  if (!insideLab) await bundleInto(project);
}

/** Bundles those of the project, or of a copy of it, into its `build/programs`; and modules that are named by where they are in it. */
export async function bundleInto(root: string, more: readonly string[] = []): Promise<void> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [
      ...new Set([
        ...alone,
        ...namesIn(root, programs, '.ts'),
        ...namesIn(root, tests, '.test.ts'),
        ...more,
      ]),
    ],
    outbase: '.',
    outdir: 'build/programs',
    bundle: true,
    splitting: true,
    chunkNames: 'shared/[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    // Unit tests look at the names of classes.
    keepNames: more.length > 0,
    plugins: [urlsOfSources],
    write: false,
  });
  // Another run of the tests may be using those that are there.
  for (const { path, contents } of outputFiles) {
    if (existsSync(path) && readFileSync(path).equals(contents)) continue;
    const written = `${path}.${process.pid}`;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(written, contents);
    await rename(written, path);
  }
  // The lab runs the tests that it finds.
  const made = new Set(outputFiles.map(({ path }) => path));
  for (const name of namesIn(
    root,
    tests.map((folder) => `build/programs/${folder}`),
    '.test.js',
  )) {
    const path = join(root, name);
    if (!made.has(path)) await rm(path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundlePrograms();
