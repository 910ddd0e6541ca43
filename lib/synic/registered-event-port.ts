import { hvStatusCodes } from '../abi/hv-status.js';
import { isThenable, whenSettled } from '../thenable.js';
import type { HostEventPort } from './host-ports.js';
import { RegisteredPort, type PortRegistration } from './registered-port.js';

/** A port for events, and what its handler has yet to come to an end with. */
export class RegisteredEventPort extends RegisteredPort {
  readonly kind = 'event';
  readonly flagCount: number;
  readonly #port: HostEventPort;
  /** The flags whose promise has not settled, and whether they have been signalled since. */
  readonly #answering = new Map<number, boolean>();

  constructor(registration: PortRegistration, port: HostEventPort, flagCount: number) {
    super(registration);
    this.#port = port;
    this.flagCount = flagCount;
  }

  /** Hands a signal of a flag over that the port has. */
  handle(flag: number): number {
    try {
      this.#port.osEvent?.signal();
      if (this.#answering.has(flag)) {
        this.#answering.set(flag, true);
      } else {
        this.#callHandler(flag);
      }
      return hvStatusCodes.HV_STATUS_SUCCESS;
    } catch (error) {
      this.report(error);
      return hvStatusCodes.HV_STATUS_OPERATION_FAILED;
    }
  }

  override forget(): void {
    for (const flag of this.#answering.keys()) {
      this.#answering.set(flag, false);
    }
  }

  /** While the handler has not answered, other signals of this flag add up to one. */
  #callHandler(flag: number): void {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
    const { handleEvent } = this.#port;
    if (handleEvent === undefined) {
      return;
    }
    const answer = this.context.runInAsyncScope(handleEvent, this.#port, flag);
    if (!isThenable(answer)) {
      return;
    }
    this.#answering.set(flag, false);
    whenSettled(
      answer,
      () => {
        this.#answered(flag);
      },
      (error) => {
        this.report(error);
        this.#answered(flag);
      },
    );
  }

  #answered(flag: number): void {
    const again = this.#answering.get(flag);
    this.#answering.delete(flag);
    if (again !== true) {
      return;
    }
    try {
      this.#callHandler(flag);
    } catch (error) {
      this.report(error);
    }
  }
}
