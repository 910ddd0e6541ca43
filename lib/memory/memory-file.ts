import { fstatSync } from 'node:fs';
import { constants } from 'node:os';

import { systemError } from '../errors.js';

/** The whole pages of a file from `offset` on, in bytes. Of a device it says nothing. */
export function restOfFile(fd: number, offset: bigint): bigint {
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
  return ((size - offset) / 4096n) * 4096n;
}

/** Why a file cannot be mapped. */
export const fileHints = new Map([
  [-constants.errno.EBADF, 'it is not open'],
  [-constants.errno.EACCES, 'it must be open for reading and writing'],
  [-constants.errno.ENXIO, 'the file ends before that'],
  [-constants.errno.ENODEV, 'it is neither a regular file nor a device that can be mapped'],
  [-constants.errno.EINVAL, 'the file has huge pages: offset and size must be multiples of theirs'],
]);
