import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { excessiveNeeds } from '../../packaging/addon-needs.js';

// What npm run prebuild refuses to publish.

let folder: string;
let library: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  const source = join(folder, 'library.cc');
  library = join(folder, 'library.so');
  // A symbol of 2.2.5, and one that a C++ library has.
  writeFileSync(
    source,
    `#include <cstdio>
     #include <string>
     extern "C" void Print(const char* name) { std::puts((name + std::string(name)).c_str()); }`,
  );
  execFileSync('g++', ['-shared', '-fPIC', '-o', library, source]);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

it('finds a C++ library that a system may not have', () => {
  expect(excessiveNeeds(library)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^libstdc\+\+/),
      expect.stringMatching(/^GLIBCXX_/),
    ]),
  );
});

it('finds a glibc above the floor', () => {
  const above = expect.arrayContaining([expect.stringMatching(/^GLIBC_2[.\d]+$/)]) as string[];
  expect(excessiveNeeds(library, '2.1')).toEqual(above);
  expect(excessiveNeeds(library, '2.99')).not.toEqual(above);
});
