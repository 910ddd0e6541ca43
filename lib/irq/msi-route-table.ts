import { inspect, type InspectOptions } from 'node:util';

import { limits } from '../abi/limits.js';
import { msiRoutingWords as words } from '../abi/msi-routing.js';
import { arrayArgument, functionArgument, typeError, uint64Argument } from '../arguments.js';
import { systemError } from '../errors.js';
import { inspected } from '../inspection.js';
import { integer, optional, table, takeOptions, uint32, type OptionTable } from '../options.js';
import { synchronous } from '../thenable.js';
import { sameMsi, type MsiRoute } from './msi.js';

/** What one GSI is to be routed to; undefined unroutes it. */
export interface RouteChange {
  /** 1 to 4095. */
  readonly gsi: number;
  /** What it is routed to from then on. */
  readonly msi: MsiRoute | undefined;
}

const { header: headerWords, entry: entryWords } = words;

/**
 * A partition's MSI routing table, as the driver has it.
 *
 * `MSHV_SET_MSI_ROUTING` replaces the whole table and waits for a grace period, so the table is kept
 * packed in the driver's own layout, is changed in constant time per route, and is pushed from the
 * same memory, only where it differs from what the driver has.
 *
 * @example
 * ```ts
 * import { MsiRouteTable } from 'mshv';
 *
 * const table = new MsiRouteTable((words) => {
 *   console.log(words[0]); // 1
 *   return 0; // pushed
 * });
 * table.commit([{ gsi: 256, msi: { address: 0xfee00000n, data: 0x41 } }]);
 * console.log(table.get(256)?.data); // 65
 * ```
 */
export class MsiRouteTable {
  readonly #push: (table: Uint32Array) => number;
  readonly #words = new Uint32Array(headerWords + entryWords * limits.MSHV_MAX_GUEST_IRQS);
  /** The slot of each GSI's entry, plus 1. */
  readonly #slots = new Uint16Array(limits.MSHV_MAX_GUEST_IRQS);
  #unknown = false;

  /** @param push - issues `MSHV_SET_MSI_ROUTING` with these words; returns 0 or a negative errno */
  constructor(push: (table: Uint32Array) => number) {
    this.#push = functionArgument('push', push);
  }

  /** How many GSIs are routed. */
  get size(): number {
    return this.#words[words.count] ?? 0;
  }

  /** Whether the driver may have something else: the next commit that matters pushes the table whole. */
  get unknown(): boolean {
    return this.#unknown;
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { size, unknown } = this;
    return inspected('MsiRouteTable', { size, unknown }, depth, options);
  }

  /** Says that the driver may have another table: the next commit that matters pushes this one whole. */
  markUnknown(): void {
    this.#unknown = true;
  }

  /** What a GSI, 1 to 4095, is routed to; undefined where it is not. */
  get(gsi: number): MsiRoute | undefined {
    gsi = gsiArgument('gsi', gsi);
    const slot = this.#slots[gsi] ?? 0;
    if (slot === 0) {
      return undefined;
    }
    const entry = headerWords + (slot - 1) * entryWords;
    return {
      address: BigInt(this.#words[entry + words.addressLow] ?? 0),
      data: this.#words[entry + words.data] ?? 0,
    };
  }

  /**
   * Makes the changes with at most one push, none where nothing differs from the driver's table.
   * Returns the changes that undo them.
   *
   * @throws MshvError where the driver refused; nothing has changed then, neither here nor there. What `push` throws, and
   *   TypeError `ERR_INVALID_RETURN_VALUE` where it is asynchronous: nothing has changed here, and the table is `unknown`
   *
   * @example
   * ```ts
   * import { MsiRouteTable } from 'mshv';
   *
   * const table = new MsiRouteTable(() => 0);
   * table.commit([{ gsi: 256, msi: { address: 0xfee00000n, data: 0x41 } }]);
   * table.commit([{ gsi: 256, msi: undefined }]);
   * console.log(table.size); // 0
   * ```
   */
  commit(changes: readonly RouteChange[]): RouteChange[] {
    for (const change of arrayArgument('changes', changes)) {
      takeOptions('change', change, routeChange);
    }
    const undo: RouteChange[] = [];
    for (const { gsi, msi } of changes) {
      const before = this.get(gsi);
      if (!sameMsi(before, msi)) {
        this.#set(gsi, msi);
        undo.push({ gsi, msi: before });
      }
    }
    undo.reverse();
    if (undo.length > 0 || this.#unknown) {
      const takeBack = (): void => {
        for (const { gsi, msi } of undo) {
          this.#set(gsi, msi);
        }
      };
      let result: number;
      try {
        result = synchronous('push()', this.#push(this.#words));
      } catch (error) {
        takeBack();
        this.#unknown = true;
        throw error;
      }
      if (result < 0) {
        takeBack();
        throw systemError('set the MSI routing table', result, { ioctl: 'MSHV_SET_MSI_ROUTING' });
      }
      this.#unknown = false;
    }
    return undo;
  }

  #set(gsi: number, msi: MsiRoute | undefined): void {
    if (msi === undefined) {
      this.#remove(gsi);
      return;
    }
    const slot = this.#slots[gsi] ?? 0;
    const position = slot === 0 ? this.size : slot - 1;
    if (slot === 0) {
      this.#slots[gsi] = position + 1;
      this.#words[words.count] = position + 1;
    }
    const entry = headerWords + position * entryWords;
    this.#words[entry + words.gsi] = gsi;
    this.#words[entry + words.addressLow] = Number(msi.address);
    this.#words[entry + words.addressHigh] = 0;
    this.#words[entry + words.data] = msi.data;
  }

  /** Moves the last entry into the gap. */
  #remove(gsi: number): void {
    const slot = this.#slots[gsi] ?? 0;
    if (slot === 0) {
      return;
    }
    const last = headerWords + (this.size - 1) * entryWords;
    this.#slots[this.#words[last + words.gsi] ?? 0] = slot;
    this.#slots[gsi] = 0;
    this.#words.copyWithin(headerWords + (slot - 1) * entryWords, last, last + entryWords);
    this.#words[words.count] = this.size - 1;
  }
}

const gsiArgument = integer(1, limits.MSHV_MAX_GUEST_IRQS - 1);

const entryMsi = { address: addressArgument, data: uint32 } satisfies OptionTable<MsiRoute>;

const routeChange = {
  gsi: gsiArgument,
  msi: optional(table(entryMsi)),
} satisfies OptionTable<RouteChange>;

function addressArgument(name: string, address: bigint): bigint {
  if (typeof address !== 'bigint') {
    throw typeError(name, 'a bigint', address);
  }
  return uint64Argument(name, address, 0n, 0xffff_ffffn);
}
