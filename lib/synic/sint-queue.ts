/** Who posts, as far as a queue cares. */
export interface Poster {
  /** The promise of this poster that has not settled. */
  waiting: Promise<true> | undefined;
}

/** A message on its way to a SINT. */
export interface QueuedMessage {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly poster: Poster | undefined;
  /** Ends the poster's promise; undefined once the message is taken. */
  waiter: { resolve: (taken: true) => void; reject: (error: unknown) => void } | undefined;
  /** Why its poster gave it up while it was being posted: it goes where the slot is busy. */
  withdrawn?: unknown;
}

/**
 * The messages for one SINT, the first at the head.
 *
 * At most `bound` of them are taken, that is, their posters have been told so; the others wait for room behind
 * their posters' promises, one for each poster. Only messages that move here from another VP may make the taken
 * ones more than `bound`. Every operation takes constant time, but for moving.
 */
export class SintQueue {
  readonly #bound: number;
  #messages: QueuedMessage[] = [];
  // Shifting an array costs its length: the head moves instead.
  #head = 0;
  #waiting: QueuedMessage[] = [];
  #taken = 0;

  constructor(bound: number) {
    this.#bound = bound;
  }

  get length(): number {
    return this.#messages.length - this.#head;
  }

  get head(): QueuedMessage | undefined {
    return this.#messages[this.#head];
  }

  /** Whether one more message would be taken at once. */
  get hasRoom(): boolean {
    return this.#taken < this.#bound;
  }

  /** Appends a message, with a waiter exactly where it is not taken. */
  push(message: QueuedMessage): void {
    this.#messages.push(message);
    if (message.waiter === undefined) {
      this.#taken++;
    } else {
      this.#waiting.push(message);
    }
  }

  /** Removes the head, and takes as many waiting messages as there is room for. */
  shift(): void {
    const head = this.#messages[this.#head];
    if (head === undefined) {
      return;
    }
    this.#head++;
    if (this.#head === this.#messages.length) {
      this.#messages.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
    if (head.waiter === undefined) {
      this.#taken--;
    } else {
      this.#waiting = this.#waiting.filter((message) => message !== head);
    }
    this.takeWaiting();
  }

  /** Removes the messages that `leaves` picks, in order. */
  remove(leaves: (message: QueuedMessage) => boolean): QueuedMessage[] {
    const all = this.all();
    const left = all.filter(leaves);
    if (left.length > 0) {
      const gone = new Set(left);
      this.#messages = all.filter((message) => !gone.has(message));
      this.#head = 0;
      this.#waiting = this.#messages.filter(({ waiter }) => waiter !== undefined);
      this.#taken = this.#messages.length - this.#waiting.length;
    }
    return left;
  }

  all(): QueuedMessage[] {
    return this.#messages.slice(this.#head);
  }

  takeWaiting(): void {
    while (this.hasRoom) {
      const message = this.#waiting.shift();
      if (message === undefined) {
        return;
      }
      this.#taken++;
      settle(message);
    }
  }
}

/** Tells the poster that its message is taken, or why it never will be. */
export function settle(message: QueuedMessage, error?: unknown): void {
  const { waiter, poster } = message;
  if (waiter === undefined) {
    return;
  }
  message.waiter = undefined;
  if (poster !== undefined) {
    poster.waiting = undefined;
  }
  if (error === undefined) {
    waiter.resolve(true);
  } else {
    waiter.reject(error);
  }
}
