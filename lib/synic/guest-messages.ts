import { AsyncResource } from 'node:async_hooks';
import { inspect, type InspectOptions } from 'node:util';

import {
  messageTypeArgument,
  payloadArgument,
  sintArgument,
  vpArgument,
  vtlArgument,
} from '../abi/arguments.js';
import { hvStatusCodes, hvStatusName } from '../abi/hv-status.js';
import { limits } from '../abi/limits.js';
import { synicLimits } from '../abi/synic.js';
import { integerArgument } from '../arguments.js';
import { isClosedError, MshvError } from '../errors.js';
import { createHandle, type Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { array, defaulting, integer, table, takeOptions, type OptionTable } from '../options.js';
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
  reasonOf,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import type { GuestMessagePort, MessagePoster } from './guest-ports.js';
import { SintMessagePort } from './sint-message-port.js';
import { settle, SintQueue, type Poster, type QueuedMessage } from './sint-queue.js';

/** What the queues need of a partition. */
export interface MessagePartition {
  hasVp(index: number): boolean;
  /**
   * Puts a message into the slot of a SINT: `HVCALL_POST_MESSAGE_DIRECT`.
   *
   * @param payload - borrowed for the call
   * @returns the HV status; or throws an MshvError that has it as `hvStatus`. `HV_STATUS_OBJECT_IN_USE` and
   *   `HV_STATUS_INSUFFICIENT_BUFFERS` mean that the slot is busy, any other that the message is refused for good
   */
  postMessage(vtl: number, vp: number, sint: number, type: number, payload: Uint8Array): number;
}

/**
 * What the queues need of whoever runs a VP. Only that one writes the VP's deliverability notifications: two
 * writers would undo each other's bits.
 */
export interface MessageVpOwner {
  /**
   * Asks for an intercept when a SINT's slot is free: `HvRegisterDeliverabilityNotifications`. When it
   * comes, `GuestMessages.sintsDeliverable` is to be called. It may post, reset or detach itself meanwhile: it is
   * told what came of that when it has returned.
   *
   * @param sints - exactly the SINTs to be told of, a bit for each
   * @returns at once, and no promise: one is reported as a failure
   */
  setDeliverabilityNotifications(vtl: number, sints: number): unknown;
}

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

/** The messages that were taken and not delivered. `structuredClone` takes it; JSON does not, for its payloads are bytes. */
export interface SavedGuestMessages {
  readonly queues: readonly SavedQueue[];
}

export interface SavedQueue {
  readonly vtl: number;
  readonly vp: number;
  readonly sint: number;
  /** In the order in which they are to be delivered. */
  readonly messages: readonly SavedMessage[];
}

interface SavedMessage {
  readonly type: number;
  readonly payload: Uint8Array;
}

const largestBound = 65_536;
const allSints = 0xffff;
/** How often an owner is told in a row: it may post to each SINT as it is told. */
const mostTold = 64;

export const boundArgument = integer(1, largestBound);

const messagesOptions = {
  bound: defaulting(boundArgument, 64),
  onError: failuresOption,
} satisfies OptionTable<GuestMessagesOptions>;

const savedMessage = {
  type: messageTypeArgument,
  payload: payloadArgument,
} satisfies OptionTable<SavedMessage>;

const savedQueue = {
  vtl: vtlArgument,
  vp: vpArgument,
  sint: sintArgument,
  messages: array(table(savedMessage)),
} satisfies OptionTable<SavedQueue>;

const savedMessages = {
  queues: array(table(savedQueue)),
} satisfies OptionTable<SavedGuestMessages>;

interface AttachedOwner {
  readonly owner: MessageVpOwner;
  /** In which it was attached. */
  readonly context: AsyncResource;
}

/** The queues of one VTL of a VP. */
class VpQueues {
  readonly vtl: number;
  readonly vp: number;
  readonly sints: readonly SintQueue[];
  /** Who posts without a port, by SINT. */
  readonly anonymous: readonly Poster[];
  /** The SINTs whose slot was busy, and whose notification has not come. */
  blocked = 0;
  /** What the register holds; undefined where that is not known. */
  registered: number | undefined = 0;
  /** The register's owner is being told. */
  notifying = false;
  /** The SINTs that are being delivered to. */
  flushing = 0;
  /** The SINTs whose notification came while they were. */
  deliverable = 0;
  /** The messages that are being posted. */
  readonly posting = new Set<QueuedMessage>();

  constructor(vtl: number, vp: number, bound: number) {
    this.vtl = vtl;
    this.vp = vp;
    this.sints = Array.from({ length: synicLimits.sints }, () => new SintQueue(bound));
    this.anonymous = this.sints.map(() => ({ waiting: undefined }));
  }
}

/**
 * The messages on their way to the guest: a bounded queue for each SINT of each VP.
 *
 * A message goes into its SINT's slot at once where that is free and nothing is before it. Where the slot is
 * busy it waits, and the VP's owner is asked for a notification. A message that the hypervisor refuses for good is
 * reported, and those behind it go on. Messages to one SINT of a VP are delivered in the order in which they
 * were posted, each once.
 */
export class GuestMessages implements MessagePoster {
  readonly #partition: MessagePartition;
  readonly #bound: number;
  readonly #failures: Failures;
  readonly #queues = new Map<number, VpQueues>();
  readonly #owners = new Map<number, AttachedOwner>();

  constructor(partition: MessagePartition, options: GuestMessagesOptions = {}) {
    implementationArgument('partition', partition, ['hasVp', 'postMessage']);
    const { bound, onError } = takeOptions('options', options, messagesOptions);
    this.#bound = bound;
    this.#failures = onError;
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
   */
  newPort(vtl: number, vp: number, sint: number): GuestMessagePort {
    ({ vtl, vp, sint } = this.#targetArguments(vtl, vp, sint));
    const poster: Poster = { waiting: undefined };
    return new SintMessagePort(vtl, vp, sint, {
      hasVp: (index) => synchronous('hasVp()', this.#partition.hasVp(index)),
      post: (target, type, payload) =>
        this.#post(this.#queuesOf(vtl, target), sint, poster, type, payload),
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
  ): boolean | Promise<void> {
    ({ vtl, vp, sint } = this.#targetArguments(vtl, vp, sint));
    messageArguments(type, payload);
    const queues = this.#queuesOf(vtl, vp);
    const poster = queues.anonymous[sint];
    return poster !== undefined && this.#post(queues, sint, poster, type, payload);
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
    if (this.#owners.has(vp)) {
      throw new MshvError(`VP ${vp} has an owner already`, { code: 'ERR_MSHV_VP_OWNED' });
    }
    const attached: AttachedOwner = { owner, context: new AsyncResource('MSHV_VP_OWNER') };
    this.#owners.set(vp, attached);
    for (const queues of this.#queuesOfVp(vp)) {
      this.#notify(queues);
    }
    return createHandle(`the owner of VP ${vp}`, {
      isOpen: () => this.#owners.get(vp) === attached,
      end: () => {
        this.#owners.delete(vp);
        for (const queues of this.#queuesOfVp(vp)) {
          // The next owner may find the VP in another state.
          queues.registered = queues.blocked === 0 ? 0 : undefined;
        }
      },
    });
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
    this.#notify(queues);
  }

  /** The messages that are taken and not delivered. Those whose promise has not resolved are their posters'. */
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
      this.#notify(queues);
    }
  }

  /**
   * Discards every message: the guest has been reset. Promises that have not settled reject with
   * `ERR_MSHV_RESET`. The ports stay.
   */
  reset(): void {
    this.#discard();
    for (const queues of [...this.#queues.values()]) {
      this.#notify(queues);
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
  ): boolean | Promise<void> {
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
    const waiting = new Promise<void>((resolve, reject) => {
      message.waiter = { resolve, reject };
    });
    // A poster that does not look at its promise must not end the process.
    waiting.catch(() => undefined);
    poster.waiting = waiting;
    queue.push(message);
    this.#deliver(queues, sint);
    return waiting;
  }

  /** Delivers unless the slot is known to be busy: nobody tells of a free one where the VP has no owner. */
  #deliver(queues: VpQueues, sint: number): void {
    if ((queues.blocked & (1 << sint)) === 0 || !this.#owners.has(queues.vp)) {
      this.#flush(queues, sint);
    }
    this.#notify(queues);
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
        const refusal = this.#tryPost(queues, sint, message);
        queues.posting.delete(message);
        if (refusal === 'busy') {
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

  /** Posts a message, and returns why that did not succeed. */
  #tryPost(
    { vtl, vp }: VpQueues,
    sint: number,
    { type, payload }: QueuedMessage,
  ): 'busy' | MshvError | undefined {
    let status: number | undefined;
    let cause: unknown;
    try {
      status = synchronous(
        'postMessage()',
        this.#partition.postMessage(vtl, vp, sint, type, payload),
      );
    } catch (error) {
      cause = error;
      status = error instanceof MshvError ? error.hvStatus?.code : undefined;
    }
    switch (status) {
      case hvStatusCodes.HV_STATUS_SUCCESS:
        return undefined;
      case hvStatusCodes.HV_STATUS_OBJECT_IN_USE:
      case hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS:
        return 'busy';
      default:
        return refusedError(vtl, vp, sint, status, cause);
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

  /**
   * Makes the VP's register say what it has to say, where that is not so. An owner that posts while it is told is told
   * again afterwards: it would else write what it was given first over what it was given last.
   */
  #notify(queues: VpQueues): void {
    if (queues.notifying) {
      return;
    }
    queues.notifying = true;
    try {
      for (let told = 0; queues.registered !== queues.blocked; told++) {
        const owner = this.#owners.get(queues.vp);
        if (owner === undefined) {
          return;
        }
        if (told === mostTold) {
          queues.registered = undefined;
          const cause = new Error(`its owner makes it another one each of ${mostTold} times`);
          this.#reportNotification(queues, queues.vp, cause);
          return;
        }
        if (!this.#tell(owner, queues)) {
          return;
        }
      }
    } finally {
      queues.notifying = false;
    }
  }

  /** Tells an owner what the register has to say, and returns whether that succeeded. */
  #tell({ owner, context }: AttachedOwner, queues: VpQueues): boolean {
    const { vtl, vp, blocked } = queues;
    queues.registered = blocked;
    try {
      const result: unknown = context.runInAsyncScope(
        // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
        owner.setDeliverabilityNotifications,
        owner,
        vtl,
        blocked,
      );
      synchronous('setDeliverabilityNotifications()', result);
      return true;
    } catch (cause) {
      queues.registered = undefined;
      // There is nothing to take back where the end of the partition has.
      if (blocked !== 0 || !isClosedError(cause)) {
        this.#reportNotification(queues, vp, cause);
      }
      return false;
    }
  }

  #reportNotification(queues: VpQueues, vp: number, cause: unknown): void {
    this.#failures.report(
      queues,
      () =>
        new MshvError(
          `cannot ask for deliverability notifications of VP ${vp}: ${reasonOf(cause)}`,
          { code: 'ERR_MSHV_NOTIFICATION', cause },
        ),
    );
  }

  #move(poster: Poster, sint: number, from: VpQueues, to: VpQueues): void {
    const target = to.sints[sint];
    const moved = this.#remove(from, sint, (message) => message.poster === poster);
    for (const message of moved) {
      target?.push(message);
    }
    target?.takeWaiting();
    // Only now, when each message is in a queue: whoever is told may save or reset them, or post others.
    this.#notify(from);
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
    this.#notify(from);
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

function keyOf(vtl: number, vp: number): number {
  return vtl * limits.MSHV_MAX_VPS + vp;
}

function refusedError(
  vtl: number,
  vp: number,
  sint: number,
  status: number | undefined,
  cause: unknown,
): MshvError {
  const name = status === undefined ? undefined : (hvStatusName(status) ?? 'unknown');
  const why = status === undefined ? reasonOf(cause) : `${name} (0x${status.toString(16)})`;
  return new MshvError(
    `a message to SINT ${sint} of VP ${vp}, VTL ${vtl}, is refused and skipped: ${why}`,
    {
      code: 'ERR_MSHV_MESSAGE_REFUSED',
      hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
      ...(status !== undefined && name !== undefined && { hvStatus: { code: status, name } }),
      ...(cause !== undefined && { cause }),
    },
  );
}
