import { defineConfig } from 'vitest/config';

const project = (name: string, timeout = 20_000) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: timeout,
    pool: 'forks' as const,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('conformance', 120_000),
      project('lab', 300_000),
      project('device'),
    ],
  },
});
