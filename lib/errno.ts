import { getSystemErrorName } from 'node:util';

/** Errors of Linux that have a name here: those of libuv, and one that it lacks. */
const errnoNames = [
  'E2BIG',
  'EACCES',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EAGAIN',
  'EALREADY',
  'EBADF',
  'EBADFD',
  'EBUSY',
  'ECANCELED',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EDESTADDRREQ',
  'EEXIST',
  'EFAULT',
  'EFBIG',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EILSEQ',
  'EINTR',
  'EINVAL',
  'EIO',
  'EISCONN',
  'EISDIR',
  'ELOOP',
  'EMFILE',
  'EMLINK',
  'EMSGSIZE',
  'ENAMETOOLONG',
  'ENETDOWN',
  'ENETUNREACH',
  'ENFILE',
  'ENOBUFS',
  'ENODATA',
  'ENODEV',
  'ENOENT',
  'ENOEXEC',
  'ENOMEM',
  'ENONET',
  'ENOPROTOOPT',
  'ENOSPC',
  'ENOSYS',
  'ENOTCONN',
  'ENOTDIR',
  'ENOTEMPTY',
  'ENOTSOCK',
  'ENOTSUP',
  'ENOTTY',
  'ENXIO',
  'EOVERFLOW',
  'EPERM',
  'EPIPE',
  'EPROTO',
  'EPROTONOSUPPORT',
  'EPROTOTYPE',
  'ERANGE',
  'EREMOTEIO',
  'EROFS',
  'ESHUTDOWN',
  'ESOCKTNOSUPPORT',
  'ESPIPE',
  'ESRCH',
  'ETIMEDOUT',
  'ETXTBSY',
  'EUNATCH',
  'EXDEV',
] as const;

/** How an error of a system call is called; `'Unknown system error -512'` where it has no name. */
export type ErrnoCode = (typeof errnoNames)[number] | `Unknown system error ${number}`;

/** Linux has it, from a hypercall that was put off, and libuv does not. */
export const EBADFD = 77;

/** The name of a negative errno. */
export function errnoCode(errno: number): ErrnoCode {
  const text = errno === -EBADFD ? 'EBADFD' : getSystemErrorName(errno);
  return errnoNames.find((name) => name === text) ?? `Unknown system error ${errno}`;
}
