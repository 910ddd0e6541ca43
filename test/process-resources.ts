import { mappings } from './mappings.js';
import { openDescriptors } from './open-descriptors.js';
import { processThreads } from './process-threads.js';

/** What this process has of what a binding can leave behind. */
export interface ProcessResources {
  readonly descriptors: number;
  readonly threads: number;
  /** Mappings of memory files and of the driver's pages. */
  readonly mappings: number;
}

export function processResources(): ProcessResources {
  return {
    descriptors: openDescriptors(),
    threads: processThreads().size,
    mappings: mappings(/memfd:|anon_inode:|\/dev\/(?!null|zero)/).length,
  };
}
