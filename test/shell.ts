/** What shells run in: they die of the library of ThreadSanitizer, which `npm run sanitize` has loaded first. */
export const shellEnvironment: NodeJS.ProcessEnv = { ...process.env, LD_PRELOAD: undefined };

/** The words by which a shell starts a program of ours with that library again. */
export const startedByShell = (words: readonly string[]): string[] => [
  'env',
  `LD_PRELOAD=${process.env['LD_PRELOAD'] ?? ''}`,
  ...words,
];
