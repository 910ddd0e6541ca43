import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import type { GuestMessages } from '../../../lib/synic/guest-messages.js';
import type { MessagePartition } from '../../../lib/synic/slot-post.js';
import { foreignId, idOf, keyOf, refusedType, type ModelledGuest } from '../../message-model.js';

interface Slot {
  type: number;
  id: number;
}

/**
 * A partition with a few VPs, whose guest takes messages out of its SINTs' slots when it is told to. The first
 * two bytes of a payload are the message's id.
 */
export class MessageGuest implements MessagePartition, ModelledGuest {
  readonly vps: number;
  readonly #slots = new Map<string, Slot>();
  readonly #registers = new Map<number, number>();
  /** What the guest has got, in order, by VP and SINT. */
  readonly received = new Map<string, number[]>();
  /** What was asked of the hypervisor. */
  posts = 0;
  /** What was written to the notification registers: VP and SINTs. */
  writes: [vp: number, sints: number][] = [];

  constructor(vps: number) {
    this.vps = vps;
  }

  hasVp(index: number): boolean {
    return index < this.vps;
  }

  postMessage(_vtl: number, vp: number, sint: number, type: number, payload: Uint8Array): number {
    this.posts++;
    const key = keyOf(vp, sint);
    if (this.#slots.has(key)) return hvStatusCodes.HV_STATUS_OBJECT_IN_USE;
    if (type === refusedType) return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
    this.#slots.set(key, { type, id: idOf(payload) });
    return hvStatusCodes.HV_STATUS_SUCCESS;
  }

  /** The owner of a VP. */
  owner(vp: number): { setDeliverabilityNotifications: (vtl: number, sints: number) => void } {
    return {
      setDeliverabilityNotifications: (_vtl, sints) => {
        this.writes.push([vp, sints]);
        this.#registers.set(vp, sints);
      },
    };
  }

  /** Fills a slot with somebody else's message; false where it is full. */
  occupy(vp: number, sint: number): boolean {
    const key = keyOf(vp, sint);
    if (this.#slots.has(key)) return false;
    this.#slots.set(key, { type: 1, id: foreignId });
    return true;
  }

  /** Takes the message out of a slot; false where there is none. */
  read(vp: number, sint: number): boolean {
    const key = keyOf(vp, sint);
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#slots.delete(key);
    if (slot.id !== foreignId) this.received.set(key, [...(this.received.get(key) ?? []), slot.id]);
    return true;
  }

  requested(vp: number): number {
    return this.#registers.get(vp) ?? 0;
  }

  /** Gives the intercepts that are due, until there are none. */
  notify(messages: GuestMessages): void {
    for (let again = true; again;) {
      again = false;
      for (const [vp, sints] of this.#registers) {
        let free = 0;
        for (let sint = 0; sint < 16; sint++) {
          if ((sints & (1 << sint)) !== 0 && !this.#slots.has(keyOf(vp, sint))) free |= 1 << sint;
        }
        if (free !== 0) {
          this.#registers.set(vp, sints & ~free);
          messages.sintsDeliverable(0, vp, free);
          again = true;
        }
      }
    }
  }
}
