import { type Native, nativeOption } from '../native.js';
import { boolean, defaulting, pageMultiple, unchecked, type OptionTable } from '../options.js';

/** An offset into a file, such that its end is a safe integer too. */
export const largestFileOffset = 2n ** 52n;

/** What memory is allocated. */
export interface NewMemoryOptions {
  /**
   * Backed by a file without a name (`memfd`) that cannot be resized, so that `share()` can hand it to Workers. Else it
   * is private to this environment. Default false.
   */
  shared?: boolean;
  /**
   * Aligned to 2 MiB, and the kernel is asked for pages of that size. A hint: `shared` memory gets them only where
   * `/sys/kernel/mm/transparent_hugepage/shmem_enabled` says `advise` or more. Default false.
   */
  hugePages?: boolean;
}

/** How guest memory is allocated. */
export interface GuestMemoryOptions extends NewMemoryOptions {
  /** The addon to use. Memory for a simulated partition must use that simulator's. */
  native?: Native;
}

/** What of a file becomes guest memory. */
export interface GuestMemoryFileOptions {
  /** Where the memory begins in the file, a multiple of 4096. Default 0. */
  offset?: number | bigint;
  /**
   * A multiple of 4096, 4096 to 2^47; the file must be that long. Default: the whole pages that it has from
   * `offset` on; a device has to be told.
   */
  size?: number | bigint;
  /** The addon to use. Memory for a simulated partition must use that simulator's. */
  native?: Native;
}

export const newMemoryOptions = {
  shared: boolean(false),
  hugePages: boolean(false),
} satisfies OptionTable<NewMemoryOptions>;

export const creationOptions = {
  ...newMemoryOptions,
  native: nativeOption,
} satisfies OptionTable<GuestMemoryOptions>;

export const fileOptions = {
  offset: defaulting(pageMultiple(0n, largestFileOffset), 0n),
  // By default what the file has.
  size: unchecked<number | bigint | undefined>,
  native: nativeOption,
} satisfies OptionTable<GuestMemoryFileOptions>;
