/**
 * How an interrupt is delivered, indexed by the delivery mode of an MSI, which is also the
 * hypervisor's interrupt type. Source: `HV_X64_INTERRUPT_TYPE_*` of Linux 7.2.
 */
export const deliveryModes = [
  'fixed',
  'lowest-priority',
  'smi',
  'remote-read',
  'nmi',
  'init',
  'sipi',
  'extint',
] as const;

export type DeliveryMode = (typeof deliveryModes)[number];

/** What the driver makes of an MSI's address and data on x64. */
export interface Msi {
  /** 0 to 255. */
  readonly vector: number;
  readonly deliveryMode: DeliveryMode;
  /** Level-triggered; edge-triggered where false. */
  readonly level: boolean;
  /** APIC id, or a set of logical APIC ids where `logical`; 0 to 255. */
  readonly destination: number;
  readonly logical: boolean;
}

/**
 * Decodes the low half of an MSI address and its data as the driver does. Every pair of words
 * decodes: bits the driver ignores (address 31:20, 11:3 and 1:0, data 31:16 and 14:11) are ignored
 * here, and nothing is validated. Source: `mshv_copy_girq_info`.
 */
export function decodeMsi(addressLow: number, data: number): Msi {
  return {
    vector: data & 0xff,
    deliveryMode: deliveryModes[((data >>> 8) & 7) as 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7],
    level: (data & (1 << 15)) !== 0,
    destination: (addressLow >>> 12) & 0xff,
    logical: (addressLow & (1 << 2)) !== 0,
  };
}
