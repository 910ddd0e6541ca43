import { AsyncResource } from 'node:async_hooks';

import { isClosedError, MshvError } from '../errors.js';
import { reasonOf, type Failures } from '../failures.js';
import { createHandle, type Handle } from '../handle.js';
import { synchronous } from '../thenable.js';
import type { VpQueues } from './vp-queues.js';

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

interface AttachedOwner {
  readonly owner: MessageVpOwner;
  /** In which it was attached. */
  readonly context: AsyncResource;
}

/** How often an owner is told in a row: it may post to each SINT as it is told. */
const mostTold = 64;

/** Asks the owners of VPs for the notifications that the queues of their VPs are due. */
export class DeliverabilityNotifications {
  readonly #failures: Failures;
  readonly #owners = new Map<number, AttachedOwner>();

  constructor(failures: Failures) {
    this.#failures = failures;
  }

  /** Whether anybody tells of free slots. */
  hasOwner(vp: number): boolean {
    return this.#owners.has(vp);
  }

  /**
   * @param queuesOfVp - those that there are at the time of asking
   * @throws MshvError `ERR_MSHV_VP_OWNED` where the VP has an owner
   */
  attach(vp: number, owner: MessageVpOwner, queuesOfVp: () => readonly VpQueues[]): Handle {
    if (this.#owners.has(vp)) {
      throw new MshvError(`VP ${vp} has an owner already`, { code: 'ERR_MSHV_VP_OWNED' });
    }
    const attached: AttachedOwner = { owner, context: new AsyncResource('MSHV_VP_OWNER') };
    this.#owners.set(vp, attached);
    for (const queues of queuesOfVp()) {
      this.notify(queues);
    }
    return createHandle(`the owner of VP ${vp}`, {
      isOpen: () => this.#owners.get(vp) === attached,
      end: () => {
        this.#owners.delete(vp);
        for (const queues of queuesOfVp()) {
          // The next owner may find the VP in another state.
          queues.registered = queues.blocked === 0 ? 0 : undefined;
        }
      },
    });
  }

  /**
   * Makes the VP's register say what it has to say, where that is not so. An owner that posts while it is told is told
   * again afterwards: it would else write what it was given first over what it was given last.
   */
  notify(queues: VpQueues): void {
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
          this.#report(queues, queues.vp, cause);
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
        this.#report(queues, vp, cause);
      }
      return false;
    }
  }

  #report(queues: VpQueues, vp: number, cause: unknown): void {
    this.#failures.report(
      queues,
      () =>
        new MshvError(
          `cannot ask for deliverability notifications of VP ${vp}: ${reasonOf(cause)}`,
          { code: 'ERR_MSHV_NOTIFICATION', cause },
        ),
    );
  }
}
