import { writeGetVpRegisters, writeSetVpRegisters } from '../abi/hypercall-inputs.js';
import { readVpRegisters } from '../abi/hypercall-outputs.js';
import { hypercalls, repsPerPage } from '../abi/hypercalls.js';
import type { Native } from '../native.js';
import { hypercallPages } from './hypercall.js';

const registersPerGet = repsPerPage(hypercalls.HVCALL_GET_VP_REGISTERS);
const registersPerSet = repsPerPage(hypercalls.HVCALL_SET_VP_REGISTERS);

/**
 * The registers of a partition's VPs as the hypervisor has them: changes in a register page are the hypervisor's at the
 * next run only. By the partition's descriptor, so that VPs may be running. Allocates nothing.
 */
export class RegisterCalls {
  readonly #native: Native;
  readonly #fd: () => number;

  constructor(native: Native, fd: () => number) {
    this.#native = native;
    this.#fd = fd;
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
    const fd = this.#fd();
    for (let first = 0; first < names.length;) {
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
  }
}
