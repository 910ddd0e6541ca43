import { boolean, optionalName, pageMultiple, unchecked, type OptionTable } from '../options.js';

/** Where memory is mapped, and what the guest may do there. */
export interface MapMemoryOptions {
  /** Guest physical address of the first byte, a multiple of 4096. */
  gpa: number | bigint;
  /** Where to begin in the memory, a multiple of 4096. Default 0. */
  offset?: number | bigint;
  /** How much to map, a multiple of 4096. Default: up to the memory's end. */
  size?: number | bigint;
  /** Whether the guest may write. It may always read. Default true. */
  writable?: boolean;
  /** Whether the guest may run code there. Default true. */
  executable?: boolean;
  /** What it is, for error messages. */
  name?: string;
}

/** Guest physical addresses from `gpa` up to, but without, `gpa + size`. */
export interface GpaRange {
  /** A multiple of 4096. */
  gpa: number | bigint;
  /** In bytes, a multiple of 4096. */
  size: number | bigint;
}

/** Which pages to look at: at most 1 TiB, all of it mapped, by any number of mappings. */
export interface TrackedPagesOptions extends GpaRange {
  /** Whether to clear the bits that are read, so that the next call shows what came after. Default false. */
  clear?: boolean;
}

/** How `partition.writeMemory` writes. */
export interface WriteMemoryOptions {
  /**
   * Write only where the guest may write itself: for an address that the guest chose, such as that of a hypercall's
   * output. Else the guest could have a read-only mapping written, and the file behind it. Default false.
   */
  asGuest?: boolean;
}

/** Where guest physical addresses end. */
export const addressLimit = 2n ** 64n;
const lastPage = addressLimit - 4096n;
const gpaOption = pageMultiple(0n, lastPage);

// How much there may be of it depends on where it begins.
const sizeOption = unchecked<number | bigint>;

export const mappingOptions = {
  gpa: gpaOption,
  // These two depend on the memory.
  offset: unchecked<number | bigint | undefined>,
  size: unchecked<number | bigint | undefined>,
  writable: boolean(true),
  executable: boolean(true),
  name: optionalName,
} satisfies OptionTable<MapMemoryOptions>;

export const gpaRange = { gpa: gpaOption, size: sizeOption } satisfies OptionTable<GpaRange>;

export const trackingOptions = {
  gpa: gpaOption,
  size: sizeOption,
  clear: boolean(false),
} satisfies OptionTable<TrackedPagesOptions>;

export const writeOptions = { asGuest: boolean(false) } satisfies OptionTable<WriteMemoryOptions>;
