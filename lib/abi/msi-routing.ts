/**
 * The layout of the MSI routing table, as `MSHV_SET_MSI_ROUTING` takes it, in 32-bit words. Source: `mshv_user_irq_table`
 * and `mshv_user_irq_entry` of Linux 7.2.
 */
export const msiRoutingWords = {
  /** How many entries follow. */
  count: 0,
  header: 2,
  entry: 4,
  /** In each entry. */
  gsi: 0,
  addressLow: 1,
  addressHigh: 2,
  data: 3,
} as const;
