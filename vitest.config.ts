import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

import { slowness } from './test/slowness.js';

// What Node is started with, where tests are to run in a Node that is locked down.
const nodeFlags = process.env['MSHV_TEST_NODE_FLAGS']?.match(/\S+/g) ?? [];

const project = (name: string, testTimeout: number): TestProjectInlineConfiguration => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: slowness * testTimeout,
    hookTimeout: slowness * testTimeout,
    pool: 'forks',
    execArgv: nodeFlags,
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
