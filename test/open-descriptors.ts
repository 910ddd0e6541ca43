import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Files of others: where sanitizers write to, each process to a file of its own from its first report on, and where
 * they look for modules then (npm run sanitize); and TypeScript that a Worker was loading when it was terminated,
 * which Node leaves open (from 24 on).
 */
const foreign = [
  process.env['MSHV_SANITIZER_REPORTS'],
  `/proc/${process.pid}/maps`,
  join(tmpdir(), 'tsx-'),
].filter((path) => path !== undefined);

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => isOurs(fd)).length;
}

function isOurs(fd: string): boolean {
  try {
    const file = readlinkSync(`/proc/self/fd/${fd}`);
    return !foreign.some((path) => file.startsWith(path));
  } catch {
    // Closed since: that by which they were listed, or another thread's.
    return false;
  }
}
