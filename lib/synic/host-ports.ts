import type { EventFd } from '../eventfd/eventfd.js';

/** Receives the messages that the guest posts to a connection with `HvPostMessage`. */
export interface HostMessagePort {
  /**
   * Handles a message.
   *
   * To return `false` is not to take it: the guest is told to post it again
   * (`HV_STATUS_INSUFFICIENT_BUFFERS`), and the same message comes again. Anything else takes it. A promise
   * answers later: until it settles the guest is told to retry, and no message of this connection comes
   * here; the retry that follows gets the answer and does not come here, unless the answer is `false`. A
   * message is thus handled once, however often the guest had to post it.
   *
   * What is thrown, or rejected with, is reported; the guest gets `HV_STATUS_OPERATION_FAILED`.
   *
   * @param message - the payload, 0 to 240 bytes: a copy that belongs to the handler
   * @param secure - whether it came from the guest without anything that the host can see, which
   *   only a paravisor can say of an isolated guest; false otherwise
   * @param type - the message type that the guest chose, 1 to 2^31 - 1; 1 is VMBus's
   */
  handleMessage(message: Uint8Array, secure: boolean, type: number): unknown;
}

/**
 * Receives the events that the guest signals on a connection with `HvSignalEvent`. Has a function, an OS
 * event, or both.
 */
export interface HostEventPort {
  /**
   * Handles a signal that came through the dispatcher. A signal that the partition turns into `osEvent` by
   * itself does not come here. The guest does not wait for a promise; what it rejects with is reported. However often
   * the guest signals a flag until its promise has settled, the handler is called for it once more, then: there is
   * one promise for each flag at most.
   *
   * @param flag - the flag number that the guest gave
   */
  handleEvent?(flag: number): unknown;
  /**
   * Is signalled once for each event: by the partition itself where it can bind the connection to an
   * eventfd, by the dispatcher where it cannot. Borrowed; it stays open for as long as the port is
   * registered.
   */
  readonly osEvent?: EventFd | undefined;
  /** How many flags the port has, 1 to 2048: a signal of a higher one is refused. Default 2048. */
  readonly flagCount?: number | undefined;
}
