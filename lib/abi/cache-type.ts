/** A memory type, by its architectural name. */
export type CacheType = 'uc' | 'wc' | 'wt' | 'wp' | 'wb';

/** Memory types indexed by the hypervisor's code. Source: `HV_CACHE_TYPE_*` of `hvdef`. */
export const cacheTypes: readonly (CacheType | undefined)[] = [
  'uc',
  'wc',
  undefined,
  undefined,
  'wt',
  'wp',
  'wb',
];
