import type { Architecture } from '../abi/architecture.js';
import { InterceptMessages } from '../abi/intercepts.js';
import { messageLayout } from '../abi/message-types.js';
import { vpPages } from '../native.js';
import { mapRegisterPage, type RegisterPage } from './register-page.js';
import type { VpDescriptor } from './vp-descriptor.js';

/** The pages of a VP, made when they are asked for first. */
export class VpPages {
  readonly #vp: VpDescriptor;
  readonly #architecture: Architecture;
  /** Undefined until it is asked for, null where there is none. */
  #registers: RegisterPage | null | undefined;
  #intercept: InterceptMessages | null | undefined;

  constructor(vp: VpDescriptor, architecture: Architecture) {
    this.#vp = vp;
    this.#architecture = architecture;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  get registers(): RegisterPage | undefined {
    this.#vp.checkOpen();
    if (this.#registers === undefined) {
      this.#registers = this.#architecture === 'x64' ? (mapRegisterPage(this.#vp) ?? null) : null;
    }
    return this.#registers ?? undefined;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  get intercept(): InterceptMessages | undefined {
    this.#vp.checkOpen();
    if (this.#intercept === undefined) {
      const page = this.#vp.page(vpPages.intercept);
      this.#intercept =
        page === undefined
          ? null
          : new InterceptMessages(new Uint8Array(page, 0, messageLayout.size), this.#architecture);
    }
    return this.#intercept ?? undefined;
  }
}
