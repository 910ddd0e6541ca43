/** A segment register, as messages, the register page and register hypercalls have it. */
export interface SegmentRegister {
  /** Where the segment begins: a guest virtual address. */
  readonly base: bigint;
  /** In bytes, already scaled by the granularity; 32 bits. */
  readonly limit: number;
  /** What the guest loaded: 16 bits. */
  readonly selector: number;
  /**
   * Bits 0 to 3 type, 4 not a system segment, 5 and 6 DPL, 7 present, 12 available, 13 long, 14 default
   * size, 15 granularity.
   */
  readonly attributes: number;
}

/** Reads an `hv_x64_segment_register` at a byte offset. */
export function readSegmentRegister(view: DataView, at: number): SegmentRegister {
  return {
    base: view.getBigUint64(at, true),
    limit: view.getUint32(at + 8, true),
    selector: view.getUint16(at + 12, true),
    attributes: view.getUint16(at + 14, true),
  };
}

/** Writes an `hv_x64_segment_register`; validates nothing. */
export function writeSegmentRegister(view: DataView, at: number, segment: SegmentRegister): void {
  view.setBigUint64(at, segment.base, true);
  view.setUint32(at + 8, segment.limit, true);
  view.setUint16(at + 12, segment.selector, true);
  view.setUint16(at + 14, segment.attributes, true);
}
