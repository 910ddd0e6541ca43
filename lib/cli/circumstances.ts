import { arch, cpus, release, type } from 'node:os';

import { packageVersion } from './package-version.js';

/** Where and when something was found out, and by which command: it begins what `--json` prints. Keys are only ever added. */
export interface Circumstances {
  /** Of this package. */
  readonly version: string;
  readonly node: string;
  /** System and release. */
  readonly kernel: string;
  readonly arch: string;
  /** The model of the first processor; null where the system does not tell. */
  readonly cpu: string | null;
  /** How many processors there are. */
  readonly cpus: number;
  /** When it began: ISO 8601, UTC. */
  readonly date: string;
  /** What followed `mshv`. */
  readonly arguments: readonly string[];
}

export function circumstancesOf(args: readonly string[]): Circumstances {
  const processors = cpus();
  // Node has 'unknown' where /proc/cpuinfo has no model, as on arm64.
  const model = processors[0]?.model.trim() ?? '';
  return {
    version: packageVersion(),
    node: process.version,
    kernel: `${type()} ${release()}`,
    arch: arch(),
    cpu: model === '' || model === 'unknown' ? null : model,
    cpus: processors.length,
    date: new Date().toISOString(),
    arguments: args,
  };
}
