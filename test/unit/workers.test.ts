import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('programs/terminated-workers.mjs', import.meta.url));
const load = createRequire(import.meta.url)('bindings') as (name: string) => object;

describe.concurrent.each(['mshv', 'mshv_sim'])('the addon %s', (addon) => {
  // One process for all, so that a crash is seen as what it is.
  it('loses nothing and crashes nothing where Workers end in a hot loop over each export', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, addon]);
    const leftovers = JSON.parse(stdout) as Record<string, unknown>;
    const exported = Object.entries(load(addon)).filter(([, value]) => typeof value === 'function');
    expect(Object.keys(leftovers)).toEqual(expect.arrayContaining(exported.map(([name]) => name)));
    for (const [name, left] of Object.entries(leftovers)) {
      expect({ name, left }).toEqual({ name, left: { descriptors: 0, threads: 0, mappings: 0 } });
    }
  }, 300_000);
});
