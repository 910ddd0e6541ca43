import { inspect, type InspectOptions } from 'node:util';

import type { WaitOptions } from '../abort-signal.js';
import { vpArgument, vtlArgument } from '../abi/arguments.js';
import { integerArgument } from '../arguments.js';
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
import { failuresOption, type FailureListener, type FailureReports } from '../failures.js';
import type { MessageVpOwner } from './deliverability-notifications.js';
import type { GuestMessagePort, MessagePoster, PostResult } from './guest-ports.js';
import { MessageQueues } from './message-queues.js';
import { savedMessages, type SavedGuestMessages } from './saved-guest-messages.js';
import { SintMessagePort } from './sint-message-port.js';
import type { Poster } from './sint-queue.js';
import type { MessagePartition } from './slot-post.js';

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
  readonly #queues: MessageQueues;

  constructor(partition: MessagePartition, options: GuestMessagesOptions = {}) {
    implementationArgument('partition', partition, ['hasVp', 'postMessage']);
    const { bound, onError } = takeOptions('options', options, messagesOptions);
    this.#bound = bound;
    this.#partition = partition;
    this.#queues = new MessageQueues(partition, bound, onError);
  }

  /** How many messages have been posted and not delivered, those included that are not taken yet. */
  get size(): number {
    return this.#queues.all
      .flatMap(({ sints }) => sints)
      .reduce((size, queue) => size + queue.length, 0);
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
        this.#queues.post(this.#queues.of(vtl, target), sint, poster, ...message),
      move: (from, to) => {
        this.#queues.move(poster, sint, this.#queues.of(vtl, from), this.#queues.of(vtl, to));
      },
      leave: (from, error) => {
        this.#queues.leave(poster, sint, this.#queues.of(vtl, from), error);
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
    const queues = this.#queues.of(vtl, vp);
    const poster = queues.anonymous[sint];
    return poster !== undefined && this.#queues.post(queues, sint, poster, type, payload, waiting);
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
    return this.#queues.notifications.attach(vp, owner, () =>
      this.#queues.all.filter((queues) => queues.vp === vp),
    );
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
    this.#queues.sintsDeliverable(vtl, vp, sints);
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
    const queues = this.#queues.all.flatMap(({ vtl, vp, sints }) =>
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
    this.#queues.discard();
    for (const { vtl, vp, sint, messages } of all) {
      const queue = this.#queues.of(vtl, vp).sints[sint];
      for (const { type, payload } of messages) {
        queue?.push({
          type,
          payload: new Uint8Array(payload),
          poster: undefined,
          waiter: undefined,
        });
      }
    }
    this.#queues.deliverAll();
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
    this.#queues.discard();
    this.#queues.notifyAll();
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
}
