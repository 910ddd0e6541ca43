/** What a message that was taken for a later answer has become. */
export interface Outstanding {
  readonly vtl: number;
  readonly secure: boolean;
  readonly type: number;
  readonly message: Uint8Array;
  /** The status for the guest; undefined while there is none. */
  status: number | undefined;
}

/**
 * How many answers wait for the guest's retry. A VP posts one message at a time, so more of them are
 * messages that the guest has given up; 256 is the most VPs that a partition has.
 */
const mostAnswers = 256;

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
 * The hypercall has no number by which a retry could be told from a new message, so a retry is a message
 * of the same VTL with the same bytes. Two VPs that post equal messages may get each other's answers; each
 * is handled once nevertheless.
 */
export class UnclaimedAnswers {
  // More than one only where a handler posts to its own port.
  readonly #pending = new Set<Outstanding>();
  readonly #answered: Outstanding[] = [];

  /** Whether a handler has yet to answer. */
  get busy(): boolean {
    return this.#pending.size > 0;
  }

  get size(): number {
    return this.#answered.length + this.#pending.size;
  }

  /** Takes the answer for a message of this kind, where there is one. */
  claim(vtl: number, secure: boolean, type: number, message: Uint8Array): number | undefined {
    if (this.#answered.length === 0) {
      return undefined;
    }
    const wanted = { vtl, secure, type, message, status: undefined } satisfies Outstanding;
    const found = this.#answered.findIndex((answer) => isSame(answer, wanted));
    return found < 0 ? undefined : this.#answered.splice(found, 1)[0]?.status;
  }

  /** Begins to wait for an answer. */
  await(outstanding: Outstanding): void {
    this.#pending.add(outstanding);
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
    this.#answered.push(outstanding);
    if (this.#answered.length > mostAnswers) {
      this.#answered.shift();
    }
  }

  clear(): void {
    this.#pending.clear();
    this.#answered.length = 0;
  }
}
