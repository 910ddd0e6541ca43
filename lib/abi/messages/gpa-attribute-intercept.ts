import { defineFields } from './fields.js';
import {
  bits,
  type Fields,
  flag,
  type GpaPageRange,
  type Layout,
  type PlainFields,
  u32,
} from './layout.js';
import { Message } from './message.js';

/** `hv_x64_gpa_attribute_intercept_message`. */
export const gpaAttributeLayout = {
  /** The VP that asks. */
  vpIndex: u32(0),
  /** Whether attributes are to be changed, rather than looked at. */
  adjust: flag(4, 5),
  /** Bit 0: the host may read, bit 1: it may write. */
  hostVisibility: bits(4, 6, 2),
  /** The hypervisor's code of the memory's type: 6 bits. */
  memoryType: bits(5, 0, 6),
  ranges: { kind: 'ranges', at: 8, count: 4, countWidth: 5, most: 29 },
} as const satisfies Layout;

export const gpaAttributeSize = 240;

/**
 * The guest asks for other attributes of its memory. Source: `hv_x64_gpa_attribute_intercept_message` and
 * `hv_gpa_page_range` of rust-vmm/mshv and Linux 7.2.
 */
export class GpaAttributeIntercept extends Message implements Fields<typeof gpaAttributeLayout> {
  static {
    defineFields(this, gpaAttributeLayout);
  }

  readonly type = 'gpa-attribute';

  constructor(message: Uint8Array) {
    super(message, gpaAttributeSize);
  }

  /** Up to 29 ranges. */
  get ranges(): readonly GpaPageRange[] {
    const { at, count, countWidth, most } = gpaAttributeLayout.ranges;
    const sent = this.view.getUint8(count) & (2 ** countWidth - 1);
    return Array.from({ length: sent < most ? sent : most }, (_, i) => {
      const range = this.view.getBigUint64(at + 8 * i, true);
      return {
        page: range >> 12n,
        additionalPages: Number(range & 0x7ffn),
        large: (range & 0x800n) !== 0n,
      };
    });
  }

  snapshot(): GpaAttributeIntercept {
    return new GpaAttributeIntercept(this.copy());
  }
}

export interface GpaAttributeIntercept extends PlainFields<typeof gpaAttributeLayout> {}
