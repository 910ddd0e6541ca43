import * as fc from 'fast-check';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { EventFd } from '../../lib/index.js';
import { openDescriptors } from '../open-descriptors.js';
import { typescriptProgram } from '../typescript-program.js';

const program = typescriptProgram(new URL('programs/busy-child.ts', import.meta.url));
/** How long processes live once they have begun, in milliseconds. */
const lives = fc.sample(fc.nat(300), { seed: 20261121, numRuns: 8 });

// With the real driver: test/lab/killed-process.test.ts.
it(`a process that does everything with the simulator leaves nothing when it is killed, ${lives.length} times`, async () => {
  using event = EventFd.create();
  // A duplicate for others, from the first look at it on.
  const { fd } = event;
  const before = { descriptors: openDescriptors(), sharedMemory: readdirSync('/dev/shm') };
  for (const [seed, life] of lives.entries()) {
    const child = spawn(process.execPath, [program, `${seed}`], {
      stdio: ['ignore', 'pipe', 'pipe', fd],
    });
    if (child.stdout === null || child.stderr === null) throw new Error('it has no output');
    const errors = text(child.stderr);
    const exit = once(child, 'close');
    const lines = createInterface(child.stdout);
    const said = await Promise.race([once(lines, 'line'), exit]);
    expect({ said, errors: said[0] === 'begins' ? '' : await errors }).toEqual({
      said: ['begins'],
      errors: '',
    });
    await setTimeout(life);
    child.kill('SIGKILL');
    expect([await exit, await errors]).toEqual([[null, 'SIGKILL'], '']);
    // Its routes took what was signalled. There is nobody left who would.
    event.tryRead();
    for (let i = 0; i < 100; i++) event.signal();
    expect(event.tryRead()).toBe(100n);
  }
  expect({ descriptors: openDescriptors(), sharedMemory: readdirSync('/dev/shm') }).toEqual(before);
  console.log(`${lives.length} processes killed at random moments`);
}, 180_000);
