import { InterceptMessages, type Intercept } from '../abi/intercepts.js';
import { messageLayout } from '../abi/message-types.js';
import type { Message } from '../abi/messages/message.js';
import { lastingBytes } from '../lasting-bytes.js';
import { MshvError } from '../errors.js';

/**
 * The exit that a VP stopped with and that nobody has completed yet, in bytes that each run fills
 * again.
 */
export class PendingExit {
  /** What the addon fills. */
  readonly message = lastingBytes(messageLayout.size);
  readonly #messages = new InterceptMessages(this.message);
  readonly #vp: number;
  #exit: Intercept | undefined;

  constructor(vp: number) {
    this.#vp = vp;
  }

  /** The bytes hold a new exit. */
  arrive(): Intercept {
    return (this.#exit = this.#messages.current);
  }

  /** The exit is completed, or the VP runs again. */
  clear(): void {
    this.#exit = undefined;
  }

  /** Whether `exit`, or what it is a snapshot of, is waiting to be completed. */
  is(exit: Message): boolean {
    const pending = this.#exit;
    return pending !== undefined && (exit === pending || isSnapshot(exit, pending));
  }

  /**
   * Checks that it is.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT`
   */
  check(exit: Message): void {
    if (!this.is(exit)) {
      throw new MshvError(
        `cannot complete the exit: it is not what VP ${this.#vp} stopped with, or it has been completed`,
        { code: 'ERR_MSHV_STALE_EXIT' },
      );
    }
  }
}

/**
 * Nothing but the bytes tells a snapshot of this exit from one of an earlier exit. A view of an earlier one of another
 * type is over the same bytes.
 */
function isSnapshot(exit: Message, pending: Message): boolean {
  return (
    exit.type === pending.type &&
    exit.messageType === pending.messageType &&
    Buffer.compare(exit.payload, pending.payload) === 0
  );
}
