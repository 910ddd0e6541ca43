import { constants } from 'node:os';
import { types } from 'node:util';

import { isObject, typeError } from '../arguments.js';
import { MshvError } from '../errors.js';
import { descriptorKinds, type Native } from '../native.js';
import { stepError } from '../step-error.js';

// A token is descriptors that nobody owns: duplicates of the sender's, until the receiver takes them. They are in shared
// memory with a mark, so that of several copies of a token only one can be received: two owners of one descriptor would
// close each other's. Each is made, and taken, by one call of the addon's, which knows of it whenever a Worker ends.

/** Before the descriptors: whether it is taken, and whether its maker lives. */
const header = 2;

/** What a token is for, and what descriptors it holds. */
const contents = {
  partition: ['partition'],
  vp: ['vp', 'runControl', 'partition'],
  memory: ['file'],
} as const;

type TokenKind = keyof typeof contents;

/** Descriptors on their way to another environment of this process. */
interface ShareToken<Kind extends TokenKind> {
  readonly type: `mshv-${Kind}`;
  readonly offer: Int32Array;
}

/** What `partition.share()` returns, for `SharedPartition.receive()`: post it, or pass it as `workerData`. */
export interface PartitionToken extends ShareToken<'partition'> {
  /** Which VP has which APIC id: memory that all environments of the process share. */
  readonly apicIds: SharedArrayBuffer;
}

/** What `vp.share()` returns, for `Vp.receive()`: post it, or pass it as `workerData`. */
export interface VpToken extends ShareToken<'vp'> {
  /** The VP's. */
  readonly index: number;
  /** Its partition's, see `PartitionToken`. */
  readonly apicIds: SharedArrayBuffer;
}

/** What `memory.share()` returns, for `GuestMemory.receive()`: post it, or pass it as `workerData`. */
export interface GuestMemoryToken extends ShareToken<'memory'> {
  /** Where the memory begins in its file, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

/**
 * Offers duplicates of descriptors.
 *
 * @param what - what is shared, for errors: `'VP 3'`
 */
export function offerDescriptors(
  native: Native,
  what: string,
  descriptors: readonly number[],
): Int32Array {
  const offer = new Int32Array(new SharedArrayBuffer(4 * (header + descriptors.length)));
  const result = native.share(Int32Array.from(descriptors), offer);
  if (result < 0) {
    throw stepError(native, `share ${what}`, result);
  }
  return offer;
}

/** The token's descriptors, as the argument of a function. */
export function tokenArgument(kind: TokenKind, value: unknown): Int32Array {
  if (
    isObject(value) &&
    'type' in value &&
    value.type === `mshv-${kind}` &&
    'offer' in value &&
    types.isInt32Array(value.offer) &&
    types.isSharedArrayBuffer(value.offer.buffer) &&
    value.offer.length === header + contents[kind].length
  ) {
    return value.offer;
  }
  throw typeError('token', `a token that ${kind}.share() returned in this process`, value);
}

/**
 * Takes the descriptors of a token, in the order of `contents`; of a VP it is attached. Where this throws, the token can be
 * received again.
 */
export function takeOffer(
  native: Native,
  kind: 'partition' | 'vp',
  offer: Int32Array,
): readonly number[] {
  const descriptors = [...offer.subarray(header)];
  const kinds = contents[kind].map((each) => descriptorKinds[each]);
  const result = native.receive(offer, Uint32Array.from(kinds));
  if (result < 0) {
    throw receiveError(native, result, receiveHints);
  }
  return descriptors;
}

/** The error for a token that the addon could not take. */
export function receiveError(
  native: Native,
  result: number,
  hints: ReadonlyMap<number, string>,
): MshvError {
  return result === -constants.errno.EALREADY
    ? new MshvError(
        'the token has been received already, or the environment that made it has ended: share() once for each receiver',
        { code: 'ERR_MSHV_TOKEN_TAKEN' },
      )
    : stepError(native, 'receive a token', result, hints);
}

const receiveHints = new Map([
  [-constants.errno.EBADF, 'somebody has closed what the token holds'],
  [-constants.errno.EINVAL, "the sender used another addon: pass it as 'native'"],
]);
