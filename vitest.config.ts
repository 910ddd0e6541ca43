import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const project = (name: string, testTimeout: number): TestProjectInlineConfiguration => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: testTimeout,
    pool: 'forks',
  },
});

const report = process.env['MSHV_TEST_REPORT'];

export default defineConfig({
  test: {
    projects: [
      project('unit', 60_000),
      project('conformance', 180_000),
      project('lab', 300_000),
      project('device', 20_000),
    ],
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
