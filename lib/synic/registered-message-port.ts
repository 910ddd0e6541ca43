import { hvStatusCodes } from '../abi/hv-status.js';
import { isThenable, whenSettled } from '../thenable.js';
import type { HostMessagePort } from './host-ports.js';
import { RegisteredPort, type PortRegistration } from './registered-port.js';
import { UnclaimedAnswers } from './unclaimed-answers.js';

/** A port for messages, and what its handler has yet to answer. */
export class RegisteredMessagePort extends RegisteredPort {
  readonly kind = 'message';
  readonly #port: HostMessagePort;
  readonly #answers = new UnclaimedAnswers();

  constructor(registration: PortRegistration, port: HostMessagePort) {
    super(registration);
    this.#port = port;
  }

  /** Hands a message over that is as it must be; what becomes of it is the status. */
  handle(vtl: number, secure: boolean, message: Uint8Array, type: number): number {
    const claimed = this.#answers.claim(vtl, secure, type, message);
    if (claimed !== undefined) {
      return claimed;
    }
    if (this.#answers.busy) {
      return hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS;
    }
    const { resets } = this.#answers;
    let answer: unknown;
    let isLater: boolean;
    try {
      answer = this.context.runInAsyncScope(
        // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
        this.#port.handleMessage,
        this.#port,
        new Uint8Array(message),
        secure,
        type,
      );
      // A getter may throw here.
      isLater = isThenable(answer);
    } catch (error) {
      this.report(error);
      return hvStatusCodes.HV_STATUS_OPERATION_FAILED;
    }
    if (answer === false) {
      return hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS;
    }
    if (!isLater) {
      return hvStatusCodes.HV_STATUS_SUCCESS;
    }
    // The handler may have changed its copy. And where it has reset the guest, nobody will come back.
    const outstanding =
      this.#answers.resets === resets
        ? this.#answers.await(vtl, secure, type, new Uint8Array(message))
        : undefined;
    const keep = (status: number | undefined): void => {
      if (outstanding !== undefined) {
        this.#answers.answer(outstanding, status);
      }
    };
    whenSettled(
      answer,
      (later) => {
        keep(later === false ? undefined : hvStatusCodes.HV_STATUS_SUCCESS);
      },
      (error) => {
        keep(hvStatusCodes.HV_STATUS_OPERATION_FAILED);
        this.report(error);
      },
    );
    return hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS;
  }

  override forget(): void {
    this.#answers.clear();
  }
}
