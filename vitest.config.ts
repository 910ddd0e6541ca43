import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

import { hasExternalBuffers } from './test/external-buffers.js';
import { slowness } from './test/slowness.js';

// What Node is started with, where tests are to run in a Node that is locked down.
const nodeFlags = process.env['MSHV_TEST_NODE_FLAGS']?.match(/\S+/g) ?? [];

const project = (
  name: string,
  testTimeout: number,
  { files = [], env = {} }: { files?: string[]; env?: Record<string, string> } = {},
): TestProjectInlineConfiguration => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`, ...files],
    env,
    testTimeout: slowness * testTimeout,
    hookTimeout: slowness * testTimeout,
    pool: 'forks',
    setupFiles: hasExternalBuffers ? [] : ['test/no-external-buffers/setup.ts'],
    execArgv: nodeFlags,
  },
});

const report = process.env['MSHV_TEST_REPORT'];

export default defineConfig({
  test: {
    projects: [
      project('unit', 60_000),
      project('conformance', 180_000),
      // Vectors go through the VPs' register pages: the root scheduler, and in the lab --fast-injection.
      project('fast-injection', 180_000, {
        files: ['irqfd-routes', 'msi-meanings'].map((name) => `test/conformance/${name}.test.ts`),
        env: { MSHV_TEST_FAST_INJECTION: '1' },
      }),
      project('lab', 300_000),
      project('device', 20_000),
    ],
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
