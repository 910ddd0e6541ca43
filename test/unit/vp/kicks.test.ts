import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The signals that interrupt runs, where somebody else of the process uses signals too. Its handler ends the process where it is
// called: no signal of ours may reach it, and it may not be replaced.

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** When the library takes or ignores its signals, or whether it has them blocked. */
type When = 'now' | 'later' | 'later ignored' | 'block' | 'ignore';

let folder: string;
let library: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  library = join(folder, 'signal-taker.so');
  const source = join(root, 'test/unit/programs/signal_taker.c');
  execFileSync('cc', ['-shared', '-fPIC', '-Wl,-z,nodelete', '-o', library, source]);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What a program tells that interrupts a run by `way`, where the library takes signals at `moment`. */
function told(moment: string, way: string, takes: string, when: When) {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'test/unit/programs/kicked-runs.ts', library, moment, way],
    {
      cwd: root,
      env: { ...process.env, MSHV_TEST_TAKES: takes, MSHV_TEST_WHEN: when },
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  if (status !== 0) throw new Error(`it ends with ${status}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}

const results = { cancel: 'canceled', stop: 'stopped', close: 'closed' } as const;
const ways = Object.entries(results);

describe.each(ways)('%s() interrupts a run', (way, result) => {
  it.each<[string, string, string, When, number, number?]>([
    ['SIGRTMAX is somebody’s before the first run', 'before', '64-64', 'now', 3],
    ['somebody replaces the handler between two runs', 'between', '64-64', 'now', 3],
    ['somebody replaces both handlers between two runs', 'between', '63-64', 'now', 4],
    ['somebody replaces the handler during the run', 'during', '64-64', 'later', 3],
    ['somebody replaces both handlers during the run', 'during', '63-64', 'later', 4],
    ['all are blocked', 'before', '64-64', 'block', 2],
    ['two are ignored, which stay so', 'before', '63-64', 'ignore', 2, 2],
    ['all but one are ignored', 'before', '35-64', 'ignore', 2, 29],
    ['all are ignored, as a parent may leave them', 'before', '34-64', 'ignore', 2, 29],
  ])('where %s', (_, moment, takes, when, caught, ignored = 0) => {
    expect(told(moment, way, takes, when)).toEqual({ result, caught, ignored });
  });

  it('or says that it cannot, where somebody takes all of them during the run, which goes on', () => {
    expect(told('during', way, '34-64', 'later')).toEqual({
      code: 'ENOSPC',
      syscall: 'sigaction',
      closed: false,
      running: true,
      caught: 31,
      ignored: 0,
    });
  });
});

// Its run is interrupted now and then anyhow, and a signal that is on its way when the handler is replaced is the other's:
// so they are ignored here, which hurts nobody.
describe.each([
  ['cancel from outside', 'canceled'],
  ['terminate', 'ended'],
])('a run() of a Worker ends by %s', (way, result) => {
  it.each<[string, string, number, number]>([
    ['the signal', '64-64', 2, 1],
    ['both signals', '63-64', 2, 2],
  ])('where somebody has %s ignored during the run', (_, takes, caught, ignored) => {
    expect(told('during', way, takes, 'later ignored')).toEqual({ result, caught, ignored });
  });
});

describe('a Worker that ends while its VP cannot be interrupted, because somebody has taken all signals,', () => {
  it('leaves it running, for the process to end all the same', () => {
    expect(told('during', 'terminate without an exit', '34-64', 'later')).toEqual({
      result: 'running',
      caught: 31,
      ignored: 0,
    });
  });

  it('does not take the exit away by which that run ends', () => {
    expect(told('during', 'terminate with an exit later', '34-64', 'later')).toMatchObject({
      result: 'timer-expired',
    });
  });
});

it('a VP is not started where all are somebody’s', () => {
  expect(told('before', 'cancel', '34-64', 'now')).toMatchObject({
    code: 'ENOSPC',
    syscall: 'sigaction',
    running: false,
  });
});
