import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

import { insideLab } from './guest-side.js';

// Node 20 takes no TypeScript as the entry point of a process or Worker. tsx loads it, which takes half a second, and
// ten in the lab's VM: lab/build-guest.sh has compiled these programs for there.

const root = new URL('../', import.meta.url);

/** Where compiled programs are, if anywhere. */
let programs = insideLab ? new URL('lab/build/programs/', root) : undefined;

/**
 * Compiles the programs of lab/programs.tsconfig.json, for whoever starts so many that loading TypeScript for each of them
 * takes longer. In the lab they are there already.
 *
 * @returns takes them away again
 */
export function compilePrograms(): () => void {
  if (insideLab) return () => undefined;
  // Inside the project, where the addons are found.
  const folder = mkdtempSync(fileURLToPath(new URL('build/programs-', root)));
  const compiler = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root));
  const config = fileURLToPath(new URL('lab/programs.tsconfig.json', root));
  // `npm run lint` checks the types.
  execFileSync(process.execPath, [compiler, '-p', config, '--noCheck', '--outDir', folder]);
  programs = pathToFileURL(`${folder}/`);
  return () => {
    programs = undefined;
    rmSync(folder, { recursive: true });
  };
}

/** The module as it was compiled, where that has happened. */
function compiled(module: URL): URL | undefined {
  const script = module.href.replace(/\.ts$/, '.js');
  const candidates = [
    // This module may be a compiled one itself.
    new URL(script),
    ...(programs === undefined ? [] : [new URL(script.slice(root.href.length), programs)]),
  ];
  return candidates.find((program) => existsSync(program));
}

/** The arguments with which Node runs a TypeScript module as its program. */
export function typescriptProgram(module: URL): string[] {
  const program = compiled(module);
  return program === undefined
    ? ['--import', 'tsx', fileURLToPath(module)]
    : [fileURLToPath(program)];
}

/** Starts a Worker from a TypeScript module. */
export function typescriptWorker(module: URL, options: WorkerOptions = {}): Worker {
  const program = compiled(module);
  if (program !== undefined) {
    return new Worker(program, options);
  }
  const load = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${JSON.stringify(module.href)}, ${JSON.stringify(import.meta.url)}));`;
  return new Worker(load, { ...options, eval: true });
}
