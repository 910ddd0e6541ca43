/**
 * Bytes that nobody can take away: the buffer of other arrays can be transferred by whoever has come by a view of it, and
 * they have no bytes then.
 */
export function lastingBytes(size: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(size));
}
