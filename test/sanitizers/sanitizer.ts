import { execFileSync, spawnSync } from 'node:child_process';

/** What the addons are compiled with, and how a process that loads them is started. */
export interface Sanitizer {
  readonly name: 'address' | 'thread';
  readonly compilerFlags: readonly string[];
  readonly linkerFlags: readonly string[];
  /** The library that has to be in the process before the runtime of Node, which is not instrumented. */
  readonly runtime: string;
  /** Which environment variables the library takes its options from. */
  readonly variables: readonly string[];
  readonly options: Options;
  /** Whether it needs memory to be where the kernel puts it by default. */
  readonly fixedAddresses: boolean;
}

/** By name, as the library has it. */
export type Options = Readonly<Record<string, string | number>>;

const commonFlags = [
  '-g',
  '-O1',
  '-fno-omit-frame-pointer',
  // gcc cannot follow what it has instrumented itself.
  '-Wno-maybe-uninitialized',
];

/** AddressSanitizer and UndefinedBehaviorSanitizer. */
export const addressSanitizer: Sanitizer = {
  name: 'address',
  compilerFlags: [
    ...commonFlags,
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=undefined',
    '-D_GLIBCXX_ASSERTIONS',
  ],
  // As a library of its own, UBSan's runtime hands log_path to that of ASan and reports to stderr.
  linkerFlags: [
    '-fsanitize=address,undefined',
    '-static-libubsan',
    '-Wl,--exclude-libs,libubsan.a',
  ],
  runtime: 'libasan.so',
  variables: ['ASAN_OPTIONS', 'UBSAN_OPTIONS'],
  options: {
    print_stacktrace: 1,
    detect_stack_use_after_return: 1,
    strict_string_checks: 1,
    // A process that is ended by its parent cannot look for leaks: the soak does.
    detect_leaks: 0,
  },
  fixedAddresses: false,
};

/** ThreadSanitizer. */
export const threadSanitizer: Sanitizer = {
  name: 'thread',
  compilerFlags: [...commonFlags, '-fsanitize=thread'],
  linkerFlags: ['-fsanitize=thread'],
  runtime: 'libtsan.so',
  variables: ['TSAN_OPTIONS'],
  // There are reports about Node, too: the status of a process tells nothing. To look for names in one the library would
  // open files at that moment, in the middle of a test that counts descriptors: sanitized-copy.ts looks for them after.
  options: { exitcode: 0, history_size: 7, symbolize: 0 },
  // It ends with 'unexpected memory mapping' where newer kernels put memory more at random than it knows of.
  fixedAddresses: true,
};

/** What starts a program with the sanitizer, or, to show what comes of that, without. */
export function launcher({ fixedAddresses, runtime }: Sanitizer, watched: boolean): string[] {
  const preload = ['env', `LD_PRELOAD=${watched ? library(runtime) : ''}`];
  const fix = ['setarch', '--addr-no-randomize'];
  // Some containers do not let it. It has to do as it is then.
  const fixable = fixedAddresses && spawnSync('env', [...fix, 'true']).status === 0;
  return fixable ? [...fix, ...preload] : preload;
}

/** The environment in which a process of the project works with the sanitizer and reports to `folder`. */
export function environment(
  { variables, options }: Sanitizer,
  folder: string,
  more: Options = {},
): NodeJS.ProcessEnv {
  const all: Options = {
    ...options,
    // One format for all of them: always with the module, which tells our frames from Node's.
    stack_trace_format: '    #%n %f %S %M',
    ...more,
  };
  const set: NodeJS.ProcessEnv = {
    ...process.env,
    MSHV_SANITIZER_REPORTS: folder,
    MSHV_TEST_SLOWNESS: '5',
  };
  for (const variable of variables) {
    // Each library writes to a file of its own, <path>.<process>.
    const words = { ...all, log_path: `${folder}/${variable}` };
    set[variable] = Object.entries(words)
      .map(([option, value]) => `${option}='${value}'`)
      .join(':');
  }
  return set;
}

/** Where the compiler has one of its libraries. */
function library(name: string): string {
  const path = execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  if (path === name) {
    throw new Error(`g++ has no ${name}: install the sanitizers of this version of gcc`);
  }
  return path;
}
