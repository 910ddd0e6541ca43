import { writeGetVpRegisters, writeSetVpRegisters } from '../abi/hypercall-inputs.js';
import { readVpRegisters } from '../abi/hypercall-outputs.js';
import { hypercalls, repsPerPage } from '../abi/hypercalls.js';
import { x64Registers } from '../abi/x64-registers.js';
import { MshvError } from '../errors.js';
import { apicIdArgument, type ApicIds } from '../irq/apic-ids.js';
import type { Native } from '../native.js';
import { hypercallPages } from './hypercall.js';

const registersPerGet = repsPerPage(hypercalls.HVCALL_GET_VP_REGISTERS);
const registersPerSet = repsPerPage(hypercalls.HVCALL_SET_VP_REGISTERS);
const { INITIAL_APIC_ID, APIC_ID } = x64Registers;
const x64 = process.arch === 'x64';

/**
 * The registers of a partition's VPs as the hypervisor has them: changes in a register page are the hypervisor's at the
 * next run only. By the partition's descriptor, so that VPs may be running. Allocates nothing.
 */
export class RegisterCalls {
  readonly #native: Native;
  readonly #fd: () => number;
  readonly #apicIds: ApicIds;

  constructor(native: Native, fd: () => number, apicIds: ApicIds) {
    this.#native = native;
    this.#fd = fd;
    this.#apicIds = apicIds;
  }

  /** @throws MshvError `ERR_MSHV_CLOSED` */
  checkOpen(): void {
    this.#fd();
  }

  /** Reads registers, any number of them: two words for each, the low one first. */
  read(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    const fd = this.#fd();
    for (let first = 0; first < names.length;) {
      const count = Math.min(registersPerGet, names.length - first);
      const done = hypercallPages.repCall(
        this.#native,
        fd,
        'HVCALL_GET_VP_REGISTERS',
        count,
        writeGetVpRegisters(hypercallPages.input, vp, vtl, names, first, count),
        16 * count,
        true,
        'get registers of VP',
        vp,
        first,
        names.length,
      );
      readVpRegisters(hypercallPages.outputWords, values, first, done);
      first += done;
    }
  }

  /** Writes registers, in order, likewise. */
  write(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    const namesApicId = x64 && this.#checkApicIds(vp, names, values);
    const fd = this.#fd();
    let first = 0;
    try {
      while (first < names.length) {
        const count = Math.min(registersPerSet, names.length - first);
        first += hypercallPages.repCall(
          this.#native,
          fd,
          'HVCALL_SET_VP_REGISTERS',
          count,
          writeSetVpRegisters(
            hypercallPages.input,
            hypercallPages.inputWords,
            vp,
            vtl,
            names,
            values,
            first,
            count,
          ),
          0,
          true,
          'set registers of VP',
          vp,
          first,
          names.length,
        );
      }
    } catch (error) {
      if (error instanceof MshvError) {
        first = error.repsCompleted ?? first;
      }
      throw error;
    } finally {
      if (namesApicId) {
        this.#learnApicIds(vp, names, values, first);
      }
    }
  }

  /** Whether one of the registers is an APIC id. Refuses one that cannot be, and one that was given to another VP. */
  #checkApicIds(vp: number, names: Uint32Array, values: BigUint64Array): boolean {
    let found = false;
    for (let i = 0; i < names.length; i++) {
      if (names[i] === INITIAL_APIC_ID || names[i] === APIC_ID) {
        found = true;
        this.#apicIds.check(vp, apicIdArgument(`values[${2 * i}]`, values[2 * i] ?? 0n));
      }
    }
    return found;
  }

  /** The first `end` of the registers are written. */
  #learnApicIds(vp: number, names: Uint32Array, values: BigUint64Array, end: number): void {
    for (let i = 0; i < end; i++) {
      if (names[i] === INITIAL_APIC_ID || names[i] === APIC_ID) {
        this.#apicIds.give(vp, Number(values[2 * i]));
      }
    }
  }
}
