import * as fc from 'fast-check';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { FakeHypervisor } from '../../lab/fakehv.js';
import { typescriptProgram } from '../typescript-program.js';
import { executesGuests, why } from './vmm-ways.js';

// A process that does everything at once is killed at a moment of its life that nobody has chosen. The
// hypervisor then has nothing left of it.

const program = typescriptProgram(new URL('killed-process.ts', import.meta.url));
const kills = 20;
const patience = 10_000;
/** How long a process may live once it has begun, in milliseconds; each fourth one longer, so that all of it is begun. */
const longestLife = 800;
const longLife = 2000;

describe.skipIf(!executesGuests)(`a process that is killed${why}`, () => {
  let hypervisor: FakeHypervisor;
  beforeAll(() => {
    hypervisor = new FakeHypervisor();
  });
  afterAll(() => {
    hypervisor.close();
  });

  it(`leaves nothing behind, ${kills} times`, async () => {
    const lives = fc.sample(fc.nat(longestLife), { seed: 20261121, numRuns: kills });
    const begun = new Set<string>();
    for (const [seed, life] of lives.entries()) {
      const child = spawn(process.execPath, [program, `${seed}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exit = once(child, 'exit');
      const lines = createInterface(child.stdout);
      // It says what it begins, and would go on for ever.
      const said = once(lines, 'line') as Promise<[string]>;
      lines.on('line', (line) => begun.add(line));
      expect(await Promise.race([said, exit])).toEqual(['open']);
      await setTimeout(seed % 4 === 3 ? longLife : life);
      child.kill('SIGKILL');
      expect(await exit).toEqual([null, 'SIGKILL']);
      const deadline = Date.now() + patience;
      while (hypervisor.leftovers().length > 0 && Date.now() < deadline) await setTimeout(1);
      expect({ seed, left: hypervisor.leftovers() }).toEqual({ seed, left: [] });
    }
    const deleted = hypervisor.events().filter(({ name }) => name === 'DELETE_PARTITION');
    expect(deleted.length).toBeGreaterThan(kills / 2);
    // The kills were spread over all that it does.
    expect([...begun].sort()).toEqual(['exits', 'memory', 'open', 'partition', 'worker']);
  }, 900_000);

  it('leaves a driver that has nothing to complain about', () => {
    const complaints = execFileSync('dmesg', { encoding: 'utf8' })
      .split('\n')
      .filter((line) => /WARNING:|BUG:|Oops|mshv.*(fail|error|leak)/.test(line));
    expect(complaints).toEqual([]);
  });
});
