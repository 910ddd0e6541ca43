import { execFileSync } from 'node:child_process';

/** The oldest glibc that the addons have to load with: that of RHEL 9 and Ubuntu 22.04. */
export const glibcFloor = '2.34';

/** The libraries that Node.js itself, or its C library, brings. */
const brought = /^(?:libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux-[\w-]+)\.so(?:\.\d+)?$/;

/**
 * What an addon asks of the system that is not there on every one that it is for: a glibc above the floor, a library that Node.js
 * does not bring. It is read from the file itself, of whatever processor that is.
 *
 * @param floor the oldest glibc, as `2.34`
 */
export function excessiveNeeds(file: string, floor = glibcFloor): string[] {
  const words = ['--wide', '--dynamic', '--version-info', file];
  const said = execFileSync('readelf', words, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  const libraries = matches(said, /\(NEEDED\).*\[(.*)\]/g).filter((name) => !brought.test(name));
  const versions = matches(said, /Name: (GLIBC_[\d.]+|[A-Z]+XX[A-Z]*_[\w.]+)/g);
  return [...libraries, ...versions.filter((version) => isAbove(version, floor))];
}

function matches(text: string, pattern: RegExp): string[] {
  return [...new Set(Array.from(text.matchAll(pattern), ([, group = '']) => group))].sort();
}

/** Of a C++ library no version is in the floor. */
function isAbove(version: string, floor: string): boolean {
  const [, number] = /^GLIBC_(.*)$/.exec(version) ?? [];
  if (number === undefined) return true;
  const digits = (text: string): number[] => text.split('.').map(Number);
  const [wanted, most] = [digits(number), digits(floor)];
  for (let i = 0; i < Math.max(wanted.length, most.length); i++) {
    const difference = (wanted[i] ?? 0) - (most[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}
