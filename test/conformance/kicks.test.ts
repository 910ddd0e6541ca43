import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { insideLab } from '../inside-lab.js';
import { runScenario } from '../scenario-run.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// The signals that interrupt runs, where somebody else of the process uses signals too. Its handler ends the process where it is
// called: no signal of ours may reach it, and it may not be replaced.

const program = new URL('programs/kicked-runs.ts', import.meta.url);
const source = new URL('programs/signal_taker.c', import.meta.url);

/** When the library takes or ignores its signals, or whether it has them blocked. */
type When = 'now' | 'later' | 'later ignored' | 'block' | 'ignore';

const guest = await guestSideForTests();
let folder: string;
let library: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  library = join(folder, 'signal-taker.so');
  const flags = ['-shared', '-fPIC', '-Wl,-z,nodelete'];
  execFileSync('cc', [...flags, '-o', library, fileURLToPath(source)]);
});
// After each: the log of the lab's hypervisor has no room for what all of the programs do.
afterEach(() => {
  expect(guest.leftovers()).toEqual([]);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What a program tells that interrupts a run by `way`, where the library takes signals at `moment`. */
async function told(moment: string, way: string, takes: string, when: When): Promise<unknown> {
  const { code, said, errors } = await runScenario(program, library, moment, way, takes, when);
  if (code !== 0) throw new Error(`it ends with ${code}: ${errors}`);
  return JSON.parse(said.join('\n'));
}

const results = { cancel: 'canceled', stop: 'stopped', close: 'closed' } as const;

/** The last ones say how many real-time signals have a handler in the end, and how many are ignored. */
type Situation = [where: string, string, string, When, caught: number, ignored?: number];

// In the lab a process takes seconds and has to be the only one: there, what happens to a thread that is in the driver.
const inLab: Situation[] = [
  ['somebody replaces both handlers during the run', 'during', '63-64', 'later', 4],
];
const situations: Situation[] = [
  ['SIGRTMAX is somebody’s before the first run', 'before', '64-64', 'now', 3],
  ['somebody replaces the handler between two runs', 'between', '64-64', 'now', 3],
  ['somebody replaces both handlers between two runs', 'between', '63-64', 'now', 4],
  ['somebody replaces the handler during the run', 'during', '64-64', 'later', 3],
  ['all are blocked', 'before', '64-64', 'block', 2],
  ['two are ignored, which stay so', 'before', '63-64', 'ignore', 2, 2],
  ['all but one are ignored', 'before', '35-64', 'ignore', 2, 29],
  ['all are ignored, as a parent may leave them', 'before', '34-64', 'ignore', 2, 29],
  ...inLab,
];
const test = insideLab ? it : it.concurrent;

describe.each(Object.entries(results))('%s() interrupts a run', (way, result) => {
  test.each(insideLab ? inLab : situations)(
    'where %s',
    async (_, moment, takes, when, caught, ignored = 0) => {
      expect(await told(moment, way, takes, when)).toEqual({ result, caught, ignored });
    },
  );
});

describe('where somebody takes all signals during the run, which goes on,', () => {
  test.each(insideLab ? ['cancel'] : Object.keys(results))(
    '%s() says that it cannot interrupt it',
    async (way) => {
      expect(await told('during', way, '34-64', 'later')).toEqual({
        code: 'ENOSPC',
        syscall: 'sigaction',
        closed: false,
        running: true,
        caught: 31,
        ignored: 0,
      });
    },
  );
});

// Its run is interrupted now and then anyhow, and a signal that is on its way when the handler is replaced is the other's:
// so they are ignored here, which hurts nobody.
describe.each([
  ['cancel from outside', 'canceled'],
  ['terminate', 'ended'],
])('a run() of a Worker ends by %s', (way, result) => {
  const both: [string, string, number, number] = ['both signals', '63-64', 2, 2];
  test.each(insideLab ? [both] : [['the signal', '64-64', 2, 1] as const, both])(
    'where somebody has %s ignored during the run',
    async (_, takes, caught, ignored) => {
      const end = await told('during', way, takes, 'later ignored');
      expect(end).toEqual({ result, caught, ignored });
    },
  );
});

describe('a Worker that ends while its VP cannot be interrupted, because somebody has taken all signals,', () => {
  test('leaves it running, for the process to end all the same', async () => {
    expect(await told('during', 'terminate without an exit', '34-64', 'later')).toEqual({
      result: 'running',
      caught: 31,
      ignored: 0,
    });
  });

  test('does not take the exit away by which that run ends', async () => {
    expect(await told('during', 'terminate with an exit later', '34-64', 'later')).toMatchObject({
      result: 'timer-expired',
    });
  });
});

test('a VP is not started where all are somebody’s', async () => {
  expect(await told('before', 'cancel', '34-64', 'now')).toMatchObject({
    code: 'ENOSPC',
    syscall: 'sigaction',
    running: false,
  });
});
