import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

import { insideLab } from './guest-side.js';

// Node 20 takes no TypeScript as the entry point of a process or Worker. tsx loads it, which takes ten
// seconds in the lab's VM: lab/build-guest.sh has compiled these programs for there.

const root = new URL('../', import.meta.url);

/** The module as lab/build-guest.sh compiled it, where that has happened and this is the lab. */
function compiled(module: URL): URL | undefined {
  const script = module.href.replace(/\.ts$/, '.js');
  const programs = [
    // This module may be a compiled one itself.
    new URL(script),
    new URL(`lab/build/programs/${script.slice(root.href.length)}`, root),
  ];
  return insideLab ? programs.find((program) => existsSync(program)) : undefined;
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
