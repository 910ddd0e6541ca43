import { readFileSync } from 'node:fs';

/** The lines of /proc/self/maps that match, but for what has replaced a closed mapping until its buffer is garbage. */
export const mappings = (name: RegExp): string[] =>
  readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => name.test(line) && !line.includes('memfd:mshv_nobodys'));
