import type { WaitOptions } from '../abort-signal.js';
import type { Interrupt } from '../irq/interrupt.js';

/**
 * Whether a message was taken: `true`, at once or awaited, where it has been delivered or waits in the bounded queue; `false`
 * where it was not, and has to be posted again. Never awaited, a promise is as true as `true`: nobody has to post it again.
 */
export type PostResult = boolean | Promise<true>;

/** Posts messages to one SINT of a VP. */
export interface GuestMessagePort extends Disposable {
  /**
   * Posts a message. Messages to one SINT of a VP arrive in the order in which they were posted.
   *
   * @param type - 1 to 0xffffffff; 1 is VMBus's, from 0x80000000 on they are the hypervisor's own
   * @param payload - 0 to 240 bytes; copied
   * @returns `true` where the message is taken: it has been delivered, or waits in the bounded queue. A
   *   promise where the queue is full: it resolves with `true` when the message is taken, and rejects where that will
   *   not happen any more. `false` where an earlier promise of this port has not settled: the message
   *   is not taken
   * @throws MshvError `ERR_MSHV_CLOSED` after `close()`
   * @throws the reason of `options.signal` where that has aborted before: nothing is posted. Where it aborts while the promise
   *   waits, the message is withdrawn and the promise rejects with the reason; what is taken is the guest's
   */
  post(type: number, payload: Uint8Array, options?: WaitOptions): PostResult;
  /**
   * Sends to the same SINT of another VP from now on, with what this port has posted and the guest has not
   * got yet.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is none with that index; nothing changes then
   */
  setTargetVp(vp: number): void;
  /** Whether `close()` was called, here or by what made it. */
  readonly closed: boolean;
  /**
   * Ends the port: what it has posted and is taken will be delivered, a promise of `post()` rejects with `ERR_MSHV_CLOSED`.
   * Harmless where closed already.
   */
  close(): void;
}

/** Posts messages to any SINT of any VP. */
export interface MessagePoster {
  /**
   * Posts a message without a port of one's own, as `GuestMessagePort.post` does: all who do so for a SINT of a VP
   * share a port.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index
   */
  postMessage(
    vtl: number,
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    options?: WaitOptions,
  ): PostResult;
}

/** Signals one event flag of a SINT of a VP. */
export interface GuestEventPort extends Disposable {
  /**
   * Signals the flag.
   *
   * @returns whether it was clear before: false where the guest has not seen the last signal yet, and where
   *   the port has no flag
   * @throws MshvError as the partition refuses it; `ERR_MSHV_CLOSED` after `close()`
   */
  signal(): boolean;
  /** What signals the flag. Always the same object; it follows `set`, `clear` and `setTargetVp`. */
  interrupt(): Interrupt;
  /**
   * Chooses the flag, 0 to 2047. Until then the interrupt reports each event as lost; after `clear` it does nothing.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index; nothing changes then
   */
  set(vtl: number, vp: number, sint: number, flag: number): void;
  /** Forgets the flag: from now on there is nothing to signal. */
  clear(): void;
  /**
   * Signals the same flag of another VP from now on.
   *
   * @throws MshvError `ERR_MSHV_NO_VP` where there is none with that index; nothing changes then
   */
  setTargetVp(vp: number): void;
  /** Whether `close()` was called, here or by what made it. */
  readonly closed: boolean;
  /** Ends the port, and closes the event of its interrupt. Harmless where closed already. */
  close(): void;
}
