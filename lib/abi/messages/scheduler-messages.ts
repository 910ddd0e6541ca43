import { defineFields } from './fields.js';
import {
  type Fields,
  type Layout,
  type PlainFields,
  u16,
  u32,
  u64,
  type VpSignal,
} from './layout.js';
import { Message } from './message.js';

/** `hv_vp_signal_bitset_scheduler_message`. */
export const vpSignalBitsetLayout = {
  /** Whose VPs they are. */
  partitionId: u64(0),
  /** How many messages there was no room for. */
  overflowCount: u32(8),
  /** How many VPs are meant. */
  vpCount: u16(12),
  /** 0 is sparse, 1 is all VPs. */
  format: u64(16),
  /** Bit n: there is a bank for the VPs from 64 n on. */
  validBankMask: u64(24),
  banks: { kind: 'u64s', at: 32, length: 16 },
} as const satisfies Layout;

export const vpSignalBitsetSize = 160;

/**
 * The hypervisor's root scheduler signals VPs of one partition. The driver handles this itself
 * (`handle_bitset_message`). Source: `hv_vp_signal_bitset_scheduler_message` of Linux 7.2; the set is TLFS, "Sparse
 * Virtual Processor Set".
 */
export class SchedulerVpSignalBitset
  extends Message
  implements Fields<typeof vpSignalBitsetLayout>
{
  static {
    defineFields(this, vpSignalBitsetLayout);
  }

  readonly type = 'scheduler-vp-signal-bitset';

  constructor(message: Uint8Array) {
    super(message, vpSignalBitsetSize);
  }

  /** The banks that `validBankMask` announces, one after the other: bit n is the n-th VP of its bank. */
  get banks(): readonly bigint[] {
    const { at, length } = vpSignalBitsetLayout.banks;
    return Array.from({ length }, (_, i) => this.view.getBigUint64(at + 8 * i, true));
  }

  /** The VPs of the set, ascending; undefined where it is all of them. */
  get vpIndices(): readonly number[] | undefined {
    if (this.format !== 0n) {
      return undefined;
    }
    const { validBankMask, banks } = this;
    const places = Array.from({ length: 64 }, (_, i) => i);
    const has = (word: bigint, bit: number): boolean => ((word >> BigInt(bit)) & 1n) === 1n;
    return places
      .filter((bank) => has(validBankMask, bank))
      .slice(0, banks.length)
      .flatMap((bank, i) =>
        places.filter((vp) => has(banks[i] ?? 0n, vp)).map((vp) => 64 * bank + vp),
      );
  }

  snapshot(): SchedulerVpSignalBitset {
    return new SchedulerVpSignalBitset(this.copy());
  }
}

export interface SchedulerVpSignalBitset extends PlainFields<typeof vpSignalBitsetLayout> {}

/** `hv_vp_signal_pair_scheduler_message`. */
export const vpSignalPairLayout = {
  /** How many messages there was no room for. */
  overflowCount: u32(0),
  signals: { kind: 'signals', count: 4, partitions: 8, vps: 160, most: 19 },
} as const satisfies Layout;

export const vpSignalPairSize = 240;

/**
 * The hypervisor's root scheduler signals VPs. The driver handles this itself (`handle_pair_message`). Source:
 * `hv_vp_signal_pair_scheduler_message` of Linux 7.2.
 */
export class SchedulerVpSignalPair extends Message implements Fields<typeof vpSignalPairLayout> {
  static {
    defineFields(this, vpSignalPairLayout);
  }

  readonly type = 'scheduler-vp-signal-pair';

  constructor(message: Uint8Array) {
    super(message, vpSignalPairSize);
  }

  /** Up to 19 VPs. */
  get signals(): readonly VpSignal[] {
    const { count, partitions, vps, most } = vpSignalPairLayout.signals;
    const sent = this.view.getUint8(count);
    return Array.from({ length: sent < most ? sent : most }, (_, i) => ({
      partitionId: this.view.getBigUint64(partitions + 8 * i, true),
      vpIndex: this.view.getUint32(vps + 4 * i, true),
    }));
  }

  snapshot(): SchedulerVpSignalPair {
    return new SchedulerVpSignalPair(this.copy());
  }
}

export interface SchedulerVpSignalPair extends PlainFields<typeof vpSignalPairLayout> {}
