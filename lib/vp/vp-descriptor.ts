import { comesAgain } from '../abi/messages/table.js';
import { closedError } from '../errors.js';
import { type Native, vpPages } from '../native.js';
import { stepError } from '../step-error.js';
import { ExitBlock } from './exit-block.js';

/**
 * The descriptor of a VP in this environment, and its arbiter's, through which all environments
 * that have the VP can cancel each other's runs.
 *
 * It is attached when something first needs that: making a VP that is never run costs one ioctl.
 */
export class VpDescriptor {
  readonly native: Native;
  readonly index: number;
  /** What `runnable` has given the addon. */
  readonly block = new ExitBlock();
  #fd: number;
  #arbiter: number;
  #hasBlock = false;

  /**
   * Takes ownership of `fd`.
   *
   * @param arbiter - the arbiter's descriptor that it is attached with, likewise; -1 where it is not attached yet
   */
  constructor(native: Native, fd: number, index: number, arbiter = -1) {
    this.native = native;
    this.#fd = fd;
    this.index = index;
    this.#arbiter = arbiter;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  get fd(): number {
    this.checkOpen();
    return this.#fd;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  checkOpen(): void {
    if (this.#fd < 0) {
      throw closedError(`VP ${this.index}`);
    }
  }

  /** Whether this environment has prepared it for running. */
  get isAttached(): boolean {
    return this.#arbiter >= 0;
  }

  /** The descriptor, ready for the addon's functions that run VPs. */
  get attached(): number {
    if (this.#arbiter < 0) {
      this.#attach();
    }
    return this.fd;
  }

  /** The descriptor, ready for the functions that hand over exits. */
  get runnable(): number {
    const fd = this.attached;
    if (!this.#hasBlock) {
      this.#check(this.native.vpUseBlock(fd, this.block.bytes));
      this.#hasBlock = true;
    }
    return fd;
  }

  /** The arbiter's descriptor. */
  get arbiter(): number {
    if (this.#arbiter < 0) {
      this.#attach();
    }
    return this.#arbiter;
  }

  /**
   * The VP's register page or intercept message page; undefined where it cannot be had, whatever the reason: a driver
   * or a processor without it, a limit, a filter, a runtime without buffers over memory of others.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  page(number: (typeof vpPages)[keyof typeof vpPages]): ArrayBuffer | undefined {
    if (this.#arbiter < 0 && this.#tryAttach() < 0) {
      return undefined;
    }
    const page = this.native.vpPage(this.fd, number);
    return typeof page === 'number' ? undefined : page;
  }

  /** @throws MshvError as `vp.cancel()` */
  cancel(): void {
    const result = this.native.vpCancel(this.attached);
    if (result < 0) {
      throw stepError(this.native, `cancel VP ${this.index}`, result);
    }
  }

  #attach(): void {
    this.#check(this.#tryAttach());
  }

  #check(result: number): void {
    if (result < 0) {
      throw stepError(this.native, `prepare VP ${this.index} for running`, result);
    }
  }

  #tryAttach(): number {
    const result = this.native.vpAttach(this.fd, -1, comesAgain);
    if (result >= 0) {
      this.#arbiter = result;
    }
    return result;
  }

  /** Ends a thread that runs the VP and detaches its pages. */
  close(): void {
    const fd = this.#fd;
    const arbiter = this.#arbiter;
    this.#fd = -1;
    this.#arbiter = -1;
    if (fd >= 0) {
      this.native.close(fd);
    }
    if (arbiter >= 0) {
      this.native.close(arbiter);
    }
  }
}
