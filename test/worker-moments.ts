/** Where a Worker is when it is terminated. */
export const workerMoments = [
  'idle',
  'in run()',
  'in a handler of exits',
  'in a listener of an eventfd',
  'in a loop of signals',
] as const;

export type WorkerMoment = (typeof workerMoments)[number];
