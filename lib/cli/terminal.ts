import type { Writable } from 'node:stream';

/** A stream that may lead to a terminal. */
export type OutputStream = Writable & { readonly isTTY?: boolean };

/** Where a command writes. */
export interface Terminal {
  /** Results. */
  readonly stdout: OutputStream;
  /** Errors, and progress where it is a terminal. */
  readonly stderr: OutputStream;
}
