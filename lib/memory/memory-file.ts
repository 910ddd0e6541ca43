import { fstatSync, type BigIntStats } from 'node:fs';
import { constants } from 'node:os';

import { rangeError } from '../arguments.js';
import { systemError } from '../errors.js';
import type { Native } from '../native.js';

/** The whole pages of a file from `offset` on, in bytes: at least one, at most `most`. Of a device it says nothing. */
export function restOfFile(fd: number, offset: bigint, most: bigint): bigint {
  let size: bigint;
  try {
    ({ size } = fstatSync(fd, { bigint: true }));
  } catch (cause) {
    const error = systemError(`map descriptor ${fd}`, -constants.errno.EBADF, {
      syscall: 'fstat',
    });
    error.cause = cause;
    throw error;
  }
  const rest = ((size - offset) / 4096n) * 4096n;
  if (rest < 4096n || rest > most) {
    throw rangeError(
      'options',
      `such that the file has 4096 to ${most} bytes from options.offset on, or options.size says how many`,
      `offset ${offset}, of a file with ${size} bytes`,
    );
  }
  return rest;
}

type Identity = Pick<BigIntStats, 'dev' | 'ino'>;

function identityOf(fd: number): Identity | undefined {
  try {
    return fstatSync(fd, { bigint: true });
  } catch {
    return undefined;
  }
}

/** A descriptor of a file for others to know: who closes it closes that number, and may make it another file's. */
export class ShownDescriptor {
  readonly #native: Native;
  readonly #fd: number;
  readonly #identity: Identity | undefined;

  /** Takes ownership of `fd`. */
  constructor(native: Native, fd: number) {
    this.#native = native;
    this.#fd = fd;
    this.#identity = identityOf(fd);
  }

  /** The number; undefined where it is not that file's any more. */
  get fd(): number | undefined {
    const now = identityOf(this.#fd);
    const { dev, ino } = this.#identity ?? {};
    return now !== undefined && now.dev === dev && now.ino === ino ? this.#fd : undefined;
  }

  close(): void {
    if (this.fd === undefined) {
      this.#native.release(this.#fd);
    } else {
      this.#native.close(this.#fd);
    }
  }
}

/** Why a file cannot be mapped. */
export const fileHints = new Map([
  [-constants.errno.EBADF, 'it is not open'],
  [-constants.errno.EACCES, 'it must be open for reading and writing'],
  [-constants.errno.ENXIO, 'the file ends before that'],
  [-constants.errno.ENODEV, 'it is neither a regular file nor a device that can be mapped'],
  [-constants.errno.EINVAL, 'the file has huge pages: offset and size must be multiples of theirs'],
]);
