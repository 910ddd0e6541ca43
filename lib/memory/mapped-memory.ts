import { inspect, type InspectOptions } from 'node:util';

import { ours, ownConstructor } from '../arguments.js';
import { hexadecimal, inspected } from '../inspection.js';
import type { GuestMemory } from './guest-memory.js';

/** What the partition's memory map has of one mapping. */
export interface MemoryMapping {
  readonly memory: GuestMemory;
  readonly handle: number;
  readonly gpa: bigint;
  readonly offset: number;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly name: string | undefined;
  mapped: boolean;
}

let create: (mapping: MemoryMapping, unmap: () => void) => MappedMemory;

/**
 * Memory at a place of a partition's guest physical address space: what `partition.mapMemory` returns.
 *
 * It keeps the pages alive until it ends: by `close()` or `unmap()`, by `partition.unmapMemory()`, or with the partition.
 *
 * @example
 * ```ts
 * console.log(mapped.gpa, mapped.size === memory.size, mapped.writable); // 0n true true
 * ```
 */
export class MappedMemory implements Disposable {
  readonly #mapping: MemoryMapping;
  readonly #unmap: () => void;

  private constructor(key: symbol, mapping: MemoryMapping, unmap: () => void) {
    ownConstructor('MappedMemory', key);
    this.#mapping = mapping;
    this.#unmap = unmap;
  }

  static {
    create = (mapping, unmap) => new MappedMemory(ours, mapping, unmap);
  }

  /** What is mapped; closed where its owner has closed it: the pages live until the mapping ends. */
  get memory(): GuestMemory {
    return this.#mapping.memory;
  }

  /** The guest physical address of the first byte, a multiple of 4096. */
  get gpa(): bigint {
    return this.#mapping.gpa;
  }

  /** Where it begins in `memory`, in bytes. */
  get offset(): number {
    return this.#mapping.offset;
  }

  /** In bytes. */
  get size(): number {
    return this.#mapping.size;
  }

  /** Whether the guest may write. */
  get writable(): boolean {
    return this.#mapping.writable;
  }

  /** Whether the guest may execute. */
  get executable(): boolean {
    return this.#mapping.executable;
  }

  /** The name that `mapMemory` was given. */
  get name(): string | undefined {
    return this.#mapping.name;
  }

  /** Whether the guest has it. */
  get mapped(): boolean {
    return this.#mapping.mapped;
  }

  /** The opposite of `mapped`, as all handles have it. */
  get closed(): boolean {
    return !this.#mapping.mapped;
  }

  /**
   * Takes the memory away from the guest: its next access is an intercept. Harmless where that was done already.
   *
   * Where the driver refuses, the memory stays mapped and the call may be repeated. Where the driver says that
   * nothing is mapped there (`ENOENT`: somebody else unmapped it), the error is thrown and the mapping has ended.
   *
   * @example
   * ```ts
   * mapped.unmap();
   * console.log(mapped.mapped, memory.closed); // false false
   * ```
   */
  unmap(): void {
    if (this.#mapping.mapped) {
      this.#unmap();
    }
  }

  /** `unmap()`, as all handles are closed. */
  close(): void {
    this.unmap();
  }

  [Symbol.dispose](): void {
    this.unmap();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { gpa, size, offset, writable, executable, mapped } = this.#mapping;
    const shown = {
      gpa: hexadecimal(gpa),
      size: hexadecimal(size),
      offset: hexadecimal(offset),
      access: `r${writable ? 'w' : '-'}${executable ? 'x' : '-'}`,
      mapped,
    };
    return inspected('MappedMemory', shown, depth, options);
  }
}

export { create as createMappedMemory };
