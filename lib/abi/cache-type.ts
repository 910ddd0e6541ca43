/** Memory types by code: their architectural names. Source: `HV_CACHE_TYPE_*` of `hvdef`. */
export const cacheTypes = ['uc', 'wc', undefined, undefined, 'wt', 'wp', 'wb'] as const;

/** How an access is cached. Source: `HV_CACHE_TYPE_*`. */
export type CacheType = Exclude<(typeof cacheTypes)[number], undefined>;
