import { readFileSync } from 'node:fs';

/** What the process has of addresses. */
export interface AddressSpace {
  /** In bytes, whether there are pages or not. */
  readonly size: number;
  /** In bytes, the pages that are there. */
  readonly resident: number;
  /** How many ranges there are, of which the host allows 65530 (`vm.max_map_count`) unless told. */
  readonly mappings: number;
}

export function addressSpace(): AddressSpace {
  const status = readFileSync('/proc/self/status', 'latin1');
  const bytes = (name: string): number => {
    const [, kib] = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status) ?? [];
    return 1024 * Number(kib);
  };
  return {
    size: bytes('VmSize'),
    resident: bytes('VmRSS'),
    mappings: readFileSync('/proc/self/maps', 'latin1').split('\n').length - 1,
  };
}
