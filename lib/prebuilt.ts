import { closeSync, openSync, readSync } from 'node:fs';

/** The platforms for which the published package has the addons, by the names of their folders below `prebuilds`. */
export const prebuiltPlatforms = [
  'linux-x64-glibc',
  'linux-arm64-glibc',
  'linux-x64-musl',
  'linux-arm64-musl',
] as const;

export type PrebuiltPlatform = (typeof prebuiltPlatforms)[number];

/** The platform of this process, named as those are: its addons need this system, processor and C library. */
export function thisPlatform(): string {
  return `${process.platform}-${process.arch}-${isLinkedToMusl() ? 'musl' : 'glibc'}`;
}

/** Whether this runtime is a program of musl: the dynamic linker that it asks for is named at the beginning of its file. */
function isLinkedToMusl(): boolean {
  try {
    const file = openSync(process.execPath, 'r');
    try {
      const head = Buffer.alloc(4096);
      return head.toString('latin1', 0, readSync(file, head)).includes('/ld-musl-');
    } finally {
      closeSync(file);
    }
  } catch {
    return false; // Without a right to read it (--permission) the usual one is as good a guess as any.
  }
}
