import type { Architecture } from '../abi/architecture.js';
import { vtlArgument } from '../abi/arguments.js';
import {
  writeAssertVirtualInterrupt,
  writeAssertVirtualInterruptArm64,
  writeClearVirtualInterrupt,
} from '../abi/hypercall-inputs.js';
import { interruptTypes, type InterruptType } from '../abi/interrupt-types.js';
import { limits } from '../abi/limits.js';
import { decodeMsi } from '../abi/msi.js';
import {
  booleanArgument,
  choiceArgument,
  integerArgument,
  optionsArgument,
  rangeError,
} from '../arguments.js';
import { MshvError } from '../errors.js';
import { noVp, type ApicIds } from '../irq/apic-ids.js';
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
import {
  hypercallOf,
  hypercallPages,
  type Hypercall,
  type HypercallTarget,
} from './hypercall-pages.js';

/** An interrupt to assert. */
export interface InterruptRequest {
  /** Default `'fixed'`. `'remote-read'` is refused. On arm64 always `'fixed'`. */
  type?: InterruptType;
  /** On x64 0 to 255, from 16 on where it is fixed or lowest-priority. On arm64 an INTID, up to 0xffffffff. */
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
      /** What the hypervisor said. */
      readonly error?: MshvError;
    };

// The usual answer, made once.
const requested: RequestOutcome = Object.freeze({ requested: true });

/** What can be asked of a partition's hypervisor. */
interface Requestable {
  readonly keys: readonly (keyof InterruptRequest)[];
  readonly types: readonly InterruptType[];
  readonly highestVector: number;
}

const keysOfAll = ['type', 'vector', 'destination', 'vtl'] as const;
const requestables: Readonly<Record<Architecture, Requestable>> = {
  x64: {
    keys: [...keysOfAll, 'level', 'logical'],
    types: (Object.keys(interruptTypes) as InterruptType[]).filter(
      (type) => type !== 'remote-read',
    ),
    highestVector: 255,
  },
  arm64: { keys: [...keysOfAll, 'asserted'], types: ['fixed'], highestVector: 0xffff_ffff },
};

// A bigint made of a number for each interrupt would be garbage.
const destinations = Array.from({ length: limits.MSHV_MAX_VPS }, (_, id) => BigInt(id));

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

const request = hypercallOf('HVCALL_ASSERT_VIRTUAL_INTERRUPT', 'request an interrupt');
const requestOfMsi = hypercallOf('HVCALL_ASSERT_VIRTUAL_INTERRUPT', 'request an MSI');
const clear = hypercallOf('HVCALL_CLEAR_VIRTUAL_INTERRUPT', 'clear the external interrupt');

/**
 * The interrupt at hand, and the descriptor to assert it on. One object for all, since a request allocates nothing:
 * nothing between filling it and the hypercall may call code of others.
 */
const interrupt = {
  fd: -1,
  type: 0,
  vector: 0,
  destination: 0,
  level: false,
  logical: false,
  asserted: true,
  vtl: 0,
};

/** Interrupts without a route: the methods of PartitionCalls, which say what they promise. */
export class InterruptRequests {
  readonly #target: HypercallTarget;
  readonly #architecture: Architecture;
  readonly #apicIds: ApicIds;
  readonly #msiTargets: MsiTargets;

  constructor(target: HypercallTarget, architecture: Architecture, apicIds: ApicIds) {
    this.#target = target;
    this.#architecture = architecture;
    this.#apicIds = apicIds;
    this.#msiTargets = {
      vpOf: (apicId) => apicIds.vpOf(apicId),
      // By hypercall, whatever the driver does for routes.
      fastInjection: false,
      architecture,
      byDriver: false,
      level: undefined,
    };
  }

  request(given: InterruptRequest): void {
    const refusal = this.#take(given);
    if (refusal !== undefined) {
      const argument = refusal === 'vector' ? 'vector' : 'destination';
      throw rangeError(`request.${argument}`, requestAccepts[refusal], interrupt[argument]);
    }
    this.#assert(request);
  }

  tryRequest(given: InterruptRequest): RequestOutcome {
    const code = this.#take(given);
    if (code !== undefined) {
      const argument = code === 'vector' ? 'vector' : 'destination';
      const reason = `the ${argument} must be ${requestAccepts[code]}, received ${interrupt[argument]}`;
      return { requested: false, code, reason };
    }
    try {
      this.#assert(request);
      return requested;
    } catch (error) {
      return hypervisorRefusal(error);
    }
  }

  requestMsi(address: number | bigint, data: number): void {
    this.#takeMsi(checkedMsi(address, data, this.#msiTargets));
    this.#assert(requestOfMsi);
  }

  tryRequestMsi(address: number | bigint, data: number): RequestOutcome {
    const msi = msiArguments(address, data);
    const refusal = msiRefusal(msi.address, data, this.#msiTargets);
    if (refusal !== undefined) {
      return { requested: false, code: refusal.code, reason: refusalText(refusal) };
    }
    this.#takeMsi(driverMsi(msi, this.#architecture));
    try {
      this.#assert(requestOfMsi);
      return requested;
    } catch (error) {
      return hypervisorRefusal(error);
    }
  }

  clear(): void {
    const { native, fd } = this.#target;
    const borrowed = fd();
    hypercallPages.call(native, borrowed, clear, writeClearVirtualInterrupt(hypercallPages.input));
  }

  /** Checks all arguments, and says why an interrupt that they make is not to be asserted. */
  #take(given: InterruptRequest): keyof typeof requestAccepts | undefined {
    const { keys, types, highestVector } = requestables[this.#architecture];
    optionsArgument('request', given, keys);
    const { type = 'fixed', destination: to = 0, vtl: toVtl = 0 } = given;
    const { level = false, logical = false, asserted = true } = given;
    if (!types.includes(type)) {
      choiceArgument('request.type', type, types);
    }
    const vector = integerArgument('request.vector', given.vector, 0, highestVector);
    const destination = integerArgument('request.destination', to, 0, 0xffff_ffff);
    booleanArgument('request.level', level);
    booleanArgument('request.logical', logical);
    booleanArgument('request.asserted', asserted);
    const vtl = vtlArgument('request.vtl', toVtl);
    const refusal = this.#refusal(type, vector, destination, logical);
    interrupt.fd = refusal === undefined ? this.#target.fd() : -1;
    interrupt.type = interruptTypes[type];
    interrupt.vector = vector;
    interrupt.destination = destination;
    interrupt.level = level;
    interrupt.logical = logical;
    interrupt.asserted = asserted;
    interrupt.vtl = vtl;
    return refusal;
  }

  #refusal(
    type: InterruptType,
    vector: number,
    destination: number,
    logical: boolean,
  ): keyof typeof requestAccepts | undefined {
    if (this.#architecture === 'arm64') {
      return undefined;
    }
    if ((type === 'fixed' || type === 'lowest-priority') && vector < lowestFixedVector) {
      return 'vector';
    }
    const vp = logical ? 0 : this.#apicIds.vpOf(destination);
    return vp >= 0 ? undefined : vp === noVp ? 'no-destination' : 'ambiguous-destination';
  }

  #takeMsi({ address, data }: MsiRoute): void {
    interrupt.fd = this.#target.fd();
    if (this.#architecture === 'arm64') {
      // The data is the INTID, whole, and nothing is said of a destination.
      interrupt.type = interruptTypes.fixed;
      interrupt.vector = data;
      interrupt.destination = 0;
      interrupt.level = false;
      interrupt.logical = false;
      interrupt.asserted = true;
      interrupt.vtl = 0;
      return;
    }
    const msi = decodeMsi(Number(address), data);
    interrupt.type = interruptTypes[msi.deliveryMode];
    interrupt.vector = msi.vector;
    interrupt.destination = msi.destination;
    interrupt.level = msi.level;
    interrupt.logical = msi.logical;
    interrupt.asserted = true;
    interrupt.vtl = 0;
  }

  #assert(call: Hypercall): void {
    const { input } = hypercallPages;
    const { fd, type, vector, level, logical, asserted, vtl } = interrupt;
    const to = destinations[interrupt.destination] ?? BigInt(interrupt.destination);
    const isArm64 = this.#architecture === 'arm64';
    const length = isArm64
      ? writeAssertVirtualInterruptArm64(input, type, vector, to, asserted, vtl)
      : writeAssertVirtualInterrupt(input, type, vector, to, level, logical, vtl);
    hypercallPages.call(this.#target.native, fd, call, length);
  }
}
