import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

import { slowness } from '../slowness.js';

const program = fileURLToPath(new URL('programs/terminated-workers.mjs', import.meta.url));
const load = createRequire(import.meta.url)('bindings') as (name: string) => object;

/** What the program says. */
interface Report {
  readonly cells: number;
  readonly workers: number;
  readonly left: Record<string, unknown>;
}

// One process for all Workers of an addon, so that a crash is seen as what it is.
it.concurrent.each(['mshv', 'mshv_sim'])(
  'the addon %s loses nothing and crashes nothing where Workers are terminated idle, in a hot loop over each export and in run()',
  async (addon) => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, addon]);
    const { cells, workers, left } = JSON.parse(stdout) as Report;
    const exported = Object.entries(load(addon)).filter(([, value]) => typeof value === 'function');
    expect(Object.keys(left)).toEqual(expect.arrayContaining(exported.map(([name]) => name)));
    for (const [name, each] of Object.entries(left)) {
      expect({ name, each }).toEqual({ name, each: { descriptors: 0, threads: [], mappings: 0 } });
    }
    console.log(`${addon}: ${workers} Workers terminated in ${cells} cells of exports x moments`);
  },
  slowness * 180_000,
);
