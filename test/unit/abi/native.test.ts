import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { claims, program, type Claim } from './claims.js';
import { facts, structsOf, type Arch } from './facts.js';

const native = fileURLToPath(new URL('../../../native', import.meta.url));
const mshvHeader = readFileSync(join(native, 'abi/mshv.h'), 'utf8');
const hvHeader = readFileSync(join(native, 'abi/hv.h'), 'utf8');

function run(command: string, args: readonly string[], input = '') {
  return spawnSync(command, args, {
    input,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 << 20,
    env: { ...process.env, LC_ALL: 'C' },
  });
}

/** Compiles what checks `all`; `output` is -fsyntax-only, or -o and a file. */
function compile(compiler: string, all: readonly Claim[], ...output: string[]) {
  const warnings = ['-Wall', '-Wextra', '-Wconversion', '-Werror'];
  const args = ['-std=c++20', ...warnings, `-I${native}`, ...output, '-xc++', '-'];
  return run(compiler, args, program(all));
}

function failedAssertions(diagnostics: string): number {
  return diagnostics.match(/error: static assertion failed/g)?.length ?? 0;
}

const targets: { arch: Arch; other: Arch; compiler: string; package: string }[] = [
  {
    arch: 'x64',
    other: 'arm64',
    compiler: 'x86_64-linux-gnu-g++',
    package: 'g++-x86-64-linux-gnu',
  },
  {
    arch: 'arm64',
    other: 'x64',
    compiler: 'aarch64-linux-gnu-g++',
    package: 'g++-aarch64-linux-gnu',
  },
];

for (const target of targets) {
  const own = target.arch === process.arch;
  const compiler = own ? 'g++' : target.compiler;
  const skip = !own && run(compiler, ['--version']).status !== 0;
  const reason = skip ? ` (skipped: no ${compiler}, install ${target.package})` : '';

  describe.skipIf(skip)(`native/abi compiled for ${target.arch}${reason}`, () => {
    const all = claims(target.arch);

    test('agrees with every fact', () => {
      const { status, stderr } = compile(compiler, all, '-fsyntax-only');
      expect(stderr).toBe('');
      expect(status).toBe(0);
    });

    test('disagrees with one wrong fact, and says which', () => {
      const wrong = all.map((claim) =>
        claim.expression === 'offsetof(mshv_user_irqfd, gsi)' ? { ...claim, value: 9 } : claim,
      );
      const { status, stderr } = compile(compiler, wrong, '-fsyntax-only');
      expect(status).not.toBe(0);
      expect(failedAssertions(stderr)).toBe(1);
      expect(stderr).toContain('static assertion failed: offsetof(mshv_user_irqfd, gsi)');
    });

    test('disagrees with every fact that is wrong', () => {
      const wrong = all.map(({ expression, value }) => ({ expression, value: value + 2 }));
      const { stderr } = compile(compiler, wrong, '-fsyntax-only');
      expect(failedAssertions(stderr)).toBe(all.length);
    });

    test(`disagrees with the facts of ${target.other}`, () => {
      const { status, stderr } = compile(compiler, claims(target.other), '-fsyntax-only');
      expect(status).not.toBe(0);
      expect(stderr).toMatch(/no member named '?.?pt_(rsvd2|disabled_xsave)/);
    });

    if (!own) return;
    test('holds the same values at run time', () => {
      const directory = mkdtempSync(join(tmpdir(), 'mshv-abi-'));
      try {
        const file = join(directory, 'abi');
        expect(compile(compiler, all, '-o', file).stderr).toBe('');
        const found: unknown = JSON.parse(run(file, []).stdout);
        expect(found).toEqual(all.map(({ expression, value }) => [expression, value]));
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  });
}

describe('the check of native/abi', () => {
  const names = (header: string, pattern: RegExp) =>
    [...header.matchAll(pattern)].map(([, name]) => name).sort();
  const structPattern = /^struct (?:\[\[[^\]]*\]\] )?(\w+)/gm;
  const constantPattern = /^inline constexpr \w+ (\w+) =/gm;

  test.each(['x64', 'arm64'] as const)('leaves out no fact of %s', (arch) => {
    const structs = Object.values(structsOf(arch));
    const fields = structs.flatMap((struct) => Object.values(struct.fields));
    const ioctls = Object.values(facts.ioctls);
    const bitFields = Object.values(facts.bitFields).flatMap((fields) => Object.values(fields));
    // A field has an offset, a size and a type, but sizeof cannot be asked of a flexible array.
    const expected =
      structs.length * 2 +
      fields.length * 3 -
      fields.filter(({ array }) => array === 0).length +
      ioctls.length * 5 +
      ioctls.filter(({ arg }) => arg !== null).length +
      Object.keys(facts.constants.mshv).length +
      Object.keys(facts.constants.hv).length +
      bitFields.length * 4;
    expect(claims(arch)).toHaveLength(expected);
    expect([structs.length, fields.length, ioctls.length]).toEqual([12, 51, 12]);
  });

  test('covers every declaration', () => {
    expect(names(mshvHeader, structPattern)).toEqual(Object.keys(facts.structs).sort());
    expect(names(mshvHeader, constantPattern)).toEqual(
      Object.keys({ ...facts.ioctls, ...facts.constants.mshv }).sort(),
    );
    expect(names(hvHeader, structPattern)).toEqual(
      ['BitField', ...Object.keys(facts.bitFields)].sort(),
    );
    expect(names(hvHeader, constantPattern)).toEqual(Object.keys(facts.constants.hv).sort());
    expect(names(hvHeader, /constexpr BitField (\w+)\{/g)).toEqual(
      Object.values(facts.bitFields).flatMap(Object.keys).sort(),
    );
  });

  test('is in the header, too: every size, offset and request number is asserted there', () => {
    const layout = (['x64', 'arm64'] as const).flatMap((arch) =>
      claims(arch)
        .filter(({ expression }) => /^(sizeof\(\w+\)|offsetof)/.test(expression))
        .map(({ expression, value }) => `static_assert(${expression} == ${value});`),
    );
    const requests = Object.entries(facts.ioctls).map(
      ([name, { value }]) => `static_assert(${name} == 0x${value.toString(16).padStart(8, '0')});`,
    );
    const asserted = mshvHeader.match(/^static_assert\(.*\);$/gm);
    expect(new Set(asserted)).toEqual(new Set([...layout, ...requests]));
  });
});
