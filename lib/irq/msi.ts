import type { Architecture } from '../abi/architecture.js';
import { decodeMsi, type Msi } from '../abi/msi.js';
import { integerArgument, rangeError, uint64Argument } from '../arguments.js';
import { noVp, severalVps } from './apic-ids.js';

/** An MSI as a device writes it: where to and what. */
export interface MsiRoute {
  /** x64: 0xfee00000 and bits 19:12 the destination, bit 3 the redirection hint, bit 2 makes the destination a logical one. arm64: whatever the MSI frame has, it names no destination. */
  readonly address: bigint;
  /** x64: bits 7:0 are the vector, 10:8 the delivery mode, 14 the level, 15 makes it level-triggered. arm64: the INTID. */
  readonly data: number;
}

/** What the caller may pass for an MsiRoute. */
export interface MsiRouteInput {
  /** Where the device writes: 0xfee00000 to 0xfeefffff. */
  address: number | bigint;
  /** What it writes: 32 bits. */
  data: number;
}

/** The lowest vector that a fixed interrupt may have; those below are exceptions (Intel SDM 3, 11.5.2). */
export const lowestFixedVector = 16;

/** What can be reached by an MSI, and how. */
export interface MsiTargets {
  /** The VP with this APIC id, `noVp`, or `severalVps`. */
  vpOf(apicId: number): number;
  /**
   * The driver may put the vector of a physical MSI into a VP's register page and nothing else
   * (`mshv_try_assert_irq_fast`): it takes the APIC id for the VP's index, and the interrupt for a fixed, edge-triggered
   * one. Logical destinations go by hypercall, whole.
   */
  readonly fastInjection: boolean;
  readonly architecture: Architecture;
  /** The driver takes the MSI apart, for a route; else what it means goes to the hypervisor whole. */
  readonly byDriver: boolean;
  /** The vector of a route that is resampled; undefined for an edge-triggered MSI. */
  readonly level: number | undefined;
}

/** Why an MSI is refused. See the table in docs/routes.md. */
export type MsiRefusalCode =
  | 'ambiguous-destination'
  | 'broadcast'
  | 'deasserted'
  | 'delivery-mode'
  | 'edge'
  | 'extended-destination'
  | 'fast-injection'
  | 'level'
  | 'no-destination'
  | 'no-interrupt-address'
  | 'redirection'
  | 'remappable'
  | 'upper-half'
  | 'vector';

/** Which word of the MSI it is, what that may be, and what it was. */
export interface MsiRefusal {
  readonly code: MsiRefusalCode;
  readonly argument: 'address' | 'data';
  readonly accepts: string;
  readonly shown: string;
}

const interruptAddress = 0xfee;
const broadcast = 0xff;
// Intel SDM 3, 11.11.1 and .2; bits 11:5 and 4 of the address: Intel VT-d 5.1.2, and the extended destination id of hypervisors.
const extendedDestination = 0xfe0;
const remappable = 1 << 4;
const redirectionHint = 1 << 3;
const assert = 1 << 14;
const lowestPriority = 1 << 8;

/**
 * Why an MSI would reach the guest as something else than it means, or would hurt the host; undefined where the driver
 * delivers what it means. Bits that mean nothing (address 1:0, data 31:16 and 13:11) are not looked at.
 *
 * @param address - any 64 bits
 * @param data - any 32 bits
 */
export function msiRefusal(
  address: bigint,
  data: number,
  targets: MsiTargets,
): MsiRefusal | undefined {
  if (targets.architecture === 'arm64') {
    return targets.byDriver ? arm64RouteRefusal(address, data) : undefined;
  }
  if (address > 0xffff_ffffn) {
    return ofAddress('upper-half', 'below 2^32', address);
  }
  const low = Number(address);
  const msi = decodeMsi(low, data);
  return (
    addressRefusal(address, low) ??
    dataRefusal(msi, data, targets.level) ??
    destinationRefusal(address, low, msi, data, targets)
  );
}

/**
 * The data is the INTID that the guest has for the device, and the driver takes bits 7:0 of it for the vector and 10:8
 * for the type of the interrupt, of which the hypervisor knows the fixed one, 0 (`mshv_copy_girq_info`). The address
 * says nothing to it, but has no upper half.
 */
function arm64RouteRefusal(address: bigint, data: number): MsiRefusal | undefined {
  if (address > 0xffff_ffffn) {
    return ofAddress('upper-half', 'below 2^32 for a route (requestMsi takes any)', address);
  }
  return data > 0xff
    ? ofData(
        'vector',
        'an MSI with an INTID from 0 to 255 for a route (requestMsi takes any)',
        data,
        `INTID ${data}`,
      )
    : undefined;
}

function addressRefusal(address: bigint, low: number): MsiRefusal | undefined {
  if (low >>> 20 !== interruptAddress) {
    return ofAddress(
      'no-interrupt-address',
      'an MSI address, from 0xfee00000 to 0xfeefffff',
      address,
    );
  }
  if ((low & remappable) !== 0) {
    return ofAddress(
      'remappable',
      'an MSI address in compatibility format, without bit 4',
      address,
    );
  }
  if ((low & extendedDestination) !== 0) {
    return ofAddress('extended-destination', 'an MSI address without bits 11:5', address);
  }
  return undefined;
}

function dataRefusal(msi: Msi, data: number, level: number | undefined): MsiRefusal | undefined {
  const refusal = modeRefusal(msi, data, level !== undefined) ?? vectorRefusal(msi, data);
  if (refusal !== undefined) {
    return refusal;
  }
  if (msi.level && (data & assert) === 0) {
    return ofData('deasserted', 'an MSI that asserts (bit 14) where it is level-triggered', data);
  }
  if (level === undefined) {
    return msi.level
      ? ofData('level', 'an edge-triggered MSI, without bit 15', data, 'level-triggered')
      : undefined;
  }
  if (!msi.level || msi.vector !== level) {
    return ofData(
      msi.level ? 'vector' : 'edge',
      `a level-triggered MSI (bit 15) with the route's vector ${level}`,
      data,
      `vector ${msi.vector}, ${msi.level ? 'level' : 'edge'}`,
    );
  }
  return undefined;
}

/** Of the delivery modes, SIPI and remote read are reserved; a guest has no SMM, and no 8259A that a vector could come from. */
function modeRefusal(
  { deliveryMode }: Msi,
  data: number,
  resampled: boolean,
): MsiRefusal | undefined {
  const refused =
    deliveryMode === 'remote-read' ||
    deliveryMode === 'sipi' ||
    deliveryMode === 'smi' ||
    (deliveryMode === 'extint' && !resampled);
  const accepted = resampled ? '0, 1, 4, 5 or 7' : '0, 1, 4 or 5';
  return refused
    ? ofData(
        'delivery-mode',
        `an MSI with delivery mode ${accepted} in bits 10:8`,
        data,
        `mode ${(data >>> 8) & 7}`,
      )
    : undefined;
}

function vectorRefusal({ deliveryMode, vector }: Msi, data: number): MsiRefusal | undefined {
  return (deliveryMode === 'fixed' || deliveryMode === 'lowest-priority') &&
    vector < lowestFixedVector
    ? ofData(
        'vector',
        `an MSI with a vector from ${lowestFixedVector} to 255 in bits 7:0`,
        data,
        `vector ${vector}`,
      )
    : undefined;
}

function destinationRefusal(
  address: bigint,
  low: number,
  msi: Msi,
  data: number,
  targets: MsiTargets,
): MsiRefusal | undefined {
  const { deliveryMode, destination, logical } = msi;
  if (logical) {
    const isFixed = deliveryMode === 'fixed' || deliveryMode === 'lowest-priority';
    return (low & redirectionHint) !== 0 && !isFixed
      ? ofAddress(
          'redirection',
          `an MSI address without redirection hint (bit 3) for a logical destination and delivery mode '${deliveryMode}'`,
          address,
        )
      : undefined;
  }
  // In x2APIC mode it is an id, in xAPIC mode all of them.
  if (destination === broadcast) {
    return ofAddress(
      'broadcast',
      'an MSI address with one VP as its physical destination in bits 19:12',
      address,
      'all VPs',
    );
  }
  const vp = targets.vpOf(destination);
  if (vp === noVp) {
    return ofAddress(
      'no-destination',
      'an MSI address with the APIC id of an existing VP as its physical destination in bits 19:12',
      address,
      `no VP has APIC id ${destination}: create it first`,
    );
  }
  if (vp === severalVps) {
    return ofAddress(
      'ambiguous-destination',
      'an MSI address with the APIC id of one VP as its physical destination in bits 19:12',
      address,
      `several VPs have APIC id ${destination}: give each its own`,
    );
  }
  return targets.fastInjection ? registerPageRefusal(address, data, msi, vp) : undefined;
}

/** What of a physical MSI for one VP does not come through its register page. */
function registerPageRefusal(
  address: bigint,
  data: number,
  { deliveryMode, destination, level }: Msi,
  vp: number,
): MsiRefusal | undefined {
  const host =
    'on a host that injects through the register page (one that does not: Mshv.open({ fastInjection: false }))';
  if (vp !== destination) {
    return ofAddress(
      'fast-injection',
      `an MSI address with a VP whose APIC id is its index as its physical destination in bits 19:12 ${host}`,
      address,
      `APIC id ${destination} is VP ${vp}`,
    );
  }
  if (level) {
    return ofAddress(
      'fast-injection',
      `an MSI address with a logical destination (bit 2) where the interrupt is level-triggered ${host}`,
      address,
      'physical',
    );
  }
  if (deliveryMode !== 'fixed' && deliveryMode !== 'lowest-priority') {
    return ofData(
      'fast-injection',
      `a fixed or lowest-priority MSI ${host}`,
      data,
      `mode '${deliveryMode}'`,
    );
  }
  return undefined;
}

function ofAddress(
  code: MsiRefusalCode,
  accepts: string,
  address: bigint,
  remark?: string,
): MsiRefusal {
  return { code, argument: 'address', accepts, shown: shown(address, remark) };
}

function ofData(code: MsiRefusalCode, accepts: string, data: number, remark?: string): MsiRefusal {
  return { code, argument: 'data', accepts, shown: shown(data, remark) };
}

function shown(word: number | bigint, remark?: string): string {
  const hex = `0x${word.toString(16)}`;
  return remark === undefined ? hex : `${hex} (${remark})`;
}

/** The same for people. */
export function refusalText({ argument, accepts, shown: got }: MsiRefusal): string {
  return `the ${argument} must be ${accepts}, received ${got}`;
}

/** An MSI's words, whatever their values. */
export function msiArguments(address: number | bigint, data: number, owner = ''): MsiRoute {
  return {
    address: uint64Argument(`${owner}address`, address),
    data: integerArgument(`${owner}data`, data, 0, 0xffff_ffff),
  };
}

/**
 * The MSI for the driver, which is not told of the redirection hint: with a logical destination the hint means one VP of
 * those, which is lowest-priority delivery.
 */
export function driverMsi(msi: MsiRoute, architecture: Architecture): MsiRoute {
  if (architecture === 'arm64') {
    return msi;
  }
  const low = Number(msi.address);
  const isRedirected = (low & redirectionHint) !== 0 && decodeMsi(low, msi.data).logical;
  return isRedirected ? { address: msi.address, data: msi.data | lowestPriority } : msi;
}

/** The MSI for the driver, or a RangeError that says why it is refused. */
export function checkedMsi(
  address: number | bigint,
  data: number,
  targets: MsiTargets,
  owner = '',
): MsiRoute {
  const msi = msiArguments(address, data, owner);
  const refusal = msiRefusal(msi.address, data, targets);
  if (refusal !== undefined) {
    throw rangeError(`${owner}${refusal.argument}`, refusal.accepts, refusal.shown);
  }
  return driverMsi(msi, targets.architecture);
}

export function sameMsi(one: MsiRoute | undefined, other: MsiRoute | undefined): boolean {
  return one?.address === other?.address && one?.data === other?.data;
}
