import {
  flagArgument,
  messageTypeArgument,
  payloadArgument,
  sintArgument,
  vpArgument,
  vtlArgument,
} from '../abi/arguments.js';
import {
  writeAssertVirtualInterrupt,
  writeAssertVirtualInterruptArm64,
  writeClearVirtualInterrupt,
  writeGetGpaPagesAccessStates,
  writeGetVpCpuidValues,
  writeInstallIntercept,
  writePostMessageDirect,
  writeRegisterCpuidResult,
  writeRegisterMsrResult,
  writeSetPartitionProperty,
  writeSignalEventDirect,
  writeTranslateVirtualAddress,
} from '../abi/hypercall-inputs.js';
import {
  accessStateFlags,
  cpuidValuesFlags,
  readCpuidValues,
  readNewlySignaled,
  readTranslation,
  translateGvaFlags,
  type CpuidValues,
  type GvaTranslation,
} from '../abi/hypercall-outputs.js';
import { interceptTypes } from '../abi/intercept-types.js';
import { hypercalls, repsPerPage } from '../abi/hypercalls.js';
import { interruptTypes, type InterruptType } from '../abi/interrupt-types.js';
import { limits } from '../abi/limits.js';
import { decodeMsi } from '../abi/msi.js';
import type { PartitionPropertyName } from '../abi/properties.js';
import {
  arrayArgument,
  booleanArgument,
  choiceArgument,
  integerArgument,
  optionsArgument,
  rangeError,
  typedArrayArgument,
  uint64Argument,
} from '../arguments.js';
import { ApicIds, noVp } from '../irq/apic-ids.js';
import {
  checkedMsi,
  driverMsi,
  lowestFixedVector,
  msiArguments,
  msiRefusal,
  refusalText,
  type MsiRefusalCode,
  type MsiRoute,
  type MsiTargets,
} from '../irq/msi.js';
import { MshvError } from '../errors.js';
import type { Native } from '../native.js';
import {
  hypercallPages,
  largestList,
  performHypercall,
  type HypercallOptions,
} from './hypercall.js';
import { checkedIntercept, type InterceptRequest } from './intercept-request.js';
import {
  checkedCpuidResult,
  checkedMsrResult,
  type CpuidResultOptions,
  type MsrResultOptions,
} from './intercept-result.js';
import {
  getProperty,
  getPropertyEx,
  propertyArgument,
  propertyText,
  type PropertyExOptions,
} from './partition-property.js';
import { RegisterCalls } from './register-calls.js';
import { RegisterSet, type VpRegisters } from './vp-registers.js';

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

/** What became of an interrupt that a guest chose: see `tryRequestMsi` and `tryRequestInterrupt`. */
export type RequestOutcome =
  | { readonly requested: true }
  | {
      readonly requested: false;
      /** `'hypervisor'`: it refused, with `error`. Any other: nothing was asked. */
      readonly code: 'hypervisor' | MsiRefusalCode;
      /** The same for people. */
      readonly reason: string;
      readonly error?: MshvError;
    };

// The usual answer, made once.
const requested: RequestOutcome = Object.freeze({ requested: true });

/** What a translation is to check, and do to the guest's page tables. */
export type TranslateGvaFlag = keyof typeof translateGvaFlags;
const translateGvaFlagNames = Object.keys(translateGvaFlags) as TranslateGvaFlag[];

export interface TranslateGvaOptions {
  /** 0 to 255. */
  vp: number;
  /** The guest's virtual address. */
  gva: number | bigint;
  /** Default `['VALIDATE_READ']`. */
  flags?: readonly TranslateGvaFlag[];
}

/** Where a guest's virtual address leads. */
export interface TranslatedGva {
  readonly result: GvaTranslation['result'];
  /** The physical address; undefined unless `result` is `'success'`. */
  readonly gpa: bigint | undefined;
  readonly cacheType: GvaTranslation['cacheType'];
  /** Whether the page is one of the hypervisor's own, laid over the guest's memory. */
  readonly overlay: boolean;
}

export interface AccessStatesOptions {
  /** Guest physical address of the first page, a multiple of 4096. */
  gpa: number | bigint;
  /** 1 to 2²⁸. */
  pages: number;
  /** What to do with the bits after they were read. Default false, all of them. */
  clearAccessed?: boolean;
  setAccessed?: boolean;
  clearDirty?: boolean;
  setDirty?: boolean;
}

export interface EventSignal {
  /** 0 to 255. */
  vp: number;
  /** 0 to 15. Default 0. */
  vtl?: number;
  /** 0 to 15. */
  sint: number;
  /** 0 to 2047: the flag to set in the VP's event flags of the SINT. */
  flag: number;
}

export interface SintMessage {
  /** 0 to 255. */
  vp: number;
  /** 0 to 15. Default 0. */
  vtl?: number;
  /** 0 to 15. */
  sint: number;
  /** 1 to 0xffffffff: 0 would be an empty slot. */
  type: number;
  /** Up to 240 bytes. Default none. */
  payload?: Uint8Array;
}

/** A CPUID to ask for. */
export interface CpuidLeafInput {
  eax: number;
  /** Default 0. */
  ecx?: number;
  /** XFEM and XSS where they are not the VP's own. Default 0. */
  xfem?: number | bigint;
  xss?: number | bigint;
}

export interface CpuidValuesOptions {
  /** 0 to 255. */
  vp: number;
  leaves: readonly CpuidLeafInput[];
  /** Take XFEM and XSS of the VP, not of the leaf. Default true. */
  useVpXfemXss?: boolean;
  /** With what `registerCpuidResult` registered. Default true. */
  applyRegisteredValues?: boolean;
}

const pageSize = 4096n;
const pageNumberLimit = 2n ** 52n;
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

const statesPerCall = repsPerPage(hypercalls.HVCALL_GET_GPA_PAGES_ACCESS_STATES);
const leavesPerCall = repsPerPage(hypercalls.HVCALL_GET_VP_CPUID_VALUES);

const noPayload = new Uint8Array(0);

let registerCallsOf: (partition: PartitionCalls) => RegisterCalls;
let apicIdsOf: (calls: PartitionCalls) => ApicIds;
let lookUpRegisters: (
  calls: PartitionCalls,
  registersOf: (index: number) => VpRegisters | undefined,
) => void;

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
  readonly #apicIds: ApicIds;
  readonly #targets: MsiTargets;
  readonly #registerCalls: RegisterCalls;
  /** Those of a VP that this environment has open, where its register page may count. */
  #registersOf: (index: number) => VpRegisters | undefined = () => undefined;

  /**
   * @param memory - which VP has which APIC id, as other environments have it. Default: no VPs yet
   */
  protected constructor(native: Native, memory?: SharedArrayBuffer) {
    const apicIds = new ApicIds(memory);
    this.#native = native;
    this.#apicIds = apicIds;
    this.#targets = {
      vpOf: (apicId) => apicIds.vpOf(apicId),
      // By hypercall, whatever the driver does for routes.
      fastInjection: false,
      level: undefined,
    };
    this.#registerCalls = new RegisterCalls(native, () => this.fd, apicIds);
  }

  static {
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
   * Whether the partition has this VP, closed or not. All environments of the process know; what another process does
   * with a descriptor does not show.
   *
   * @param index - 0 to 255
   */
  hasVp(index: number): boolean {
    return this.#apicIds.has(vpArgument('index', index));
  }

  /**
   * Any hypercall that the driver passes through, with its input packed by the caller.
   *
   * @returns the output
   */
  hypercall(options: HypercallOptions): Uint8Array {
    return performHypercall(this.#native, () => this.fd, 'partition', options);
  }

  /**
   * The value of a property.
   *
   * @param property - by name or code
   * @throws MshvError `EIO` with `HV_STATUS_UNKNOWN_PROPERTY` where the hypervisor has none
   */
  property(property: PartitionPropertyName | number): bigint {
    return getProperty(this.#native, () => this.fd, property);
  }

  /**
   * Sets a property. Some can be set only before `initialize()`. Where the hypervisor completes the
   * change later, the driver waits for it, and everything else on the partition's descriptor waits too.
   *
   * @throws MshvError `EIO` with `HV_STATUS_UNKNOWN_PROPERTY`, `HV_STATUS_INVALID_PARTITION_STATE`
   *   (too late, or too early), `HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE`, …
   */
  setProperty(property: PartitionPropertyName | number, value: number | bigint): void {
    const code = propertyArgument(property);
    const checked = uint64Argument('value', value);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_SET_PARTITION_PROPERTY',
      writeSetPartitionProperty(hypercallPages.input, code, checked),
      0,
      `set the property ${propertyText(code)}`,
    );
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
    return getPropertyEx(this.#native, () => this.fd, property, options);
  }

  /**
   * Makes the guest's doing a message of `MSHV_RUN_VP`, on every VP; with `access` `'none'` no longer.
   *
   * @throws MshvError as the hypervisor refuses it
   */
  installIntercept(intercept: InterceptRequest): void {
    const { type, access, parameter } = checkedIntercept(intercept);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_INSTALL_INTERCEPT',
      writeInstallIntercept(hypercallPages.input, access, type, parameter),
      0,
      `install an intercept of type '${intercept.type}'`,
    );
  }

  /**
   * Registers what CPUID returns to the guest, in place of what the hypervisor would return, without a
   * message to user space.
   *
   * @throws MshvError as the hypervisor refuses it
   */
  registerCpuidResult(result: CpuidResultOptions): void {
    const checked = checkedCpuidResult(result);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_REGISTER_INTERCEPT_RESULT',
      writeRegisterCpuidResult(
        hypercallPages.input,
        checked.vp,
        interceptTypes.X64_CPUID,
        checked.leaf,
        checked.subleaf,
        checked.subleafSpecific,
        checked.alwaysOverride,
        checked.result,
      ),
      0,
      `register a result of CPUID 0x${checked.leaf.toString(16)}`,
    );
  }

  /**
   * Registers what an access to an MSR does, without a message to user space.
   *
   * @throws MshvError as the hypervisor refuses it
   */
  registerMsrResult(result: MsrResultOptions): void {
    const { vp, msr, access, action } = checkedMsrResult(result);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_REGISTER_INTERCEPT_RESULT',
      writeRegisterMsrResult(hypercallPages.input, vp, interceptTypes.X64_MSR, msr, access, action),
      0,
      `register a result of MSR 0x${msr.toString(16)}`,
    );
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
   */
  translateGva(options: TranslateGvaOptions): TranslatedGva {
    optionsArgument('options', options, ['vp', 'gva', 'flags']);
    const { flags = ['VALIDATE_READ'] } = options;
    const vp = vpArgument('options.vp', options.vp);
    const gva = uint64Argument('options.gva', options.gva);
    const mask = arrayArgument('options.flags', flags).reduce(
      (bits, flag, at) =>
        bits |
        translateGvaFlags[choiceArgument(`options.flags[${at}]`, flag, translateGvaFlagNames)],
      0n,
    );
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_TRANSLATE_VIRTUAL_ADDRESS',
      writeTranslateVirtualAddress(hypercallPages.input, vp, mask, gva / pageSize),
      hypercalls.HVCALL_TRANSLATE_VIRTUAL_ADDRESS.output,
      'translate an address of VP',
      vp,
    );
    const { result, gpaPage, cacheType, overlay } = readTranslation(hypercallPages.output);
    return {
      result,
      gpa: result === 'success' ? gpaPage * pageSize + (gva % pageSize) : undefined,
      cacheType,
      overlay,
    };
  }

  /**
   * Which pages the guest has accessed and written: a byte a page, `accessStateBits` of it. Unlike
   * the driver's bitmap ioctl it can look and change nothing.
   *
   * @throws MshvError `EINVAL` with `HV_STATUS_INVALID_PARAMETER` where a page is not mapped. The first
   *   `repsCompleted` pages had their bits changed then, and what they were is lost
   */
  accessStates(options: AccessStatesOptions): Uint8Array {
    optionsArgument('options', options, [
      'gpa',
      'pages',
      'clearAccessed',
      'setAccessed',
      'clearDirty',
      'setDirty',
    ]);
    const { clearAccessed = false, setAccessed = false } = options;
    const { clearDirty = false, setDirty = false } = options;
    const gpa = uint64Argument('options.gpa', options.gpa);
    if (gpa % pageSize !== 0n) {
      throw rangeError('options.gpa', 'a multiple of 4096', options.gpa);
    }
    const pages = integerArgument('options.pages', options.pages, 1, largestList);
    if (gpa / pageSize + BigInt(pages) > pageNumberLimit) {
      throw rangeError('options.pages', 'a number of pages that ends below 2^64', pages);
    }
    const bit = (name: string, value: boolean, flag: bigint): bigint =>
      booleanArgument(`options.${name}`, value) ? flag : 0n;
    const flags =
      bit('clearAccessed', clearAccessed, accessStateFlags.CLEAR_ACCESSED) |
      bit('setAccessed', setAccessed, accessStateFlags.SET_ACCESSED) |
      bit('clearDirty', clearDirty, accessStateFlags.CLEAR_DIRTY) |
      bit('setDirty', setDirty, accessStateFlags.SET_DIRTY);
    const { fd } = this;
    const states = new Uint8Array(pages);
    for (let first = 0; first < pages;) {
      const count = Math.min(statesPerCall, pages - first);
      const done = hypercallPages.repCall(
        this.#native,
        fd,
        'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
        count,
        writeGetGpaPagesAccessStates(hypercallPages.input, flags, gpa / pageSize + BigInt(first)),
        count,
        flags === 0n,
        'get access states of pages',
        undefined,
        first,
        pages,
      );
      states.set(hypercallPages.outputBytes(done), first);
      first += done;
    }
    return states;
  }

  /**
   * Sets a flag in the event flags of a VP's SINT, and interrupts the VP where it was clear.
   *
   * @returns whether it was clear
   * @throws MshvError `EINVAL` where there is no such VP; with the hypervisor's status where its SynIC
   *   takes no events
   */
  signalEventDirect(event: EventSignal): boolean {
    optionsArgument('event', event, ['vp', 'vtl', 'sint', 'flag']);
    const { vtl: toVtl = 0 } = event;
    const vp = vpArgument('event.vp', event.vp);
    const vtl = vtlArgument('event.vtl', toVtl);
    const sint = sintArgument('event.sint', event.sint);
    const flag = flagArgument('event.flag', event.flag);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_SIGNAL_EVENT_DIRECT',
      writeSignalEventDirect(hypercallPages.input, vp, vtl, sint, flag),
      hypercalls.HVCALL_SIGNAL_EVENT_DIRECT.output,
      'signal an event to VP',
      vp,
    );
    return readNewlySignaled(hypercallPages.output);
  }

  /**
   * Puts a message into the slot of a VP's SINT.
   *
   * @throws MshvError `EINVAL` where there is no such VP; with the hypervisor's status where the slot
   *   is occupied or its SynIC takes no messages
   */
  postMessageDirect(message: SintMessage): void {
    optionsArgument('message', message, ['vp', 'vtl', 'sint', 'type', 'payload']);
    const { vtl: toVtl = 0, payload = noPayload } = message;
    const vp = vpArgument('message.vp', message.vp);
    const vtl = vtlArgument('message.vtl', toVtl);
    const sint = sintArgument('message.sint', message.sint);
    const type = messageTypeArgument('message.type', message.type);
    payloadArgument('message.payload', payload);
    const { fd } = this;
    hypercallPages.call(
      this.#native,
      fd,
      'HVCALL_POST_MESSAGE_DIRECT',
      writePostMessageDirect(hypercallPages.input, vp, vtl, sint, type, payload),
      0,
      'post a message to VP',
      vp,
    );
  }

  /**
   * What CPUID returns on a VP, a result for each leaf.
   *
   * @throws MshvError `EINVAL` where there is no such VP
   */
  cpuidValues(options: CpuidValuesOptions): CpuidValues[] {
    optionsArgument('options', options, ['vp', 'leaves', 'useVpXfemXss', 'applyRegisteredValues']);
    const { leaves, useVpXfemXss = true, applyRegisteredValues = true } = options;
    const vp = vpArgument('options.vp', options.vp);
    const checked = arrayArgument('options.leaves', leaves).map((leaf, at) => {
      const name = `options.leaves[${at}]`;
      const {
        eax,
        ecx = 0,
        xfem = 0n,
        xss = 0n,
      } = optionsArgument(name, leaf, ['eax', 'ecx', 'xfem', 'xss']);
      return {
        eax: integerArgument(`${name}.eax`, eax, 0, 0xffff_ffff),
        ecx: integerArgument(`${name}.ecx`, ecx, 0, 0xffff_ffff),
        xfem: uint64Argument(`${name}.xfem`, xfem),
        xss: uint64Argument(`${name}.xss`, xss),
      };
    });
    const flags =
      (booleanArgument('options.useVpXfemXss', useVpXfemXss)
        ? cpuidValuesFlags.USE_VP_XFEM_XSS
        : 0) |
      (booleanArgument('options.applyRegisteredValues', applyRegisteredValues)
        ? cpuidValuesFlags.APPLY_REGISTERED_VALUES
        : 0);
    const { fd } = this;
    const values: CpuidValues[] = [];
    while (values.length < checked.length) {
      const first = values.length;
      const count = Math.min(leavesPerCall, checked.length - first);
      const done = hypercallPages.repCall(
        this.#native,
        fd,
        'HVCALL_GET_VP_CPUID_VALUES',
        count,
        writeGetVpCpuidValues(hypercallPages.input, vp, flags, checked, first, count),
        count * hypercalls.HVCALL_GET_VP_CPUID_VALUES.repOutput,
        true,
        'get CPUID values of VP',
        vp,
        first,
        checked.length,
      );
      for (let at = 0; at < done; at++) {
        values.push(readCpuidValues(hypercallPages.output, at));
      }
    }
    return values;
  }

  /**
   * Asserts an interrupt. Allocates nothing.
   *
   * A level-triggered one ends with a message for the driver, which only a resample route with that vector and GSI
   * answers; without one the message blocks those of other VPs (see docs/routes.md).
   *
   * @throws RangeError for a fixed vector below 16, and on x64 for a physical destination that is not the APIC id of one
   *   VP: nobody would get it
   * @throws MshvError as the hypervisor refuses it
   */
  requestInterrupt(request: InterruptRequest): void {
    const code = this.#requestRefusal(request);
    if (code !== undefined) {
      const { vector, destination = 0 } = request;
      throw code === 'vector'
        ? rangeError('request.vector', requestAccepts.vector, vector)
        : rangeError('request.destination', requestAccepts[code], destination);
    }
    this.#assertRequest(request);
  }

  /**
   * Asserts an interrupt that a guest chose, through an I/O APIC say: where `requestInterrupt` would throw for a vector
   * (0 to 255) or a destination (any 32 bits), and where the hypervisor refuses, this says so. Allocates nothing where
   * the interrupt was requested.
   *
   * @throws MshvError where the call could not be made
   */
  tryRequestInterrupt(request: InterruptRequest): RequestOutcome {
    const code = this.#requestRefusal(request);
    if (code !== undefined) {
      const { vector, destination = 0 } = request;
      const reason =
        code === 'vector'
          ? `the vector must be ${requestAccepts.vector}, received ${vector}`
          : `the destination must be ${requestAccepts[code]}, received ${destination}`;
      return { requested: false, code, reason };
    }
    try {
      this.#assertRequest(request);
      return requested;
    } catch (error) {
      return hypervisorRefusal(error);
    }
  }

  /** Checks all arguments, and says why an interrupt that they make is not to be asserted. */
  #requestRefusal(request: InterruptRequest): keyof typeof requestAccepts | undefined {
    optionsArgument('request', request, interruptKeys);
    const { type = 'fixed', vector, destination = 0, vtl = 0 } = request;
    const { level = false, logical = false, asserted = true } = request;
    if (!requestableTypes.includes(type)) {
      choiceArgument('request.type', type, requestableTypes);
    }
    // Field by field into the call's input, without an object in between: there is no -0 in bits.
    /* eslint-disable no-restricted-syntax */
    integerArgument('request.vector', vector, 0, arm64 ? 0xffff_ffff : 255);
    integerArgument('request.destination', destination, 0, 0xffff_ffff);
    booleanArgument('request.level', level);
    booleanArgument('request.logical', logical);
    booleanArgument('request.asserted', asserted);
    vtlArgument('request.vtl', vtl);
    /* eslint-enable no-restricted-syntax */
    if (arm64) {
      return undefined;
    }
    if ((type === 'fixed' || type === 'lowest-priority') && vector < lowestFixedVector) {
      return 'vector';
    }
    const vp = logical ? 0 : this.#apicIds.vpOf(destination);
    return vp >= 0 ? undefined : vp === noVp ? 'no-destination' : 'ambiguous-destination';
  }

  #assertRequest(request: InterruptRequest): void {
    const { type = 'fixed', vector, destination = 0, vtl = 0 } = request;
    const { level = false, logical = false, asserted = true } = request;
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
   * Asserts the interrupt that a device's MSI means, once and without a route. Refuses what an edge-triggered route
   * refuses, a level-triggered MSI among it, but for what only injection through the register page cannot do.
   *
   * @throws RangeError for an MSI that would not be delivered as it is meant: docs/routes.md has the table
   * @throws MshvError as the hypervisor refuses it
   */
  requestMsi(address: number | bigint, data: number): void {
    this.#assertMsi(checkedMsi(address, data, this.#targets));
  }

  /**
   * Asserts an MSI that a guest chose, any 64 and any 32 bits: where `requestMsi` would throw for them, and where the
   * hypervisor refuses, this says so. Allocates nothing for the answer where the interrupt was requested.
   *
   * @throws MshvError where the call could not be made
   * @throws TypeError or RangeError for what no guest can write: other types, more bits
   */
  tryRequestMsi(address: number | bigint, data: number): RequestOutcome {
    const msi = msiArguments(address, data);
    const refusal = msiRefusal(msi.address, data, this.#targets);
    if (refusal !== undefined) {
      return { requested: false, code: refusal.code, reason: refusalText(refusal) };
    }
    try {
      this.#assertMsi(driverMsi(msi));
      return requested;
    } catch (error) {
      return hypervisorRefusal(error);
    }
  }

  #assertMsi({ address, data }: MsiRoute): void {
    const msi = decodeMsi(Number(address), data);
    const { deliveryMode, vector, destination, level, logical } = msi;
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
   */
  getRegisters(
    vp: number,
    names: Uint32Array,
    values?: BigUint64Array,
    vtl?: number,
  ): BigUint64Array {
    vp = vpArgument('vp', vp);
    vtl = vtl === undefined ? undefined : vtlArgument('vtl', vtl);
    checkRegisters(names, values);
    values ??= new BigUint64Array(2 * names.length);
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
   */
  setRegisters(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void {
    vp = vpArgument('vp', vp);
    vtl = vtl === undefined ? undefined : vtlArgument('vtl', vtl);
    checkRegisters(names, values);
    typedArrayArgument('values', values, 'BigUint64Array');
    const registers = vtl === undefined ? this.#registersOf(vp) : undefined;
    if (registers === undefined) {
      this.#registerCalls.write(vp, names, values, vtl);
    } else {
      registers.set(new RegisterSet(names), values);
    }
  }
}

export { apicIdsOf, lookUpRegisters };

/** What a request of an interrupt can be refused for. */
const requestAccepts = {
  vector: `a whole number from ${lowestFixedVector} to 255`,
  'no-destination': 'the APIC id of an existing VP',
  'ambiguous-destination': 'the APIC id of one VP: give each its own',
} as const;

/** That the hypervisor refused; throws any other error. */
function hypervisorRefusal(error: unknown): RequestOutcome {
  if (error instanceof MshvError && error.hvStatus !== undefined) {
    return { requested: false, code: 'hypervisor', reason: error.message, error };
  }
  throw error;
}

export { registerCallsOf };

function checkRegisters(names: Uint32Array, values: BigUint64Array | undefined): void {
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
