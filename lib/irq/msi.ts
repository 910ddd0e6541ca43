import { decodeMsi } from '../abi/msi.js';
import { integerArgument, rangeError, uint64Argument } from '../arguments.js';

/** An MSI as a device writes it: where to and what. */
export interface MsiRoute {
  /** Bits 19:12 are the destination, bit 2 makes it a logical one; bits 63:32 are 0. */
  readonly address: bigint;
  /** Bits 7:0 are the vector, 10:8 the delivery mode, 15 makes it level-triggered. */
  readonly data: number;
}

/** What the caller may pass for an MsiRoute. */
export interface MsiRouteInput {
  address: number | bigint;
  data: number;
}

/** The lowest vector that a fixed interrupt may have; those below are exceptions (Intel SDM 3, 11.5.2). */
export const lowestFixedVector = 16;

/**
 * Refuses what would reach the guest as something else than the caller meant, or would hurt the host:
 *
 * - an address with bits in its upper half, which the driver refuses with the whole table;
 * - a reserved delivery mode (3 and 6), and a fixed or lowest-priority vector below 16;
 * - on x64, a physical destination where no VP has that APIC id: with the root scheduler and fast
 *   injection the driver takes the VP's pointer without looking (`mshv_try_assert_irq_fast`).
 *
 * Bits that the driver ignores are not looked at either.
 *
 * @param owner - what `address` and `data` are properties of, for error messages
 */
export function checkedMsi(
  address: number | bigint,
  data: number,
  hasVp: (index: number) => boolean,
  owner = '',
): MsiRoute {
  const route = {
    address: uint64Argument(`${owner}address`, address, 0n, 0xffff_ffffn),
    data: integerArgument(`${owner}data`, data, 0, 0xffff_ffff),
  };
  const msi = decodeMsi(Number(route.address), data);
  const shownData = `0x${data.toString(16)}`;
  if (msi.deliveryMode === 'remote-read' || msi.deliveryMode === 'sipi') {
    throw rangeError(
      `${owner}data`,
      'an MSI with delivery mode 0, 1, 2, 4, 5 or 7 in bits 10:8',
      `${shownData} (mode ${(data >>> 8) & 7})`,
    );
  }
  if (
    (msi.deliveryMode === 'fixed' || msi.deliveryMode === 'lowest-priority') &&
    msi.vector < lowestFixedVector
  ) {
    throw rangeError(
      `${owner}data`,
      `an MSI with a vector from ${lowestFixedVector} to 255 in bits 7:0`,
      `${shownData} (vector ${msi.vector})`,
    );
  }
  if (process.arch === 'x64' && !msi.logical && !hasVp(msi.destination)) {
    throw rangeError(
      `${owner}address`,
      'an MSI address with an existing VP as its physical destination in bits 19:12',
      `0x${route.address.toString(16)} (no VP ${msi.destination}: create it first)`,
    );
  }
  return route;
}

export function sameMsi(one: MsiRoute | undefined, other: MsiRoute | undefined): boolean {
  return one?.address === other?.address && one?.data === other?.data;
}
