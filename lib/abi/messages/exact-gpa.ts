import type { GpaField } from './layout.js';

const offsetInPage = 0xfffn;
/** gva_valid and gva_gpa_valid of `hv_x64_memory_access_info` and `hv_arm64_memory_access_info`. */
const translated = 0x3;

/**
 * The guest physical address of an access. Hypervisors on Intel processors give the page's address, where the virtual one
 * is exact to the byte: then the offset in the page is that of the latter, if one is the translation of the other.
 */
export function exactGpa(payload: DataView, { at, gva, valid }: GpaField): bigint {
  const given = payload.getBigUint64(at, true);
  const exact =
    (payload.getUint8(valid) & translated) !== translated || (given & offsetInPage) !== 0n;
  return exact ? given : given | (payload.getBigUint64(gva, true) & offsetInPage);
}
