import { onAbort, type WaitOptions } from '../abort-signal.js';
import { synicLimits } from '../abi/synic.js';
import { MshvError } from '../errors.js';
import type { Failures } from '../failures.js';
import { DeliverabilityNotifications } from './deliverability-notifications.js';
import type { PostResult } from './guest-ports.js';
import { settle, type Poster, type QueuedMessage } from './sint-queue.js';
import { tryPost, type MessagePartition } from './slot-post.js';
import { keyOf, VpQueues } from './vp-queues.js';

/** The queues of a partition's VPs, and how what is in them gets into the SINTs' slots. */
export class MessageQueues {
  readonly #partition: MessagePartition;
  readonly #bound: number;
  readonly #failures: Failures;
  readonly #queues = new Map<number, VpQueues>();
  readonly notifications: DeliverabilityNotifications;

  constructor(partition: MessagePartition, bound: number, failures: Failures) {
    this.#partition = partition;
    this.#bound = bound;
    this.#failures = failures;
    this.notifications = new DeliverabilityNotifications(failures);
  }

  /** Those that there are now. */
  get all(): VpQueues[] {
    return [...this.#queues.values()];
  }

  /** Those of one VTL of a VP, made when they are needed. */
  of(vtl: number, vp: number): VpQueues {
    const key = keyOf(vtl, vp);
    let queues = this.#queues.get(key);
    if (queues === undefined) {
      queues = new VpQueues(vtl, vp, this.#bound);
      this.#queues.set(key, queues);
    }
    return queues;
  }

  /** As `GuestMessages.sintsDeliverable()`. */
  sintsDeliverable(vtl: number, vp: number, sints: number): void {
    const queues = this.#queues.get(keyOf(vtl, vp));
    if (queues === undefined) {
      return;
    }
    // The hypervisor has taken these bits out of the register, if its owner is not just about to write it.
    if (queues.notifying) {
      queues.registered = undefined;
    } else if (queues.registered !== undefined) {
      queues.registered &= ~sints;
    }
    queues.deliverable |= sints & queues.flushing;
    for (let sint = 0; sint < synicLimits.sints; sint++) {
      if ((sints & (1 << sint)) !== 0) {
        this.#flush(queues, sint);
      }
    }
    this.notifications.notify(queues);
  }

  /** Delivers what can be delivered. */
  deliverAll(): void {
    for (const queues of this.all) {
      for (let sint = 0; sint < synicLimits.sints; sint++) {
        this.#flush(queues, sint);
      }
      this.notifications.notify(queues);
    }
  }

  /** Makes all registers say what they have to say. */
  notifyAll(): void {
    for (const queues of this.all) {
      this.notifications.notify(queues);
    }
  }

  post(
    queues: VpQueues,
    sint: number,
    poster: Poster,
    type: number,
    payload: Uint8Array,
    { signal }: WaitOptions,
  ): PostResult {
    const queue = queues.sints[sint];
    if (queue === undefined || poster.waiting !== undefined) {
      return false;
    }
    const message: QueuedMessage = {
      type,
      payload: new Uint8Array(payload),
      poster,
      waiter: undefined,
    };
    if (queue.hasRoom) {
      queue.push(message);
      this.#deliver(queues, sint);
      return true;
    }
    const waiting = new Promise<true>((resolve, reject) => {
      message.waiter = { resolve, reject };
    });
    const stopListening =
      signal &&
      onAbort(signal, (reason) => {
        this.#withdraw(sint, message, reason);
      });
    const settled = (): void => stopListening?.();
    // A poster that does not look at its promise must not end the process.
    waiting.then(settled, settled);
    poster.waiting = waiting;
    queue.push(message);
    this.#deliver(queues, sint);
    return waiting;
  }

  /** Delivers unless the slot is known to be busy: nobody tells of a free one where the VP has no owner. */
  #deliver(queues: VpQueues, sint: number): void {
    if ((queues.blocked & (1 << sint)) === 0 || !this.notifications.hasOwner(queues.vp)) {
      this.#flush(queues, sint);
    }
    this.notifications.notify(queues);
  }

  #flush(queues: VpQueues, sint: number): void {
    const bit = 1 << sint;
    const queue = queues.sints[sint];
    // A delivery that is going on gets to what was added meanwhile.
    if (queue === undefined || (queues.flushing & bit) !== 0) {
      return;
    }
    queues.flushing |= bit;
    queues.blocked &= ~bit;
    try {
      for (let message = queue.head; message !== undefined; message = queue.head) {
        queues.posting.add(message);
        const refusal = tryPost(this.#partition, queues, sint, message);
        queues.posting.delete(message);
        if (refusal === 'busy') {
          if (message.withdrawn !== undefined && message.waiter !== undefined) {
            this.#withdraw(sint, message, message.withdrawn);
            continue;
          }
          if ((queues.deliverable & bit) === 0) {
            queues.blocked |= queue.length === 0 ? 0 : bit;
            return;
          }
          queues.deliverable &= ~bit;
          continue;
        }
        // Not there any more where the queues were reset meanwhile.
        if (queue.head === message) {
          queue.shift();
          if (refusal !== undefined) {
            this.#refuse(queues, message, refusal);
          }
          settle(message);
        }
      }
    } finally {
      queues.flushing &= ~bit;
      queues.deliverable &= ~bit;
    }
  }

  /** Tells of a message that will never be delivered: its poster, where that still waits for an answer. */
  #refuse(queues: VpQueues, message: QueuedMessage, error: MshvError): void {
    if (message.waiter === undefined) {
      this.#failures.report(queues, () => error);
    } else {
      settle(message, error);
    }
  }

  move(poster: Poster, sint: number, from: VpQueues, to: VpQueues): void {
    const target = to.sints[sint];
    const moved = this.#remove(from, sint, (message) => message.poster === poster);
    for (const message of moved) {
      target?.push(message);
    }
    target?.takeWaiting();
    // Only now, when each message is in a queue: whoever is told may save or reset them, or post others.
    this.notifications.notify(from);
    this.#deliver(to, sint);
  }

  /** Ends a poster: what is taken will be delivered, what is not will never be. */
  leave(poster: Poster, sint: number, from: VpQueues, error: Error): void {
    const left = this.#remove(
      from,
      sint,
      (message) => message.poster === poster && message.waiter !== undefined,
    );
    for (const message of left) {
      settle(message, error);
    }
    this.notifications.notify(from);
  }

  /** Gives a message up that is not taken, wherever it is by now. */
  #withdraw(sint: number, message: QueuedMessage, reason: unknown): void {
    const holder = this.all.find(({ sints }) => sints[sint]?.all().includes(message));
    if (holder === undefined || message.waiter === undefined) {
      return;
    }
    if (holder.posting.has(message)) {
      message.withdrawn = reason;
      return;
    }
    this.#remove(holder, sint, (other) => other === message);
    settle(message, reason);
    this.notifications.notify(holder);
  }

  /** Removes messages. What the register has to say may be another thing then. */
  #remove(
    queues: VpQueues,
    sint: number,
    leaves: (message: QueuedMessage) => boolean,
  ): QueuedMessage[] {
    const queue = queues.sints[sint];
    const removed =
      queue?.remove((message) => leaves(message) && !queues.posting.has(message)) ?? [];
    if (queue?.length === 0) {
      queues.blocked &= ~(1 << sint);
    }
    queue?.takeWaiting();
    return removed;
  }

  discard(): void {
    const error = new MshvError('the message was not delivered: the queues were reset', {
      code: 'ERR_MSHV_RESET',
    });
    for (const queues of this.all) {
      for (const queue of queues.sints) {
        for (const message of queue.remove(() => true)) {
          settle(message, error);
        }
      }
      queues.blocked = 0;
      queues.registered = undefined;
    }
  }
}
