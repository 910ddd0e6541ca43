import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Files of others: where sanitizers write to, each process to a file of its own from its first report on (npm run
 * sanitize), and TypeScript that a Worker was loading when it was terminated, which Node leaves open (from 24 on).
 */
const foreign = [process.env['MSHV_SANITIZER_REPORTS'], join(tmpdir(), 'tsx-')].filter(
  (path) => path !== undefined,
);

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => !isForeign(fd)).length;
}

function isForeign(fd: string): boolean {
  try {
    const file = readlinkSync(`/proc/self/fd/${fd}`);
    return foreign.some((path) => file.startsWith(path));
  } catch {
    // By which they were listed.
    return false;
  }
}
