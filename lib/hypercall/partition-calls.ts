import type { Architecture } from '../abi/architecture.js';
import { vpArgument, vtlArgument } from '../abi/arguments.js';
import type { CpuidValues } from '../abi/hypercall-outputs.js';
import type { PartitionPropertyName } from '../abi/properties.js';
import { rangeError, typedArrayArgument } from '../arguments.js';
import { createEventOf, type EventFd, type NewEventOptions } from '../eventfd/eventfd.js';
import { accessStates, type AccessStatesOptions } from './access-states.js';
import { cpuidValues, type CpuidValuesOptions } from './cpuid-values.js';
import {
  postMessageDirect,
  signalEventDirect,
  type EventSignal,
  type SintMessage,
} from './direct-synic.js';
import type { HypercallTarget } from './hypercall-pages.js';
import {
  InterruptRequests,
  type InterruptRequest,
  type RequestOutcome,
} from './interrupt-request.js';
import { translateGva, type TranslatedGva, type TranslateGvaOptions } from './translate-gva.js';
import { ApicIds } from '../irq/apic-ids.js';
import type { Native } from '../native.js';
import { performHypercall, type HypercallOptions } from './hypercall.js';
import { installIntercept, type InterceptRequest } from './intercept-request.js';
import {
  registerCpuidResult,
  registerMsrResult,
  type CpuidResultOptions,
  type MsrResultOptions,
} from './intercept-result.js';
import {
  getProperty,
  getPropertyEx,
  setProperty,
  type PropertyExOptions,
} from './partition-property.js';
import { type OwnRegisters, RegisterCalls } from './register-calls.js';

let registerCallsOf: (partition: PartitionCalls) => RegisterCalls;
let nativeOf: (partition: object) => Native | undefined;
let apicIdsOf: (calls: PartitionCalls) => ApicIds;
let lookUpRegisters: (
  calls: PartitionCalls,
  registersOf: (index: number) => OwnRegisters | undefined,
) => void;

/**
 * The hypercalls on a partition's descriptor, whoever opened it.
 *
 * The driver makes them one after the other with everything else on that descriptor (`mshv_partition_ioctl`),
 * but never waits for a VP to stop running, as calls on a VP's descriptor do. All of them block this thread
 * until the hypervisor has answered. They throw an MshvError with `ioctl` `MSHV_ROOT_HVCALL` and the
 * `hypercall`; `hvStatus` says why the hypervisor refused, and is absent where the driver did.
 *
 * @example
 * ```ts
 * console.log(partition.hasVp(0)); // true
 * ```
 */
export abstract class PartitionCalls {
  readonly #target: HypercallTarget;
  readonly #apicIds: ApicIds;
  readonly #registerCalls: RegisterCalls;
  readonly #interrupts: InterruptRequests;
  /** What the guest's processors are: that of the device. Registers, exits and interrupts follow it. */
  readonly architecture: Architecture;
  /** Those of a VP that this environment has open, where its register page may count. */
  #registersOf: (index: number) => OwnRegisters | undefined = () => undefined;

  /**
   * @param memory - which VP has which APIC id, as other environments have it. Default: no VPs yet
   */
  protected constructor(native: Native, architecture: Architecture, memory?: SharedArrayBuffer) {
    this.architecture = architecture;
    this.#target = { native, fd: () => this.fd };
    this.#apicIds = new ApicIds(memory);
    this.#registerCalls = new RegisterCalls(this.#target, architecture, this.#apicIds);
    this.#interrupts = new InterruptRequests(this.#target, architecture, this.#apicIds);
  }

  static {
    nativeOf = (partition) => (#target in partition ? partition.#target.native : undefined);
    apicIdsOf = (calls) => calls.#apicIds;
    lookUpRegisters = (calls, registersOf) => {
      calls.#registersOf = registersOf;
    };
    registerCallsOf = (partition) => partition.#registerCalls;
  }

  /**
   * The descriptor, borrowed.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  abstract get fd(): number;

  /**
   * Creates an eventfd of the partition's own addon: for its routes and doorbells, also where it is a simulator's. It belongs
   * to whoever asks for it, and outlives the partition.
   *
   * @throws MshvError as `EventFd.create()`; `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * using event = partition.createEvent({ semaphore: true, initial: 2 });
   * console.log(event.tryRead(), event.tryRead()); // 1n 1n
   * ```
   */
  createEvent(options: NewEventOptions = {}): EventFd {
    return createEventOf(this.#target, options);
  }

  /**
   * Whether the partition has this VP, closed or not. All environments of the process know; what another process does
   * with a descriptor does not show.
   *
   * @param index - 0 to 255
   *
   * @example
   * ```ts
   * console.log(partition.hasVp(7)); // false
   * ```
   */
  hasVp(index: number): boolean {
    return this.#apicIds.has(vpArgument('index', index));
  }

  /**
   * Any hypercall that the driver passes through, with its input packed by the caller.
   *
   * @returns the output
   *
   * @example
   * ```ts
   * import { partitionProperties } from 'mshv';
   *
   * const input = new Uint8Array(16);
   * new DataView(input.buffer).setUint32(8, partitionProperties.TIME_FREEZE, true);
   * const output = partition.hypercall({ code: 'HVCALL_GET_PARTITION_PROPERTY', input });
   * console.log(output.length); // 8
   * ```
   */
  hypercall(options: HypercallOptions): Uint8Array {
    return performHypercall(this.#target, 'partition', options);
  }

  /**
   * The value of a property.
   *
   * @param property - by name or code
   * @throws MshvError `EIO` with `HV_STATUS_UNKNOWN_PROPERTY` where the hypervisor has none
   *
   * @example
   * ```ts
   * console.log(partition.property('GUEST_OS_ID')); // 0n
   * ```
   */
  property(property: PartitionPropertyName | number): bigint {
    return getProperty(this.#target, property);
  }

  /**
   * Sets a property. Some can be set only before `initialize()`. Where the hypervisor completes the
   * change later, the driver waits for it, and everything else on the partition's descriptor waits too.
   *
   * @throws MshvError `EIO` with `HV_STATUS_UNKNOWN_PROPERTY`, `HV_STATUS_INVALID_PARTITION_STATE`
   *   (too late, or too early), `HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE`, …
   *
   * @example
   * ```ts
   * partition.setProperty('TIME_FREEZE', 1);
   * console.log(partition.property('TIME_FREEZE')); // 1n
   * ```
   */
  setProperty(property: PartitionPropertyName | number, value: number | bigint): void {
    setProperty(this.#target, property, value);
  }

  /**
   * A property that is no single word. What the hypervisor did not write of the bytes is undefined.
   *
   * @throws MshvError as `property` does
   */
  propertyEx(
    property: PartitionPropertyName | number,
    options: PropertyExOptions = {},
  ): Uint8Array {
    return getPropertyEx(this.#target, property, options);
  }

  /**
   * Makes the guest's doing a message of `MSHV_RUN_VP`, on every VP; with `access` `'none'` no longer.
   *
   * @throws MshvError as the hypervisor refuses it
   *
   * @example
   * ```ts
   * partition.installIntercept({ type: 'cpuid', leaf: 0x40000000 });
   * guest.cpuid(0x40000000);
   * console.log(vp.run()?.type); // cpuid
   * ```
   */
  installIntercept(intercept: InterceptRequest): void {
    installIntercept(this.#target, intercept);
  }

  /**
   * Registers what CPUID returns to the guest, in place of what the hypervisor would return, without a
   * message to user space.
   *
   * @throws MshvError as the hypervisor refuses it
   *
   * @example
   * ```ts
   * partition.registerCpuidResult({ leaf: 1, ecx: { value: 0, mask: 1 << 5 } }); // no VMX, on any VP
   * ```
   */
  registerCpuidResult(result: CpuidResultOptions): void {
    registerCpuidResult(this.#target, result);
  }

  /**
   * Registers what an access to an MSR does, without a message to user space.
   *
   * @throws MshvError as the hypervisor refuses it
   *
   * @example
   * ```ts
   * partition.registerMsrResult({ msr: 0x10, action: 'fault' });
   * ```
   */
  registerMsrResult(result: MsrResultOptions): void {
    registerMsrResult(this.#target, result);
  }

  /**
   * Translates a guest's virtual address as the VP would. The hypervisor translates pages: the offset in the page is that of
   * `gva`.
   *
   * A first access to memory that is mapped finds a page that the driver holds without access yet. The guest never sees
   * that, but a translation can: `'gpa-no-read-access'` or `'gpa-no-write-access'` of such a page, or of the page tables'.
   * Reading or writing as the guest (`partition.readMemory()`) does not mind.
   *
   * @throws MshvError `EINVAL` where there is no such VP; a translation that fails is a result
   *
   * @example
   * ```ts
   * const { result, gpa } = partition.translateGva({ vp: 0, gva: 0x1234 });
   * console.log(result, gpa); // success 4660n
   * ```
   */
  translateGva(options: TranslateGvaOptions): TranslatedGva {
    return translateGva(this.#target, options);
  }

  /**
   * Which pages the guest has accessed and written: a byte a page, `accessStateBits` of it. Unlike
   * the driver's bitmap ioctl it can look and change nothing.
   *
   * @throws MshvError `EINVAL` with `HV_STATUS_INVALID_PARAMETER` where a page is not mapped. The first
   *   `repsCompleted` pages had their bits changed then, and what they were is lost
   *
   * @example
   * ```ts
   * console.log(partition.accessStates({ gpa: 0, pages: 2 }).length); // 2
   * ```
   */
  accessStates(options: AccessStatesOptions): Uint8Array {
    return accessStates(this.#target, options);
  }

  /**
   * Sets a flag in the event flags of a VP's SINT, and interrupts the VP where it was clear.
   *
   * @returns whether it was clear
   * @throws MshvError `EINVAL` where there is no such VP; with the hypervisor's status where its SynIC
   *   takes no events
   *
   * @example
   * ```ts
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * console.log(partition.signalEventDirect({ vp: 0, sint: 2, flag: 7 })); // true
   * ```
   */
  signalEventDirect(event: EventSignal): boolean {
    return signalEventDirect(this.#target, event);
  }

  /**
   * Puts a message into the slot of a VP's SINT.
   *
   * @throws MshvError `EINVAL` where there is no such VP; with the hypervisor's status where the slot
   *   is occupied or its SynIC takes no messages
   *
   * @example
   * ```ts
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * partition.postMessageDirect({ vp: 0, sint: 2, type: 1, payload: Uint8Array.of(15) });
   * console.log(simulator.interrupts(partition).at(-1)?.vector); // 82
   * ```
   */
  postMessageDirect(message: SintMessage): void {
    postMessageDirect(this.#target, message);
  }

  /**
   * What CPUID returns on a VP, a result for each leaf.
   *
   * @throws MshvError `EINVAL` where there is no such VP
   *
   * @example
   * ```ts
   * const [values] = partition.cpuidValues({ vp: 0, leaves: [{ eax: 0 }] });
   * console.log(typeof values?.eax); // number
   * ```
   */
  cpuidValues(options: CpuidValuesOptions): CpuidValues[] {
    return cpuidValues(this.#target, options);
  }

  /**
   * Asserts an interrupt. Allocates nothing.
   *
   * A level-triggered one ends with a message for the driver, which only a resample route with that vector and GSI
   * answers; without one the message blocks those of other VPs (see docs/routes.md).
   *
   * @throws RangeError on x64, for a fixed vector below 16, and for a physical destination that is not the APIC id of one
   *   VP: nobody would get it
   * @throws MshvError as the hypervisor refuses it
   *
   * @example
   * ```ts
   * partition.requestInterrupt({ vector: 0x42, destination: 0 });
   * console.log(simulator.interrupts(partition)[0]?.vector); // 66
   * ```
   */
  requestInterrupt(request: InterruptRequest): void {
    this.#interrupts.request(request);
  }

  /**
   * Asserts an interrupt that a guest chose, through an I/O APIC say: where `requestInterrupt` would throw for a vector
   * (0 to 255) or a destination (any 32 bits), and where the hypervisor refuses, this says so. Allocates nothing where
   * the interrupt was requested.
   *
   * @throws MshvError where the call could not be made
   *
   * @example
   * ```ts
   * const outcome = partition.tryRequestInterrupt({ vector: 0x42, destination: 9 });
   * console.log(outcome.requested); // false
   * ```
   */
  tryRequestInterrupt(request: InterruptRequest): RequestOutcome {
    return this.#interrupts.tryRequest(request);
  }

  /**
   * Asserts the interrupt that a device's MSI means, once and without a route. Refuses what an edge-triggered route
   * refuses, a level-triggered MSI among it, but for what only injection through the register page cannot do.
   *
   * On arm64 the data is the INTID, any 32 bits, and the address is not looked at.
   *
   * @throws RangeError for an MSI that would not be delivered as it is meant: docs/routes.md has the table
   * @throws MshvError as the hypervisor refuses it
   *
   * @example
   * ```ts
   * partition.requestMsi(0xfee00000, 0x42);
   * console.log(simulator.interrupts(partition)[0]?.vector); // 66
   * ```
   */
  requestMsi(address: number | bigint, data: number): void {
    this.#interrupts.requestMsi(address, data);
  }

  /**
   * Asserts an MSI that a guest chose, any 64 and any 32 bits: where `requestMsi` would throw for them, and where the
   * hypervisor refuses, this says so. Allocates nothing for the answer where the interrupt was requested.
   *
   * @throws MshvError where the call could not be made
   * @throws TypeError or RangeError for what no guest can write: other types, more bits
   *
   * @example
   * ```ts
   * const outcome = partition.tryRequestMsi(0n, 0); // what a guest has not programmed yet
   * console.log(outcome.requested); // false
   * ```
   */
  tryRequestMsi(address: number | bigint, data: number): RequestOutcome {
    return this.#interrupts.tryRequestMsi(address, data);
  }

  /** Takes back an external interrupt (EXTINT) that was asserted and not delivered yet. */
  clearVirtualInterrupt(): void {
    this.#interrupts.clear();
  }

  /**
   * Reads registers of a VP, which may be running. Allocates nothing where `values` is given and no register page counts.
   *
   * Of a VP that stands still and that this object has open they are what the next run begins with, changes in its
   * register page included. Without that VP (a `SharedPartition` has none), or with a `vtl`, they are what the hypervisor
   * has: it learns of changes in a register page at the next run.
   *
   * @param vp - 0 to 255
   * @param names - register codes; any number of them
   * @param values - gets two words for each name, the low one first; at least so long
   * @param vtl - 0 to 15. Default: the one that the VP is in
   * @returns `values`
   * @throws MshvError `EINVAL` where there is no such VP (`HV_STATUS_INVALID_VP_INDEX`) or register;
   *   `repsCompleted` says how many registers were read then
   *
   * @example
   * ```ts
   * import { x64Registers } from 'mshv';
   *
   * const [flags] = partition.getRegisters(0, Uint32Array.of(x64Registers.RFLAGS));
   * console.log(flags); // 2n
   * ```
   */
  getRegisters(
    vp: number,
    names: Uint32Array,
    values?: BigUint64Array,
    vtl?: number,
  ): BigUint64Array {
    vp = vpArgument('vp', vp);
    vtl = vtl === undefined ? undefined : vtlArgument('vtl', vtl);
    typedArrayArgument('names', names, 'Uint32Array');
    values =
      values === undefined
        ? new BigUint64Array(2 * names.length)
        : valuesArgument('values', values, names);
    const registers = vtl === undefined ? this.#registersOf(vp) : undefined;
    if (registers === undefined) {
      this.#registerCalls.read(vp, names, values, vtl);
    } else {
      registers.get(names, values);
    }
    return values;
  }

  /**
   * Writes registers of a VP, in order, those first that are not in its register page. Where the page is not reached
   * (see `getRegisters()`) the next run takes the page's value instead of what is written here, if a register of the
   * same class was changed there, by completing an exit for one. Use `vp.setRegisters()` then, where the VP is.
   *
   * @param vp - 0 to 255
   * @param names - register codes; any number of them
   * @param values - two words for each name, the low one first; at least so long
   * @param vtl - 0 to 15. Default: the one that the VP is in
   * @throws MshvError `EINVAL` where there is no such VP (`HV_STATUS_INVALID_VP_INDEX`), no such
   *   register or no such value of it (`HV_STATUS_INVALID_REGISTER_VALUE`). Of those that are not in the register page
   *   the first `repsCompleted` are written then, of the others none. On x64
   *   `ERR_MSHV_APIC_ID_IN_USE` where an APIC id was given to another VP
   *
   * @example
   * ```ts
   * import { x64Registers } from 'mshv';
   *
   * const names = Uint32Array.of(x64Registers.RAX);
   * partition.setRegisters(0, names, BigUint64Array.of(7n, 0n)); // two words a register
   * console.log(vp.getRegisters(['RAX'])); // { RAX: 7n }
   * ```
   */
  setRegisters(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    vp = vpArgument('vp', vp);
    vtl = vtl === undefined ? undefined : vtlArgument('vtl', vtl);
    typedArrayArgument('names', names, 'Uint32Array');
    valuesArgument('values', values, names);
    const registers = vtl === undefined ? this.#registersOf(vp) : undefined;
    if (registers === undefined) {
      this.#registerCalls.write(vp, names, values, vtl);
    } else {
      registers.write(names, values);
    }
  }
}

export { apicIdsOf, lookUpRegisters, nativeOf as partitionNative, registerCallsOf };

/** Two words for each register. */
function valuesArgument(name: string, values: BigUint64Array, names: Uint32Array): BigUint64Array {
  typedArrayArgument(name, values, 'BigUint64Array');
  if (values.length < 2 * names.length) {
    throw rangeError(
      name,
      `a BigUint64Array with two words for each of ${names.length} names`,
      `${values.length} words`,
    );
  }
  return values;
}
