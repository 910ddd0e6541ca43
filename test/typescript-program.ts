import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

const root = new URL('..', import.meta.url);
const bundles = new URL('build/programs/', root);

/** The bundle of a TypeScript module: bundle-programs.ts makes those that it names, before the tests are run. */
function bundleOf(module: URL): URL {
  return new URL(module.href.slice(root.href.length).replace(/\.ts$/, '.js'), bundles);
}

/** What Node runs, as its program, for a TypeScript module. */
export function typescriptProgram(module: URL): string {
  return fileURLToPath(bundleOf(module));
}

/** Starts a Worker from a TypeScript module. */
export function typescriptWorker(module: URL, options?: WorkerOptions): Worker {
  return new Worker(bundleOf(module), options);
}
