import { inspect, type InspectOptions } from 'node:util';

import {
  dirtyMasks,
  registerPageFields,
  registerPageLayout,
  type RegisterPageName,
} from '../abi/register-page.js';
import {
  decodeRegister,
  encodeRegister,
  type RegisterInput,
  type RegisterValue,
} from '../abi/registers.js';
import {
  choiceArgument,
  rangeError,
  typedArrayArgument,
  uint64Argument,
  ours,
  ownConstructor,
} from '../arguments.js';
import { closedError, MshvError } from '../errors.js';
import { hexadecimal, inspected } from '../inspection.js';
import { vpPages } from '../native.js';
import type { VpDescriptor } from './vp-descriptor.js';
import { isWide } from './vp-registers.js';

/** A register that the page has and that can be written through it. */
export type WritableRegisterPageName = {
  [Name in RegisterPageName]: (typeof registerPageFields)[Name]['dirty'] extends 0 ? never : Name;
}[RegisterPageName];

const names = Object.keys(registerPageFields) as RegisterPageName[];
const writableNames = names.filter((name) => registerPageFields[name].dirty !== 0);

const bytesPerWord = BigUint64Array.BYTES_PER_ELEMENT;
/** RAX to R15, RIP and RFLAGS. */
const generalWords = 18;
const ripAt = registerPageFields.RIP.at / bytesPerWord;
const rflagsAt = registerPageFields.RFLAGS.at / bytesPerWord;

let map: (vp: VpDescriptor) => RegisterPage | undefined;

/**
 * The register page of a VP on x64: memory in which the hypervisor leaves some registers at each exit, and
 * from which it takes those whose class is marked dirty at the next run. Reading and writing makes no system
 * call.
 *
 * It means something between two runs only: while the VP runs, and while `valid` is false, use
 * `vp.getRegisters()` and `vp.setRegisters()`, which go through the page otherwise. Writing one register of a class lets
 * the hypervisor take all of its class (RAX to R15, RIP, RFLAGS, the segments, XMM0 to XMM5) from the page: what
 * somebody has set without the page (a `SharedPartition`, a `vtl`, a hypercall of one's own) is lost then.
 *
 * Registers that the page has for reading only are those of the exit, or what `vp.setRegisters()` has set since.
 *
 * Source: `hv_vp_register_page` of Linux 7.2.
 *
 * @example
 * ```ts
 * guest.halt();
 * vp.run();
 * console.log(vp.registerPage?.valid); // true
 * ```
 */
export class RegisterPage {
  readonly #vp: number;
  readonly #words: BigUint64Array;
  readonly #general: BigUint64Array;
  readonly #bytes: Uint8Array;
  readonly #dirty: Uint32Array;

  private constructor(key: symbol, vp: number, page: ArrayBuffer) {
    ownConstructor('RegisterPage', key);
    this.#vp = vp;
    this.#words = new BigUint64Array(page);
    this.#general = new BigUint64Array(page, registerPageLayout.registers, generalWords);
    this.#bytes = new Uint8Array(page);
    this.#dirty = new Uint32Array(page, registerPageLayout.dirty, 1);
  }

  static {
    map = (vp) => {
      const page = vp.page(vpPages.register);
      return page && new RegisterPage(ours, vp.index, page);
    };
  }

  /**
   * Whether the hypervisor keeps the page: it may leave it off, or for some exits only.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get valid(): boolean {
    const valid = this.#bytes[registerPageLayout.isValid];
    if (valid === undefined) {
      throw closedError(`VP ${this.#vp}`);
    }
    return valid === 1;
  }

  /** The classes that the hypervisor is to take, as bits of `dirtyMasks`. */
  get dirty(): number {
    const dirty = this.#dirty[0];
    if (dirty === undefined) {
      throw closedError(`VP ${this.#vp}`);
    }
    return dirty;
  }

  /** RIP, as `get('RIP')` and `set('RIP')` have it. */
  get rip(): bigint {
    this.#check();
    return this.#words[ripAt] ?? 0n;
  }

  set rip(value: bigint | number) {
    const rip = uint64Argument('rip', value);
    this.#check();
    this.#words[ripAt] = rip;
    this.#mark(dirtyMasks.IP);
  }

  /** RFLAGS, likewise. */
  get rflags(): bigint {
    this.#check();
    return this.#words[rflagsAt] ?? 0n;
  }

  set rflags(value: bigint | number) {
    const rflags = uint64Argument('rflags', value);
    this.#check();
    this.#words[rflagsAt] = rflags;
    this.#mark(dirtyMasks.FLAGS);
  }

  /**
   * A register.
   *
   * @throws MshvError `ERR_MSHV_REGISTER_PAGE_INVALID`, `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * guest.halt();
   * vp.run();
   * console.log(vp.registerPage?.get('RFLAGS')); // 2n
   * ```
   */
  get<Name extends RegisterPageName>(name: Name): RegisterValue<Name> {
    const { at, dirty } = registerPageFields[choiceArgument('name', name, names)];
    this.#check();
    const word = at / bytesPerWord;
    const high = isWide(dirty) ? this.#words[word + 1] : 0n;
    return decodeRegister(name, this.#words[word] ?? 0n, high ?? 0n);
  }

  /**
   * Writes a register, for the next run to begin with.
   *
   * @throws MshvError `ERR_MSHV_REGISTER_PAGE_INVALID`, `ERR_MSHV_CLOSED`
   * @throws RangeError where the page has the register for reading only, or the value does not fit
   *
   * @example
   * ```ts
   * guest.halt();
   * vp.run();
   * vp.registerPage?.set('RAX', 7n);
   * console.log(vp.getRegisters(['RAX'])); // { RAX: 7n }
   * ```
   */
  set<Name extends WritableRegisterPageName>(name: Name, value: RegisterInput<Name>): void {
    const { at, dirty } = registerPageFields[choiceArgument('name', name, writableNames)];
    const [low, high] = encodeRegister(name, value);
    this.#check();
    const word = at / bytesPerWord;
    this.#words[word] = low;
    if (isWide(dirty)) {
      this.#words[word + 1] = high;
    }
    this.#mark(dirty);
  }

  /**
   * Copies RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, RIP and RFLAGS, in this order.
   *
   * @param out - gets 18 words; at least so long
   * @returns `out`
   * @throws MshvError `ERR_MSHV_REGISTER_PAGE_INVALID`, `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * guest.halt();
   * vp.run();
   * const general = new BigUint64Array(18); // RAX, RCX, …, R15, RIP, RFLAGS
   * vp.registerPage?.copyGeneral(general);
   * ```
   */
  copyGeneral(out: BigUint64Array): BigUint64Array {
    typedArrayArgument('out', out, 'BigUint64Array');
    if (out.length < generalWords) {
      throw rangeError('out.length', `at least ${generalWords}`, out.length);
    }
    this.#check();
    out.set(this.#general);
    return out;
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const [vp, closed] = [this.#vp, this.#bytes.length === 0];
    if (closed) {
      return inspected('RegisterPage', { vp, closed }, depth, options);
    }
    const { valid, dirty } = this;
    const general = valid && { rip: hexadecimal(this.rip), rflags: hexadecimal(this.rflags) };
    return inspected(
      'RegisterPage',
      { vp, valid, dirty: hexadecimal(dirty), ...general, closed },
      depth,
      options,
    );
  }

  #check(): void {
    if (!this.valid) {
      throw new MshvError(
        `the register page of VP ${this.#vp} is not valid: use getRegisters() and setRegisters()`,
        { code: 'ERR_MSHV_REGISTER_PAGE_INVALID' },
      );
    }
  }

  #mark(dirty: number): void {
    // Another environment may set registers of the VP at this moment.
    Atomics.or(this.#dirty, 0, dirty);
  }
}

export { map as mapRegisterPage };
