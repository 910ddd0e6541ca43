import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { typescriptProgram } from '../typescript-program.js';

// What limits, seccomp filters and a container without /proc leave: the second way, or an error that names the step that
// failed and what helps. The table of docs/support.md says the same. Each errno of each step is in faults/system-calls.test.ts.

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = typescriptProgram(new URL('programs/under-limits.ts', import.meta.url));
const { ENOSYS, EPERM } = constants.errno;

let folder: string;
let filter: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  filter = join(folder, 'filter.so');
  const source = join(root, 'test/unit/programs/seccomp_filter.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', filter, source]);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

type Told =
  | { readonly result?: unknown; readonly code?: undefined }
  | { readonly code: string; readonly syscall: string; readonly message: string };

function told(command: readonly string[], environment: NodeJS.ProcessEnv = {}): Told {
  const [first = '', ...rest] = command;
  const { stdout, stderr } = spawnSync(first, rest, {
    cwd: root,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Told;
}

const fails = (code: string, syscall: string, remedy: string): unknown => ({
  code,
  syscall,
  message: expect.stringMatching(`: ${code} \\(${syscall}\\): .*${remedy}`) as string,
});

describe('where as many descriptors are open as may be', () => {
  it.each([
    ['EventFd.create()', 'eventfd'],
    ['event.clone()', 'fcntl'],
    ['GuestMemory.allocate(), shared', 'memfd_create'],
    ['memory.window()', 'fcntl'],
    ['vp.cancel()', 'memfd_create'],
    ['vp.share()', 'fcntl'],
  ])('%s fails in %s', (operation, syscall) => {
    const command = ['prlimit', '--nofile=120', process.execPath, program, operation];
    expect(told([...command, 'descriptors'])).toEqual(fails('EMFILE', syscall, 'ulimit -n'));
  });

  it('Mshv.open() says so', () => {
    const command = ['prlimit', '--nofile=120', process.execPath, program, 'Mshv.open()'];
    expect(told([...command, 'descriptors'])).toEqual(fails('EMFILE', 'open', 'ulimit -n'));
  });

  it.each([
    ['event.signal()', '1'],
    ['event.watch()', undefined],
    ['GuestMemory.allocate()', 0x123000],
    ['vp.start()', undefined],
    ['vp.registerPage', true],
    ['vp.interceptPage', true],
    ['vp.getRegisters()', '0'],
  ])('%s works', (operation, result) => {
    const command = ['prlimit', '--nofile=120', process.execPath, program, operation];
    expect(told([...command, 'descriptors'])).toEqual({ result });
  });
});

describe('other limits', () => {
  it.each(['vp.run()', 'vp.start()'])('%s without timers fails in timer_create', (operation) => {
    const command = ['prlimit', '--sigpending=0', process.execPath, program, operation];
    expect(told(command)).toEqual(fails('EAGAIN', 'timer_create', 'ulimit -i'));
  });

  it.each([
    ['vp.registerPage', false],
    ['vp.getRegisters()', '0'],
    ['event.watch()', undefined],
  ])('%s works without timers', (operation, result) => {
    const command = ['prlimit', '--sigpending=0', process.execPath, program, operation];
    expect(told(command)).toEqual({ result });
  });

  it('GuestMemory.allocate() of more than there are addresses fails in mmap', () => {
    const command = [process.execPath, program, 'GuestMemory.allocate(), too much'];
    expect(told(command)).toEqual(fails('ENOMEM', 'mmap', 'ulimit -v'));
  });

  it.each(['GuestMemory.allocate()', 'GuestMemory.allocate(), shared'])(
    '%s needs no locked memory',
    (operation) => {
      const command = ['prlimit', '--memlock=0', process.execPath, program, operation];
      expect(told(command)).toEqual({ result: 0x123000 });
    },
  );
});

// Of the second argument: fcntl(2)'s command, mmap(2)'s size.
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

describe.each([
  ['ENOSYS', ENOSYS],
  ['EPERM', EPERM],
])('under a filter that says %s', (code, errno) => {
  const under = (operation: string, call: string, second?: number): Told =>
    told([process.execPath, program, operation, filter], {
      MSHV_TEST_FILTER: [call, errno, ...(second === undefined ? [] : [second])].join(' '),
    });

  it.each<[string, string, string, number?]>([
    ['EventFd.create()', 'eventfd2', 'eventfd'],
    ['EventFd.adopt()', 'readlink', 'readlink'],
    ['GuestMemory.allocate()', 'mmap', 'mmap', 0x123000],
    ['GuestMemory.allocate(), shared', 'memfd_create', 'memfd_create'],
    ['GuestMemory.allocate(), shared', 'fcntl', 'fcntl', F_ADD_SEALS],
    ['vp.cancel()', 'memfd_create', 'memfd_create'],
    ['vp.cancel()', 'fcntl', 'fcntl', F_GET_SEALS],
    ['vp.run()', 'timer_create', 'timer_create'],
    ['vp.start()', 'timer_create', 'timer_create'],
  ])('%s without %s fails in %s', (operation, call, syscall, second) => {
    expect(under(operation, call, second)).toEqual(fails(code, syscall, 'seccomp'));
  });

  it.each<[string, string, unknown, number?]>([
    ['GuestMemory.allocate()', 'memfd_create', 0x123000],
    ['vp.registerPage', 'memfd_create', true],
    ['vp.interceptPage', 'memfd_create', true],
    ['vp.registerPage', 'mmap', true, 0x1000],
    ['vp.interceptPage', 'mmap', true, 0x1000],
    ['vp.getRegisters()', 'memfd_create', '0'],
    ['vp.getRegisters()', 'mmap', '0', 0x1000],
    ['event.watch()', 'eventfd2', undefined],
  ])('%s goes on without %s', (operation, call, result, second) => {
    expect(under(operation, call, second)).toEqual({ result });
  });
});

const hidden = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'];
const hideProc = 'mount -t tmpfs none /proc';
const mayHide = spawnSync('unshare', [...hidden.slice(1), hideProc]).status === 0;

describe.skipIf(!mayHide)('without /proc (skipped where nobody may hide it)', () => {
  const without = (operation: string): Told =>
    told([...hidden, `${hideProc} && exec "$@"`, 'sh', process.execPath, program, operation]);

  it.each([
    ['EventFd.create()', { result: expect.any(Number) as unknown }],
    ['event.signal()', { result: '1' }],
    ['event.watch()', {}],
    ['GuestMemory.allocate(), shared', { result: 0x123000 }],
    ['EventFd.adopt()', fails('ENOENT', 'readlink', 'mount')],
    ['vp.start()', {}],
    ['vp.getRegisters()', { result: '0' }],
    ['EventFd.create() of the simulator', fails('ENOENT', 'open', 'mount')],
  ])('%s', (operation, expected) => {
    expect(without(operation)).toEqual(expected);
  });
});
