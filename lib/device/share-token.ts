import { constants } from 'node:os';
import { types } from 'node:util';

import { typeError } from '../arguments.js';
import { MshvError } from '../errors.js';
import { descriptorKinds, type Native } from '../native.js';
import { stepError } from '../step-error.js';

// A token is descriptors that nobody owns: the sender has released its duplicates, the receiver takes
// them. They are in shared memory with a mark, so that of several copies of a token only one can be received:
// two owners of one descriptor would close each other's.

const taken = 0;
const first = 1;

/** What a token is for, and how many descriptors it holds. */
const contents = { partition: 1, vp: 3, memory: 1 } as const;

type TokenKind = keyof typeof contents;

/** Descriptors on their way to another environment of this process. */
interface ShareToken<Kind extends TokenKind> {
  readonly type: `mshv-${Kind}`;
  readonly offer: Int32Array;
}

/** What `partition.share()` returns, for `SharedPartition.receive()`: post it, or pass it as `workerData`. */
export type PartitionToken = ShareToken<'partition'>;

/** What `vp.share()` returns, for `Vp.receive()`: post it, or pass it as `workerData`. */
export interface VpToken extends ShareToken<'vp'> {
  /** The VP's. */
  readonly index: number;
}

/** What `memory.share()` returns, for `GuestMemory.receive()`: post it, or pass it as `workerData`. */
export interface GuestMemoryToken extends ShareToken<'memory'> {
  /** Where the memory begins in its file, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

/**
 * Duplicates descriptors and releases the duplicates.
 *
 * @param what - what is shared, for errors: `'VP 3'`
 */
export function offerDescriptors(
  native: Native,
  what: string,
  descriptors: readonly number[],
): Int32Array {
  const offer = new Int32Array(new SharedArrayBuffer(4 * (first + descriptors.length)));
  const duplicates: number[] = [];
  for (const fd of descriptors) {
    const duplicate = native.dup(fd);
    if (duplicate < 0) {
      const error = stepError(native, `share ${what}`, duplicate);
      for (const made of duplicates) {
        native.close(made);
      }
      throw error;
    }
    duplicates.push(duplicate);
  }
  offer.set(
    duplicates.map((fd) => native.release(fd)),
    first,
  );
  return offer;
}

/** The token's descriptors, as the argument of a function. */
export function tokenArgument(kind: TokenKind, value: unknown): Int32Array {
  if (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === `mshv-${kind}` &&
    'offer' in value &&
    types.isInt32Array(value.offer) &&
    types.isSharedArrayBuffer(value.offer.buffer) &&
    value.offer.length === first + contents[kind]
  ) {
    return value.offer;
  }
  throw typeError('token', `a token that ${kind}.share() returned in this process`, value);
}

/**
 * Lets `receive` adopt the descriptors of a token, in the order in which they were offered. Where anything
 * throws, the token can be received again.
 */
export function takeOffer<Received>(
  native: Native,
  offer: Int32Array,
  receive: (adopt: (kind: keyof typeof descriptorKinds) => number) => Received,
): Received {
  if (Atomics.exchange(offer, taken, 1) !== 0) {
    throw new MshvError('the token has been received already: share() once for each receiver', {
      code: 'ERR_MSHV_TOKEN_TAKEN',
    });
  }
  const adopted: number[] = [];
  try {
    return receive((kind) => {
      const fd = offer[first + adopted.length] ?? -1;
      const result = native.adopt(fd, descriptorKinds[kind]);
      if (result < 0) {
        throw stepError(native, 'receive a token', result, adoptHints);
      }
      adopted.push(fd);
      return fd;
    });
  } catch (error) {
    for (const fd of adopted) {
      native.release(fd);
    }
    Atomics.store(offer, taken, 0);
    throw error;
  }
}

const adoptHints = new Map([
  [-constants.errno.EBADF, 'somebody has closed what the token holds'],
  [-constants.errno.EINVAL, "the sender used another addon: pass it as 'native'"],
]);
