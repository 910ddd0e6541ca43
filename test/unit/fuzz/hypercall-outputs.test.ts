import fc from 'fast-check';
import { describe, expect } from 'vitest';

import {
  readCpuidValues,
  readNewlySignaled,
  readPartitionProperty,
  readTranslation,
  readVpRegisters,
} from '../../../lib/abi/hypercall-outputs.js';
import { anyBytes, fuzz } from './fuzz.js';

const isUint32 = (value: number): boolean =>
  Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const isUint64 = (value: bigint): boolean => value >= 0n && value < 2n ** 64n;

/** A view of the output alone: a reader that goes beyond it throws. */
function outputOf(bytes: Uint8Array, size: number): DataView {
  return new DataView(Uint8Array.from(bytes).buffer, 0, size);
}

describe('an output of any bytes', () => {
  fuzz(
    'is read to its end and no further',
    200,
    fc.property(anyBytes(4096), fc.nat({ max: 256 }), fc.nat({ max: 3 }), (bytes, reps, first) => {
      expect(isUint64(readPartitionProperty(outputOf(bytes, 8)))).toBe(true);
      expect(readNewlySignaled(outputOf(bytes, 8))).toBe(bytes[0] !== 0);

      const { result, gpaPage, cacheType, overlay } = readTranslation(outputOf(bytes, 16));
      expect(typeof result === 'string' || isUint32(result)).toBe(true);
      expect(typeof cacheType === 'string' || (cacheType >= 0 && cacheType <= 0xff)).toBe(true);
      expect(isUint64(gpaPage)).toBe(true);
      expect(overlay).toBe(((bytes[5] ?? 0) & 1) === 1);

      const leaves = outputOf(bytes, 16 * reps);
      const read = Array.from({ length: reps }, (_, i) => readCpuidValues(leaves, i));
      expect(read.flatMap((leaf) => Object.values(leaf) as number[]).every(isUint32)).toBe(true);
      expect(() => readCpuidValues(leaves, reps)).toThrow(RangeError);

      const words = new BigUint64Array(Uint8Array.from(bytes).buffer);
      const values = new BigUint64Array(2 * (first + reps + 1)).fill(0x5an);
      readVpRegisters(words, values, first, reps);
      expect(values.subarray(2 * first, 2 * (first + reps))).toEqual(words.subarray(0, 2 * reps));
      const around = [...values.subarray(0, 2 * first), ...values.subarray(2 * (first + reps))];
      expect(around.every((word) => word === 0x5an)).toBe(true);
    }),
  );
});
