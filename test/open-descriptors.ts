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
  return openFiles().size;
}

/** What this process has open, by the number of the descriptor: a path, `'anon_inode:[eventfd]'`, `'socket:[…]'`. */
export function openFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const file = readlinkSync(`/proc/self/fd/${fd}`);
      if (!foreign.some((path) => file.startsWith(path))) files.set(fd, file);
    } catch {
      // Closed since: that by which they were listed, or another thread's.
    }
  }
  return files;
}
