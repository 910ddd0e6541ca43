import { inspect } from 'node:util';

import { closedError } from '../errors.js';
import type { Native } from '../native.js';

let create: (native: Native, fd: number, index: number) => Vp;

/**
 * A virtual processor. Its index is its APIC id, the destination of physical MSIs.
 *
 * The driver never deletes a VP before its partition: `close()` gives back the descriptor, the index
 * stays taken.
 */
export class Vp implements Disposable {
  readonly #native: Native;
  #fd: number;
  /** 0 to 255. */
  readonly index: number;

  private constructor(native: Native, fd: number, index: number) {
    this.#native = native;
    this.#fd = fd;
    this.index = index;
  }

  static {
    create = (native, fd, index) => new Vp(native, fd, index);
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * The descriptor, borrowed: to be inherited by a child process, say.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get fd(): number {
    if (this.#fd < 0) {
      throw closedError(`VP ${this.index}`);
    }
    return this.#fd;
  }

  /** Harmless where closed already. */
  close(): void {
    const fd = this.#fd;
    if (fd >= 0) {
      this.#fd = -1;
      this.#native.close(fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](): string {
    return this.closed ? `Vp { index: ${this.index}, closed }` : `Vp { index: ${this.index} }`;
  }
}

export { create as createVp };
