import { availableParallelism } from 'node:os';

import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

import { emulated, emulatedNode } from './test/emulated.js';
import { hasExternalBuffers } from './test/external-buffers.js';
import { slowness } from './test/slowness.js';

// What Node is started with, where tests are to run in a Node that is locked down.
const nodeFlags = process.env['MSHV_TEST_NODE_FLAGS']?.match(/\S+/g) ?? [];

// Vitest starts its processes by it.
if (emulatedNode !== undefined) process.execPath = emulatedNode;

interface ProjectOptions {
  /** More than those of its folder. */
  readonly tests?: string[];
  readonly env?: Record<string, string>;
  /** Whether the tests are those of test/bundle-programs.ts: Vite would take minutes of an emulated processor. */
  readonly bundled?: boolean;
}

const project = (
  name: string,
  testTimeout: number,
  { tests = [], env = {}, bundled = emulated }: ProjectOptions = {},
): TestProjectInlineConfiguration => ({
  test: {
    name,
    include: [`${name}/**/*`, ...tests].map((test) =>
      bundled ? `build/programs/test/${test}.test.js` : `test/${test}.test.ts`,
    ),
    env,
    testTimeout: slowness * testTimeout,
    hookTimeout: slowness * testTimeout,
    pool: 'forks',
    globalSetup: bundled ? [] : ['test/bundle-programs.ts'],
    setupFiles: hasExternalBuffers ? [] : ['test/no-external-buffers/setup.ts'],
    execArgv: nodeFlags,
    experimental: { viteModuleRunner: !bundled, nodeLoader: false },
  },
});

const report = process.env['MSHV_TEST_REPORT'];

export default defineConfig({
  test: {
    // Vitest leaves one processor to itself, which does next to nothing.
    maxWorkers: availableParallelism(),
    projects: [
      project('unit', 60_000, { bundled: emulatedNode !== undefined }),
      project('conformance', 180_000),
      // Vectors go through the VPs' register pages: the root scheduler, and in the lab --fast-injection.
      project('fast-injection', 180_000, {
        tests: ['conformance/irqfd-routes', 'conformance/msi-meanings'],
        env: { MSHV_TEST_FAST_INJECTION: '1' },
      }),
      project('lab', 300_000),
      project('device', 20_000),
    ],
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
