import { inspect, type InspectOptions } from 'node:util';

import { onAbort, type WaitOptions } from '../abort-signal.js';
import { vpArgument, vtlArgument } from '../abi/arguments.js';
import { synicLimits } from '../abi/synic.js';
import { integerArgument } from '../arguments.js';
import { MshvError } from '../errors.js';
import type { Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { defaulting, integer, takeOptions, type OptionTable } from '../options.js';
import { synchronous } from '../thenable.js';
import {
  implementationArgument,
  messageArguments,
  noVpError,
  targetArguments,
  type SintTarget,
} from './arguments.js';
import {
  failuresOption,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import {
  DeliverabilityNotifications,
  type MessageVpOwner,
} from './deliverability-notifications.js';
import type { GuestMessagePort, MessagePoster, PostResult } from './guest-ports.js';
import { savedMessages, type SavedGuestMessages } from './saved-guest-messages.js';
import { SintMessagePort } from './sint-message-port.js';
import { settle, type Poster, type QueuedMessage } from './sint-queue.js';
import { tryPost, type MessagePartition } from './slot-post.js';
import { keyOf, VpQueues } from './vp-queues.js';

/** How many messages are queued, and what is told of failures. */
export interface GuestMessagesOptions {
  /** The most messages that are taken for a SINT of a VP and not delivered: 1 to 65536. Default 64. */
  bound?: number;
  /**
   * Is told of messages that the hypervisor refused for good: `ERR_MSHV_MESSAGE_REFUSED` with `hypercall`
   * and `hvStatus`; and of notifications that could not be asked for: `ERR_MSHV_NOTIFICATION`. Default: the
   * first failure of each VP is a process warning.
   */
  onError?: FailureListener | FailureReports;
}

const largestBound = 65_536;
const allSints = 0xffff;
export const boundArgument = integer(1, largestBound);

const messagesOptions = {
  bound: defaulting(boundArgument, 64),
  onError: failuresOption,
} satisfies OptionTable<GuestMessagesOptions>;

/**
 * The messages on their way to the guest: a bounded queue for each SINT of each VP.
 *
 * A message goes into its SINT's slot at once where that is free and nothing is before it. Where the slot is
 * busy it waits, and the VP's owner is asked for a notification. A message that the hypervisor refuses for good is
 * reported, and those behind it go on. Messages to one SINT of a VP are delivered in the order in which they
 * were posted, each once.
 *
 * @example
 * ```ts
 * import { PartitionSynic } from 'mshv';
 *
 * using synic = new PartitionSynic(partition);
 * console.log(synic.messages.size, synic.messages.save()); // 0 { queues: [] }
 * ```
 */
export class GuestMessages implements MessagePoster {
  readonly #partition: MessagePartition;
  readonly #bound: number;
  readonly #failures: Failures;
  readonly #queues = new Map<number, VpQueues>();
  readonly #notifications: DeliverabilityNotifications;

  constructor(partition: MessagePartition, options: GuestMessagesOptions = {}) {
    implementationArgument('partition', partition, ['hasVp', 'postMessage']);
    const { bound, onError } = takeOptions('options', options, messagesOptions);
    this.#bound = bound;
    this.#failures = onError;
    this.#notifications = new DeliverabilityNotifications(onError);
    this.#partition = partition;
  }

  /** How many messages have been posted and not delivered, those included that are not taken yet. */
  get size(): number {
    let size = 0;
    for (const { sints } of this.#queues.values()) {
      size += sints.reduce((sum, queue) => sum + queue.length, 0);
    }
    return size;
  }

  /**
   * Makes a port that posts to a SINT.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using port = synic.messages.newPort(0, 0, 2); // VTL, VP, SINT
   * console.log(port.closed); // false
   * ```
   */
  newPort(vtl: number, vp: number, sint: number): GuestMessagePort {
    ({ vtl, vp, sint } = this.#targetArguments(vtl, vp, sint));
    const poster: Poster = { waiting: undefined };
    return new SintMessagePort(vtl, vp, sint, {
      hasVp: (index) => synchronous('hasVp()', this.#partition.hasVp(index)),
      post: (target, ...message) =>
        this.#post(this.#queuesOf(vtl, target), sint, poster, ...message),
      move: (from, to) => {
        this.#move(poster, sint, this.#queuesOf(vtl, from), this.#queuesOf(vtl, to));
      },
      leave: (from, error) => {
        this.#leave(poster, sint, this.#queuesOf(vtl, from), error);
      },
    });
  }

  postMessage(
    vtl: number,
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    options: WaitOptions = {},
  ): PostResult {
    ({ vtl, vp, sint } = this.#targetArguments(vtl, vp, sint));
    const waiting = messageArguments(type, payload, options);
    const queues = this.#queuesOf(vtl, vp);
    const poster = queues.anonymous[sint];
    return poster !== undefined && this.#post(queues, sint, poster, type, payload, waiting);
  }

  /**
   * Says who runs a VP: that one is asked for the notifications that are due now and later.
   *
   * @returns ends this; harmless a second time
   * @throws MshvError `ERR_MSHV_VP_OWNED` where the VP has an owner
   */
  attachVp(vp: number, owner: MessageVpOwner): Handle {
    vp = vpArgument('vp', vp);
    implementationArgument('owner', owner, ['setDeliverabilityNotifications']);
    return this.#notifications.attach(vp, owner, () => this.#queuesOfVp(vp));
  }

  /**
   * Takes note that slots are free, as the SINT-deliverable intercept says, and delivers to them. For the
   * VP's owner.
   *
   * @param sints - a bit for each; those that nothing waits for do no harm
   */
  sintsDeliverable(vtl: number, vp: number, sints: number): void {
    vtl = vtlArgument('vtl', vtl);
    vp = vpArgument('vp', vp);
    sints = integerArgument('sints', sints, 0, allSints);
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
    this.#notifications.notify(queues);
  }

  /**
   * The messages that are taken and not delivered. Those whose promise has not resolved are their posters'.
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * const saved = synic.messages.save();
   * synic.messages.restore(structuredClone(saved));
   * ```
   */
  save(): SavedGuestMessages {
    const queues = [...this.#queues.values()].flatMap(({ vtl, vp, sints }) =>
      sints.map((queue, sint) => ({
        vtl,
        vp,
        sint,
        messages: queue
          .all()
          .filter(({ waiter }) => waiter === undefined)
          .map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) })),
      })),
    );
    return { queues: queues.filter(({ messages }) => messages.length > 0) };
  }

  /**
   * Makes the queues what they were when they were saved, posts what can be posted and asks for notifications
   * of the rest. The VPs' SynIC pages and registers must have been restored before. Restored messages belong to
   * no port: `setTargetVp` does not move them.
   *
   * What was queued here is discarded: promises that have not settled reject with `ERR_MSHV_RESET`.
   *
   * @throws MshvError `ERR_MSHV_NO_VP`; TypeError, RangeError: nothing is changed then
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.messages.restore({
   *   queues: [{ vtl: 0, vp: 0, sint: 2, messages: [{ type: 1, payload: Uint8Array.of(15) }] }],
   * }); // as save() has returned it
   * ```
   */
  restore(saved: SavedGuestMessages): void {
    const { queues: all } = takeOptions('saved', saved, savedMessages);
    for (const { vp } of all) {
      this.#refuseNoVp(vp);
    }
    this.#discard();
    for (const { vtl, vp, sint, messages } of all) {
      const queue = this.#queuesOf(vtl, vp).sints[sint];
      for (const { type, payload } of messages) {
        queue?.push({
          type,
          payload: new Uint8Array(payload),
          poster: undefined,
          waiter: undefined,
        });
      }
    }
    for (const queues of [...this.#queues.values()]) {
      for (let sint = 0; sint < synicLimits.sints; sint++) {
        this.#flush(queues, sint);
      }
      this.#notifications.notify(queues);
    }
  }

  /**
   * Discards every message: the guest has been reset. Promises that have not settled reject with
   * `ERR_MSHV_RESET`. The ports stay.
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.messages.reset();
   * console.log(synic.messages.size); // 0
   * ```
   */
  reset(): void {
    this.#discard();
    for (const queues of [...this.#queues.values()]) {
      this.#notifications.notify(queues);
    }
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('GuestMessages', { size: this.size, bound: this.#bound }, depth, options);
  }

  #targetArguments(vtl: number, vp: number, sint: number): SintTarget {
    const target = targetArguments(vtl, vp, sint);
    this.#refuseNoVp(target.vp);
    return target;
  }

  #refuseNoVp(vp: number): void {
    if (!synchronous('hasVp()', this.#partition.hasVp(vp))) {
      throw noVpError(vp);
    }
  }

  #queuesOf(vtl: number, vp: number): VpQueues {
    const key = keyOf(vtl, vp);
    let queues = this.#queues.get(key);
    if (queues === undefined) {
      queues = new VpQueues(vtl, vp, this.#bound);
      this.#queues.set(key, queues);
    }
    return queues;
  }

  #queuesOfVp(vp: number): VpQueues[] {
    return [...this.#queues.values()].filter((queues) => queues.vp === vp);
  }

  #post(
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
    if ((queues.blocked & (1 << sint)) === 0 || !this.#notifications.hasOwner(queues.vp)) {
      this.#flush(queues, sint);
    }
    this.#notifications.notify(queues);
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

  #move(poster: Poster, sint: number, from: VpQueues, to: VpQueues): void {
    const target = to.sints[sint];
    const moved = this.#remove(from, sint, (message) => message.poster === poster);
    for (const message of moved) {
      target?.push(message);
    }
    target?.takeWaiting();
    // Only now, when each message is in a queue: whoever is told may save or reset them, or post others.
    this.#notifications.notify(from);
    this.#deliver(to, sint);
  }

  /** Ends a poster: what is taken will be delivered, what is not will never be. */
  #leave(poster: Poster, sint: number, from: VpQueues, error: Error): void {
    const left = this.#remove(
      from,
      sint,
      (message) => message.poster === poster && message.waiter !== undefined,
    );
    for (const message of left) {
      settle(message, error);
    }
    this.#notifications.notify(from);
  }

  /** Gives a message up that is not taken, wherever it is by now. */
  #withdraw(sint: number, message: QueuedMessage, reason: unknown): void {
    const holder = [...this.#queues.values()].find(({ sints }) =>
      sints[sint]?.all().includes(message),
    );
    if (holder === undefined || message.waiter === undefined) {
      return;
    }
    if (holder.posting.has(message)) {
      message.withdrawn = reason;
      return;
    }
    this.#remove(holder, sint, (other) => other === message);
    settle(message, reason);
    this.#notifications.notify(holder);
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

  #discard(): void {
    const error = new MshvError('the message was not delivered: the queues were reset', {
      code: 'ERR_MSHV_RESET',
    });
    for (const queues of this.#queues.values()) {
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
