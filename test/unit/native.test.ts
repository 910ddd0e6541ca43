import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { thisPlatform } from '../../lib/prebuilt.js';

// What keeps an addon from being loaded, and what the error says then.

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs a program that tells the code, the message and the cause of what a simulator fails with, or 'ok'. */
function tell(options: { flags?: readonly string[]; cwd?: string; before?: string }): string {
  const { flags = [], cwd = root, before = '' } = options;
  const program = `${before}
    try {
      const { Simulator } = await import('./lib/sim/index.ts');
      new Simulator().close();
      console.log('ok');
    } catch ({ code, message, cause }) {
      console.log(code, message, cause);
    }`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [...flags, '--import', 'tsx', '--input-type=module', '--eval', program],
    { cwd, encoding: 'utf8' },
  );
  return stdout + stderr;
}

it('says how to build an addon that is missing', () => {
  const copy = join(folder, 'copy');
  for (const part of ['lib', 'package.json']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const missing = "ERR_MSHV_ADDON cannot load the addon mshv_sim.node: build it with 'npm ci'";
  expect(tell({ cwd: copy })).toContain(missing);
  mkdirSync(join(copy, 'build/Release'), { recursive: true });
  writeFileSync(join(copy, 'build/Release/mshv_sim.node'), 'of another platform');
  expect(tell({ cwd: copy })).toContain(missing);
});

it.each([
  { mark: '.package-lock.json', again: "'npm ci' installs", build: "'npx mshv build' compiles" },
  {
    mark: '.modules.yaml',
    again: "'rm -r node_modules && pnpm install' installs",
    build: "'pnpm exec mshv build' compiles",
  },
  {
    mark: '.yarn-integrity',
    again: "'yarn install --force' installs",
    build: "'yarn mshv build' compiles",
  },
])('says what whoever leaves $mark does about it', ({ mark, again, build }) => {
  const modules = join(folder, mark, 'node_modules');
  const copy = join(modules, 'mshv');
  for (const part of ['lib', 'package.json']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  writeFileSync(join(modules, mark), '');
  for (const name of ['tsx', 'bindings', 'file-uri-to-path']) {
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  const said = tell({ cwd: copy });
  expect(said).toContain(`it is missing: ${again} it again, or ${build} it`);
  const prebuilt = join(copy, 'prebuilds', thisPlatform());
  mkdirSync(prebuilt, { recursive: true });
  writeFileSync(join(prebuilt, 'mshv_sim.node'), 'of another platform');
  expect(tell({ cwd: copy })).toContain(`this system does not take it: ${build} it`);
});

it.each([
  ['bindings', ['file-uri-to-path']],
  ['what bindings needs', ['bindings']],
])('says that %s is missing, which has nothing to do with the addon', (missing, present) => {
  for (const [mark, again] of [
    ['.package-lock.json', 'npm ci'],
    [undefined, 'npm ci'],
    ['.yarn-integrity', 'yarn install --force'],
  ]) {
    const place = join(folder, `without ${missing} ${mark}`);
    // Beside the package where it is installed, in it where it is a checkout.
    const copy = mark === undefined ? place : join(place, 'node_modules/mshv');
    const modules = join(place, 'node_modules');
    for (const part of ['lib', 'package.json']) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    mkdirSync(modules, { recursive: true });
    if (mark !== undefined) writeFileSync(join(modules, mark), '');
    for (const name of present) {
      // Copied: what is linked finds what it needs where it really is.
      cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules/tsx'), join(modules, 'tsx'));
    const said = tell({ cwd: copy });
    expect(said).toContain(
      `ERR_MSHV_ADDON cannot load the addon mshv_sim.node: a package that looks for addons, bindings or file-uri-to-path, is missing: '${again}' installs it`,
    );
    expect(said).not.toContain('ERR_MODULE_NOT_FOUND');
  }
});

it('says how to let Node load addons', () => {
  expect(tell({ flags: ['--no-addons'] })).toContain(
    'ERR_MSHV_ADDON cannot load the addon mshv_sim.node: start Node with --allow-addons',
  );
});

it('says that Deno lacks what it needs, before Deno ends the process', () => {
  const before =
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, deno: '2' } });";
  expect(tell({ before })).toContain(
    'ERR_MSHV_ADDON cannot load the addon mshv_sim.node: Deno lacks functions of libuv',
  );
});

it('says that a runtime gives it no event loop', () => {
  const before = `
    const { createRequire } = process.getBuiltinModule?.('node:module') ?? await import('node:module');
    createRequire('${root}package.json').cache['${root}build/Release/mshv_sim.node'] = { loaded: true, exports: {} };`;
  expect(tell({ before })).toContain(
    'ERR_MSHV_ADDON cannot load the addon mshv_sim.node: this runtime gives it no event loop',
  );
});

it.each(['mshv', 'mshv_sim'])('%s does not load where a function is missing', (name) => {
  // As Deno would, without Node: what it lacks would end the process at the first call otherwise.
  const source = join(folder, `${name}.c`);
  writeFileSync(
    source,
    `#include <dlfcn.h>
     #include <stdio.h>
     int main(int count, char** words) {
       puts(dlopen(words[1], RTLD_LAZY) == NULL ? dlerror() : "loaded");
     }`,
  );
  execFileSync('cc', ['-o', `${source}.out`, source, '-ldl']);
  const said = execFileSync(`${source}.out`, [join(root, `build/Release/${name}.node`)], {
    encoding: 'utf8',
  });
  expect(said).toContain('undefined symbol');
});

describe.each(['esm', 'cjs'] as const)('in a bundle (%s)', (format) => {
  interface Esbuild {
    readonly buildSync: (options: object) => unknown;
  }

  /** Bundles a program that has all of mshv inside, into a folder of its own, and runs it there. */
  function runBundle(name: string, prepare: (place: string) => void): string {
    const place = join(folder, `${name}-${format}`);
    mkdirSync(place);
    prepare(place);
    const fromTsx = createRequire(createRequire(import.meta.url).resolve('tsx/package.json'));
    const { buildSync } = fromTsx('esbuild') as Esbuild;
    const program = join(place, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs');
    buildSync({
      stdin: {
        contents: `
          import { Mshv } from './lib/index.ts';
          import { Simulator } from './lib/sim/index.ts';
          try {
            console.log(typeof Mshv.open, new Simulator().open().createPartition().closed);
          } catch ({ code, message }) {
            console.log(code, message);
          }`,
        resolveDir: root,
        loader: 'ts',
      },
      ...{ bundle: true, platform: 'node', logLevel: 'error', format, outfile: program },
    });
    const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
    return stdout + stderr;
  }

  it('says that the package is to be external where it is not installed', () => {
    const said = runBundle('alone', () => undefined);
    expect(said).toContain('ERR_MSHV_ADDON cannot load the addon mshv_sim.node');
    expect(said).toContain('esbuild --external:mshv');
  });

  it('works where the package is installed above it', () => {
    const said = runBundle('installed', (place) => {
      mkdirSync(join(place, 'node_modules'));
      symlinkSync(root, join(place, 'node_modules/mshv'));
    });
    expect(said).toBe('function false\n');
  });
});
