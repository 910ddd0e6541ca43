import { constants } from 'node:os';

/** The typed arrays that `GuestMemory.view` can make. */
export type MemoryView =
  | Uint8Array<ArrayBuffer>
  | Uint8ClampedArray<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>;

/** A constructor of typed arrays, such as `Uint32Array`. */
export interface ViewConstructor<View extends MemoryView> {
  /** Its own, for errors. */
  readonly name: string;
  /** 1 of a DataView, which has none. */
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): View;
}

/** All of those constructors. */
export const viewTypes: ReadonlySet<unknown> = new Set([
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigUint64Array,
  BigInt64Array,
]);

/** Why there is no buffer to make views of. */
export const bufferHints = new Map([
  [
    -constants.errno.ENOTSUP,
    'this Node has none so large, or none over memory of others: use read(), write() or window()',
  ],
]);
