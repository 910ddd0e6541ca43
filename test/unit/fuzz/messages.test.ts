import fc from 'fast-check';
import { inspect } from 'node:util';
import { describe, expect } from 'vitest';

import { encodeMessage, type EncodableType } from '../../../lib/sim/encode-message.js';
import { InterceptMessages } from '../../../lib/abi/intercepts.js';
import { messageLayout } from '../../../lib/abi/message-types.js';
import { allMessages } from '../../../lib/abi/messages/table.js';
import { anyBytes, fuzz, mutated } from './fuzz.js';

const types = Object.keys(allMessages) as EncodableType[];
const { size } = messageLayout;

/** Reads everything there is to read. */
function readAll(message: object): unknown[] {
  const read: unknown[] = [];
  for (
    let at: object | null = message;
    at !== null && at !== Object.prototype;
    at = Reflect.getPrototypeOf(at)
  ) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if ('get' in property) read.push([key, Reflect.get(message, key)]);
    }
  }
  return read;
}

const typed = fc.tuple(anyBytes(size), fc.constantFrom(...types)).map(([bytes, type]) => {
  const message = Uint8Array.from(bytes);
  new DataView(message.buffer).setUint32(messageLayout.type, allMessages[type].code, true);
  return message;
});
/** As the hypervisor sends it, but shorter than its fields take. */
const truncated = fc
  .tuple(typed, fc.nat({ max: messageLayout.payloadCapacity }))
  .map(([bytes, length]) => {
    bytes[messageLayout.payloadSize] = length;
    return bytes;
  });
const empty = fc.constantFrom(...types).map((type) => encodeMessage(type));

describe('a message of any bytes', () => {
  fuzz(
    'is read without failing, inside its 256 bytes',
    600,
    fc.property(
      fc.oneof(mutated(anyBytes(size)), mutated(typed), truncated, mutated(empty)),
      fc.constantFrom('x64' as const, 'arm64' as const),
      (bytes, architecture) => {
        // Bytes around the message that no field may show.
        const buffer = new Uint8Array(3 * size).fill(0x5a);
        buffer.set(bytes, size);
        const message = buffer.subarray(size, 2 * size);
        const { current } = new InterceptMessages(message, architecture);
        const read = readAll(current);
        expect(read.length).toBeGreaterThan(3);
        expect(current.payloadSize).toBeLessThanOrEqual(messageLayout.payloadCapacity);
        for (const [, value] of read as [string, unknown][]) {
          if (value instanceof Uint8Array) {
            expect(value.length).toBeLessThanOrEqual(messageLayout.payloadCapacity);
            // A copy: whoever has the buffer could take it away.
            expect(value.buffer).not.toBe(buffer);
          }
        }
        for (const around of [buffer.subarray(0, size), buffer.subarray(2 * size)])
          around.fill(0xa5);
        expect(readAll(current)).toEqual(read);
        expect(readAll(current.snapshot())).toEqual(read);
        expect(inspect(current)).toContain(`type: '${current.type}'`);
        expect(message).toEqual(bytes);
        expect(buffer.subarray(0, size).every((byte) => byte === 0xa5)).toBe(true);
        expect(buffer.subarray(2 * size).every((byte) => byte === 0xa5)).toBe(true);
      },
    ),
  );
});
