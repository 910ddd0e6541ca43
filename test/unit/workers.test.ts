import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('programs/terminated-workers.mjs', import.meta.url));
const load = createRequire(import.meta.url)('bindings') as (name: string) => object;

const parts = 4;

describe.each(['mshv', 'mshv_sim'])('the addon %s', (addon) => {
  // One process for many, so that a crash is seen as what it is.
  it.each([...Array(parts).keys()])(
    'loses nothing and crashes nothing where Workers end in a hot loop over each export, part %i',
    async (part) => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        program,
        addon,
        String(part),
        String(parts),
      ]);
      const leftovers = JSON.parse(stdout) as Record<string, unknown>;
      const exported = Object.entries(load(addon)).filter(
        ([, value]) => typeof value === 'function',
      );
      const names = exported.map(([name]) => name).filter((_, i) => i % parts === part);
      expect(Object.keys(leftovers)).toEqual(expect.arrayContaining(names));
      for (const [name, left] of Object.entries(leftovers)) {
        expect({ name, left }).toEqual({
          name,
          left: { descriptors: 0, threads: 0, mappings: 0 },
        });
      }
    },
    120_000,
  );
});
