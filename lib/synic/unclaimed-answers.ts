/** What a message that was taken for a later answer has become. */
export interface Outstanding {
  readonly vtl: number;
  readonly secure: boolean;
  readonly type: number;
  readonly message: Uint8Array;
  /** The status for the guest; undefined while there is none. */
  status: number | undefined;
  /** How many more intervals the answer is kept. */
  intervals: number;
}

/**
 * How many answers wait for the guest's retry. A VP posts one message at a time, so more of them are
 * messages that the guest has given up; 256 is the most VPs that a partition has.
 */
const mostAnswers = 256;

/**
 * How long an answer is kept: 10 intervals, together 5 seconds. The longest that guests wait before they try again is 2.1
 * seconds in Linux (`vmbus_post_msg` doubles its pause from 1 us to 2^21 us) and about 2 in FreeBSD.
 */
const keptIntervals = 10;
const intervalMs = 500;

function isSame(one: Outstanding, other: Outstanding): boolean {
  return (
    one.vtl === other.vtl &&
    one.secure === other.secure &&
    one.type === other.type &&
    Buffer.compare(one.message, other.message) === 0
  );
}

/**
 * The messages of one port that their handler has taken without having answered, or with an answer that
 * the guest has not come back for.
 *
 * The hypercall has no number by which a retry could be told from a new message, and guests sleep between their
 * attempts, so that another VP may make the next one: neither the VP, nor the instruction (every hypercall is made
 * from the same one, on the hypercall page), nor the input's address says anything. What is left is that a retry has
 * the same VTL and the same bytes, and comes soon: an equal message that comes later is a new one. Two VPs that
 * post equal messages may get each other's answers; each is handled once nevertheless.
 *
 * Time goes on only as the event loop turns: while somebody blocks it no retry can come either.
 */
export class UnclaimedAnswers {
  // More than one only where a handler posts to its own port.
  readonly #pending = new Set<Outstanding>();
  readonly #answered: Outstanding[] = [];
  #timer: NodeJS.Timeout | undefined;
  #resets = 0;

  /** Whether a handler has yet to answer. */
  get busy(): boolean {
    return this.#pending.size > 0;
  }

  get size(): number {
    return this.#answered.length + this.#pending.size;
  }

  /** How often it was cleared: what a handler was given before is nothing to wait for. */
  get resets(): number {
    return this.#resets;
  }

  /** Takes the answer for a message of this kind, where there is one. */
  claim(vtl: number, secure: boolean, type: number, message: Uint8Array): number | undefined {
    if (this.#answered.length === 0) {
      return undefined;
    }
    const wanted: Outstanding = { vtl, secure, type, message, status: undefined, intervals: 0 };
    const found = this.#answered.findIndex((answer) => isSame(answer, wanted));
    return found < 0 ? undefined : this.#answered.splice(found, 1)[0]?.status;
  }

  /** Begins to wait for an answer. */
  await(vtl: number, secure: boolean, type: number, message: Uint8Array): Outstanding {
    const outstanding = { vtl, secure, type, message, status: undefined, intervals: 0 };
    this.#pending.add(outstanding);
    return outstanding;
  }

  /**
   * Keeps the answer for the retry, at the cost of the oldest one where there are too many. Without a
   * status the message was not taken after all: the retry is a new message.
   */
  answer(outstanding: Outstanding, status: number | undefined): void {
    if (!this.#pending.delete(outstanding) || status === undefined) {
      return;
    }
    outstanding.status = status;
    // The first may be over at once.
    outstanding.intervals = keptIntervals + 1;
    this.#answered.push(outstanding);
    if (this.#answered.length > mostAnswers) {
      this.#answered.shift();
    }
    this.#timer ??= this.#nextInterval();
  }

  clear(): void {
    this.#resets++;
    this.#pending.clear();
    this.#answered.length = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** A timer that is set anew each time, not one that makes up for the turns that were missed. */
  #nextInterval(): NodeJS.Timeout {
    return setTimeout(() => {
      for (const answer of this.#answered) {
        answer.intervals--;
      }
      // They are in the order in which they were answered.
      const kept = this.#answered.findIndex(({ intervals }) => intervals > 0);
      this.#answered.splice(0, kept < 0 ? this.#answered.length : kept);
      this.#timer = this.#answered.length === 0 ? undefined : this.#nextInterval();
    }, intervalMs).unref();
  }
}
