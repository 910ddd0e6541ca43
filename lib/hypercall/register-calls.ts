import type { Architecture } from '../abi/architecture.js';
import { writeGetVpRegisters, writeSetVpRegisters } from '../abi/hypercall-inputs.js';
import { readVpRegisters } from '../abi/hypercall-outputs.js';
import { x64Registers } from '../abi/x64-registers.js';
import { MshvError } from '../errors.js';
import { apicIdArgument, type ApicIds } from '../irq/apic-ids.js';
import {
  HypercallList,
  hypercallOf,
  hypercallPages,
  type HypercallTarget,
} from './hypercall-pages.js';

const gets = new HypercallList(hypercallOf('HVCALL_GET_VP_REGISTERS', 'get registers of VP'));
const sets = new HypercallList(hypercallOf('HVCALL_SET_VP_REGISTERS', 'set registers of VP'));
const { INITIAL_APIC_ID, APIC_ID } = x64Registers;
const isApicId = (name: number | undefined): boolean =>
  name === INITIAL_APIC_ID || name === APIC_ID;

function hasApicId(names: Uint32Array): boolean {
  for (const name of names) {
    if (isApicId(name)) {
      return true;
    }
  }
  return false;
}

const nothing = (): void => undefined;

/** The registers of a VP that this environment has open, wherever they are the truth. Two words for each, the low one first. */
export interface OwnRegisters {
  get(codes: Uint32Array, values: BigUint64Array): void;
  write(codes: Uint32Array, values: BigUint64Array): void;
}

/**
 * The registers of a partition's VPs as the hypervisor has them: changes in a register page are the hypervisor's at the
 * next run only. By the partition's descriptor, so that VPs may be running. Allocates nothing.
 */
export class RegisterCalls {
  readonly #target: HypercallTarget;
  readonly #architecture: Architecture;
  readonly #apicIds: ApicIds;

  constructor(target: HypercallTarget, architecture: Architecture, apicIds: ApicIds) {
    this.#target = target;
    this.#architecture = architecture;
    this.#apicIds = apicIds;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  checkOpen(): void {
    this.#target.fd();
  }

  /** Reads registers, any number of them: two words for each, the low one first. */
  read(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    const { native } = this.#target;
    const fd = this.#target.fd();
    const { input, outputWords } = hypercallPages;
    for (gets.begin(names.length, vp); !gets.isDone;) {
      const first = gets.done;
      const length = writeGetVpRegisters(input, vp, vtl, names, first, gets.next);
      const done = hypercallPages.repCall(native, fd, gets, length);
      readVpRegisters(outputWords, values, first, done);
    }
  }

  /** Writes registers, in order, likewise. */
  write(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    if (this.#architecture !== 'x64' || !hasApicId(names)) {
      this.#write(vp, names, values, vtl, nothing);
      return;
    }
    // Another thread may change what is in shared memory: what is checked is what is written, and learned.
    const [codes, words] = [new Uint32Array(names), new BigUint64Array(values)];
    this.#checkApicIds(vp, codes, words);
    this.#write(vp, codes, words, vtl, (written) => {
      this.#learnApicIds(vp, codes, words, written);
    });
  }

  /** @param ended - called with how many are written, where it fails too */
  #write(
    vp: number,
    names: Uint32Array,
    values: BigUint64Array,
    vtl: number | undefined,
    ended: (written: number) => void,
  ): void {
    const { native } = this.#target;
    const fd = this.#target.fd();
    const { input, inputWords } = hypercallPages;
    let written = 0;
    try {
      for (sets.begin(names.length, vp); !sets.isDone; written = sets.done) {
        const { done, next } = sets;
        const length = writeSetVpRegisters(input, inputWords, vp, vtl, names, values, done, next);
        hypercallPages.repCall(native, fd, sets, length);
      }
    } catch (error) {
      if (error instanceof MshvError) {
        written = error.repsCompleted ?? written;
      }
      throw error;
    } finally {
      ended(written);
    }
  }

  /** Refuses an APIC id that cannot be, and one that was given to another VP. */
  #checkApicIds(vp: number, names: Uint32Array, values: BigUint64Array): void {
    for (let i = 0; i < names.length; i++) {
      if (isApicId(names[i])) {
        this.#apicIds.check(vp, apicIdArgument(`values[${2 * i}]`, values[2 * i] ?? 0n));
      }
    }
  }

  /** The first `end` of the registers are written. */
  #learnApicIds(vp: number, names: Uint32Array, values: BigUint64Array, end: number): void {
    for (let i = 0; i < end; i++) {
      if (isApicId(names[i])) {
        this.#apicIds.give(vp, Number(values[2 * i]));
      }
    }
  }
}
