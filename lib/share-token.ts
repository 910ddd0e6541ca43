import { constants } from 'node:os';
import { types } from 'node:util';

import { isObject, typeError, valueError } from './arguments.js';
import { MshvError } from './errors.js';
import {
  addonOf,
  descriptorKinds,
  nativeOfAddon,
  optionalNative,
  type AddonName,
  type Native,
} from './native.js';
import { takeOptions, type OptionTable } from './options.js';
import { stepError } from './step-error.js';

// A token is descriptors that nobody owns: duplicates of the sender's, until the receiver takes them. They are in shared
// memory with a mark, so that of several copies of a token only one can be received: two owners of one descriptor would
// close each other's. Each is made, and taken, by one call of the addon's, which knows of it whenever a Worker ends. It names
// that addon: the simulator's descriptors mean nothing to the other one, and what is an eventfd to both is exact only in its own.

/** Before the descriptors: whether it is taken, and whether its maker lives. */
const header = 2;

/** What a token is for, and what descriptors it holds. */
const contents = {
  partition: ['partition'],
  vp: ['vp', 'arbiter', 'partition'],
  memory: ['file'],
  event: ['eventfd'],
} as const;

type TokenKind = keyof typeof contents;

/** Descriptors on their way to another environment of this process. */
interface ShareToken<Kind extends TokenKind> {
  /** What it is of. */
  readonly type: `mshv-${Kind}`;
  /** The sender's, with which it is received: `mshv_sim` is the simulator's. */
  readonly addon: AddonName;
  /** The descriptors: memory that all environments of the process share. Nobody else's to change. */
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

/** What `event.share()` returns, for `EventFd.receive()`: post it, or pass it as `workerData`. */
export interface EventFdToken extends ShareToken<'event'> {
  /** Whether each read consumes one unit. */
  readonly semaphore: boolean;
}

/** How to receive what another environment shares. */
export interface ReceiveOptions {
  /** The addon to use, where it is another object than the environment's own: it must be the one that the token names. */
  native?: Native;
}

const receiveOptions = { native: optionalNative } satisfies OptionTable<ReceiveOptions>;

/**
 * Makes a token of duplicates of descriptors.
 *
 * @param what - what is shared, for errors: `'VP 3'`
 */
export function makeToken<Kind extends TokenKind>(
  native: Native,
  kind: Kind,
  what: string,
  descriptors: readonly number[],
): ShareToken<Kind> {
  const offer = new Int32Array(new SharedArrayBuffer(4 * (header + descriptors.length)));
  const result = native.share(Int32Array.from(descriptors), offer);
  if (result < 0) {
    throw stepError(native, `share ${what}`, result);
  }
  return { type: `mshv-${kind}`, addon: addonOf(native), offer };
}

/** What all tokens have, as the argument of a function. */
export function tokenArgument<Kind extends TokenKind>(
  kind: Kind,
  value: ShareToken<Kind>,
): ShareToken<Kind> {
  const given: unknown = value;
  if (isObject(given) && 'type' in given && 'addon' in given && 'offer' in given) {
    const { type, addon, offer } = given;
    if (
      type === `mshv-${kind}` &&
      (addon === 'mshv' || addon === 'mshv_sim') &&
      types.isInt32Array(offer) &&
      types.isSharedArrayBuffer(offer.buffer) &&
      offer.length === header + contents[kind].length
    ) {
      return { type: `mshv-${kind}`, addon, offer };
    }
  }
  throw typeError('token', `a token that ${kind}.share() returned in this process`, value);
}

/** The addon that receives a token. */
export function receivingNative({ addon }: ShareToken<TokenKind>, options: ReceiveOptions): Native {
  const { native } = takeOptions('options', options, receiveOptions);
  if (native === undefined) {
    return nativeOfAddon(addon);
  }
  if (addonOf(native) !== addon) {
    throw valueError('options.native', `the addon of the token, ${addon}`, addonOf(native));
  }
  return native;
}

/**
 * Takes the descriptors of a token, in the order of `contents`; of a VP it is attached. Where this throws, the token can be
 * received again.
 */
export function takeOffer(
  native: Native,
  { type, offer }: ShareToken<'partition'> | ShareToken<'vp'>,
): readonly number[] {
  const descriptors = [...offer.subarray(header)];
  const kinds = contents[type === 'mshv-vp' ? 'vp' : 'partition'].map(
    (each) => descriptorKinds[each],
  );
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
  [-constants.errno.EINVAL, 'what it holds is something else by now'],
]);
