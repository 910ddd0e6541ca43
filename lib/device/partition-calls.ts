import {
  writeAssertVirtualInterrupt,
  writeAssertVirtualInterruptArm64,
  writeClearVirtualInterrupt,
  writeGetVpRegisters,
  writeSetVpRegisters,
} from '../abi/hypercall-inputs.js';
import { readVpRegisters } from '../abi/hypercall-outputs.js';
import { hypercalls, repsPerPage } from '../abi/hypercalls.js';
import { interruptTypes, type InterruptType } from '../abi/interrupt-types.js';
import { limits } from '../abi/limits.js';
import { decodeMsi } from '../abi/msi.js';
import {
  booleanArgument,
  choiceArgument,
  integerArgument,
  optionsArgument,
  rangeError,
  typedArrayArgument,
} from '../arguments.js';
import { checkedMsi, lowestFixedVector } from '../irq/msi.js';
import type { Native } from '../native.js';
import { hypercallPages, performHypercall, type HypercallOptions } from './hypercall.js';

/** An interrupt to assert. */
export interface InterruptRequest {
  /** Default `'fixed'`. `'remote-read'` is refused. On arm64 always `'fixed'`. */
  type?: InterruptType;
  /** 0 to 255 (on arm64 an INTID, up to 0xffffffff); from 16 on where it is fixed or lowest-priority. */
  vector: number;
  /** APIC id, or a set of logical APIC ids where `logical`. Default 0. */
  destination?: number;
  /** Level-triggered; edge-triggered where false. Default false. Not on arm64. */
  level?: boolean;
  /** Default false. Not on arm64. */
  logical?: boolean;
  /** Whether the line is asserted or taken back. Default true. On arm64 only. */
  asserted?: boolean;
  /** The virtual trust level that it is for, 0 to 15. Default 0. */
  vtl?: number;
}

const arm64 = process.arch === 'arm64';
const interruptKeys = [
  'type',
  'vector',
  'destination',
  'vtl',
  ...(arm64 ? (['asserted'] as const) : (['level', 'logical'] as const)),
] as const;
const requestableTypes = (Object.keys(interruptTypes) as InterruptType[]).filter((type) =>
  arm64 ? type === 'fixed' : type !== 'remote-read',
);

// A bigint made of a number for each interrupt would be garbage.
const destinations = Array.from({ length: limits.MSHV_MAX_VPS }, (_, id) => BigInt(id));

const registersPerGet = repsPerPage(hypercalls.HVCALL_GET_VP_REGISTERS);
const registersPerSet = repsPerPage(hypercalls.HVCALL_SET_VP_REGISTERS);

/**
 * The hypercalls on a partition's descriptor, whoever opened it.
 *
 * The driver makes them one after the other with everything else on that descriptor (`mshv_partition_ioctl`),
 * but never waits for a VP to stop running, as calls on a VP's descriptor do. All of them block this thread
 * until the hypervisor has answered. They throw an MshvError with `ioctl` `MSHV_ROOT_HVCALL` and the
 * `hypercall`; `hvStatus` says why the hypervisor refused, and is absent where the driver did.
 */
export abstract class PartitionCalls {
  readonly #native: Native;
  readonly #hasVp: (index: number) => boolean;

  /** @param hasVp - whether there is a VP with this index, as far as this environment knows */
  protected constructor(native: Native, hasVp: (index: number) => boolean) {
    this.#native = native;
    this.#hasVp = hasVp;
  }

  /**
   * The descriptor, borrowed.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  abstract get fd(): number;

  /**
   * Any hypercall that the driver passes through, with its input packed by the caller.
   *
   * @returns the output
   */
  hypercall(options: HypercallOptions): Uint8Array {
    return performHypercall(this.#native, () => this.fd, 'partition', options);
  }

  /**
   * Asserts an interrupt. Allocates nothing.
   *
   * Whether a destination exists is for the hypervisor to say: unlike a route, a request for a VP that does
   * not is harmless to the host.
   *
   * @throws MshvError as the hypervisor refuses it
   */
  requestInterrupt(request: InterruptRequest): void {
    optionsArgument('request', request, interruptKeys);
    const { type = 'fixed', vector, destination = 0, vtl = 0 } = request;
    const { level = false, logical = false, asserted = true } = request;
    if (!requestableTypes.includes(type)) {
      choiceArgument('request.type', type, requestableTypes);
    }
    const checked = !arm64 && (type === 'fixed' || type === 'lowest-priority');
    integerArgument(
      'request.vector',
      vector,
      checked ? lowestFixedVector : 0,
      arm64 ? 0xffff_ffff : 255,
    );
    integerArgument('request.destination', destination, 0, 0xffff_ffff);
    booleanArgument('request.level', level);
    booleanArgument('request.logical', logical);
    booleanArgument('request.asserted', asserted);
    integerArgument('request.vtl', vtl, 0, 15);
    this.#assertInterrupt(
      interruptTypes[type],
      vector,
      destination,
      level,
      logical,
      asserted,
      vtl,
      'request an interrupt',
    );
  }

  /**
   * Asserts the interrupt that a device's MSI means, once and without a route. Refuses what a route
   * refuses: an address with bits in its upper half, a reserved delivery mode, a fixed vector below 16 and,
   * on x64, a physical destination where no VP is.
   *
   * @throws MshvError as the hypervisor refuses it
   */
  requestMsi(address: number | bigint, data: number): void {
    const msi = checkedMsi(address, data, this.#hasVp);
    const { deliveryMode, vector, destination, level, logical } = decodeMsi(
      Number(msi.address),
      msi.data,
    );
    this.#assertInterrupt(
      interruptTypes[deliveryMode],
      vector,
      destination,
      level,
      logical,
      true,
      0,
      'request an MSI',
    );
  }

  #assertInterrupt(
    type: number,
    vector: number,
    destination: number,
    level: boolean,
    logical: boolean,
    asserted: boolean,
    vtl: number,
    attempt: string,
  ): void {
    const { input } = hypercallPages;
    const to = destinations[destination] ?? BigInt(destination);
    const { fd } = this;
    const length = arm64
      ? writeAssertVirtualInterruptArm64(input, type, vector, to, asserted, vtl)
      : writeAssertVirtualInterrupt(input, type, vector, to, level, logical, vtl);
    hypercallPages.call(this.#native, fd, 'HVCALL_ASSERT_VIRTUAL_INTERRUPT', length, 0, attempt);
  }

  /** Takes back an external interrupt (EXTINT) that was asserted and not delivered yet. */
  clearVirtualInterrupt(): void {
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_CLEAR_VIRTUAL_INTERRUPT',
      writeClearVirtualInterrupt(hypercallPages.input),
      0,
      'clear the external interrupt',
    );
  }

  /**
   * Reads registers of a VP, which may be running. Allocates nothing where `values` is given.
   *
   * @param vp - 0 to 255
   * @param names - register codes; any number of them
   * @param values - gets two words for each name, the low one first; at least so long
   * @returns `values`
   * @throws MshvError `EINVAL` where there is no such VP (`HV_STATUS_INVALID_VP_INDEX`) or register;
   *   `repsCompleted` says how many registers were read then
   */
  getRegisters(vp: number, names: Uint32Array, values?: BigUint64Array): BigUint64Array {
    checkRegisters(vp, names, values);
    values ??= new BigUint64Array(2 * names.length);
    const { fd } = this;
    for (let first = 0; first < names.length;) {
      const count = Math.min(registersPerGet, names.length - first);
      const done = hypercallPages.repCall(
        this.#native,
        fd,
        'HVCALL_GET_VP_REGISTERS',
        count,
        writeGetVpRegisters(hypercallPages.input, vp, undefined, names, first, count),
        16 * count,
        true,
        'get registers of VP',
        vp,
        first,
        names.length,
      );
      readVpRegisters(hypercallPages.output, values, first, done);
      first += done;
    }
    return values;
  }

  /**
   * Writes registers of a VP, in order. Allocates nothing.
   *
   * @param vp - 0 to 255
   * @param names - register codes; any number of them
   * @param values - two words for each name, the low one first; at least so long
   * @throws MshvError `EINVAL` where there is no such VP (`HV_STATUS_INVALID_VP_INDEX`), no such
   *   register or no such value of it (`HV_STATUS_INVALID_REGISTER_VALUE`). The first `repsCompleted`
   *   registers are written then
   */
  setRegisters(vp: number, names: Uint32Array, values: BigUint64Array): void {
    checkRegisters(vp, names, values);
    typedArrayArgument('values', values, 'BigUint64Array');
    const { fd } = this;
    for (let first = 0; first < names.length;) {
      const count = Math.min(registersPerSet, names.length - first);
      first += hypercallPages.repCall(
        this.#native,
        fd,
        'HVCALL_SET_VP_REGISTERS',
        count,
        writeSetVpRegisters(hypercallPages.input, vp, undefined, names, values, first, count),
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

function checkRegisters(vp: number, names: Uint32Array, values?: BigUint64Array): void {
  integerArgument('vp', vp, 0, limits.MSHV_MAX_VPS - 1);
  typedArrayArgument('names', names, 'Uint32Array');
  if (values === undefined) {
    return;
  }
  typedArrayArgument('values', values, 'BigUint64Array');
  if (values.length < 2 * names.length) {
    throw rangeError(
      'values',
      `a BigUint64Array with two words for each of ${names.length} names`,
      `${values.length} words`,
    );
  }
}
