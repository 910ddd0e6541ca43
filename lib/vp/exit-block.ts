import { messageLayout } from '../abi/message-types.js';
import { lastingBytes } from '../lasting-bytes.js';

/** Where the mark is, which is 0 until somebody was told of the exit. */
export const toldAt = messageLayout.size;
const runAt = toldAt + 4;
const wordsAt = runAt + 4;

/** A completion changes five registers at most: RAX, RBX, RCX, RDX and RIP. */
const mostWords = 2 * 5;

const placesAt = wordsAt + mostWords * BigUint64Array.BYTES_PER_ELEMENT;
const size = placesAt + mostWords * Uint32Array.BYTES_PER_ELEMENT;

/** What `Native.vpUseBlock` takes: the bytes through which the addon hands over exits of a VP, and learns how they are completed. */
export class ExitBlock {
  readonly bytes = lastingBytes(size);
  /** The exit. */
  readonly message = this.bytes.subarray(0, messageLayout.size);
  /** What a completion writes: two words for each register, the low one first. */
  readonly words = new BigUint64Array(this.bytes.buffer, wordsAt, mostWords);
  /** Where in the register page each of them goes, in bytes; 0 where it does not. */
  readonly places = new Uint32Array(this.bytes.buffer, placesAt, mostWords);
  readonly #fields = new DataView(this.bytes.buffer);

  /** The exit's type, as a signed number: an unsigned one above 2³¹ would be a heap object each time. */
  get type(): number {
    return this.#fields.getInt32(messageLayout.type, true);
  }

  /** The number of the run that has ended with it. */
  get run(): number {
    return this.#fields.getInt32(runAt, true);
  }
}
