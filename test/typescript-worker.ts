import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts a Worker from a TypeScript module, which Node 20 does not take as an entry point. */
export function typescriptWorker(module: URL, options: WorkerOptions = {}): Worker {
  const load = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${JSON.stringify(module.href)}, ${JSON.stringify(import.meta.url)}));`;
  return new Worker(load, { ...options, eval: true });
}
