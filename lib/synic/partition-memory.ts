import { constants } from 'node:os';

import { monitorPageLayout } from '../abi/synic.js';
import { MshvError } from '../errors.js';
import type { DoorbellOptions } from '../irq/doorbell-table.js';
import { memoryPages } from '../memory/guest-memory.js';
import type { MappedMemory } from '../memory/mapped-memory.js';
import { onMapping } from '../memory/mapping-listeners.js';
import type { HypercallMemory } from './guest-hypercall.js';
import type { MonitorMemory } from './monitor-pages.js';

/** What only the environment that opened the partition has of it: a `Partition`. */
export interface OwnedPartition {
  registerDoorbell(options: DoorbellOptions): Disposable;
  readMemory(gpa: bigint, into: Uint8Array): boolean;
  writeMemory(gpa: bigint, bytes: Uint8Array): boolean;
  mappingAt(gpa: bigint): MappedMemory | undefined;
}

/** The guest's memory, as the SynIC needs it. */
export interface SynicMemory extends HypercallMemory, MonitorMemory {}

export function isOwned(partition: object): partition is OwnedPartition {
  return ['registerDoorbell', 'readMemory', 'writeMemory', 'mappingAt'].every(
    (method) => typeof Reflect.get(partition, method) === 'function',
  );
}

/** What the partition has mapped, and pages of it to allocate. */
export function mappedMemory(partition: OwnedPartition, pool: readonly bigint[]): SynicMemory {
  const free = new Set(pool);
  return {
    read: (gpa, into) => partition.readMemory(gpa, into),
    // A page is polled where the guest can write to it. Where it cannot, its writes are trapped.
    page: (gpa) => {
      const mapping = partition.mappingAt(gpa);
      if (mapping === undefined || !mapping.writable || mapping.memory.closed) {
        return undefined;
      }
      const offset = BigInt(mapping.offset) + gpa - mapping.gpa;
      try {
        return mapping.memory.bytes(offset, monitorPageLayout.size);
      } catch (error) {
        // Where the runtime has no buffer over it.
        if (error instanceof MshvError && error.errno === -constants.errno.ENOTSUP) {
          return memoryPages(mapping.memory).bitsFrom(offset);
        }
        throw error;
      }
    },
    allocatePage: () => {
      const zeroes = new Uint8Array(monitorPageLayout.size);
      for (const gpa of free) {
        if (partition.writeMemory(gpa, zeroes)) {
          free.delete(gpa);
          return gpa;
        }
      }
      return undefined;
    },
    freePage: (gpa) => {
      free.add(gpa);
    },
    onMapped: (listener) => onMapping(partition, listener),
  };
}
