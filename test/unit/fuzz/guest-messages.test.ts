import fc from 'fast-check';
import { describe, expect } from 'vitest';

import { GuestMessages } from '../../../lib/synic/guest-messages.js';
import type { SavedGuestMessages } from '../../../lib/synic/saved-guest-messages.js';
import { payloadOf } from '../../message-model.js';
import { MessageGuest } from '../synic/message-guest.js';
import { fuzz } from './fuzz.js';

const vps = 3;

const saved = fc
  .array(
    fc.record({
      vtl: fc.nat({ max: 1 }),
      vp: fc.nat({ max: vps - 1 }),
      sint: fc.nat({ max: 15 }),
      messages: fc.array(
        fc.record({
          type: fc.integer({ min: 1, max: 5 }),
          payload: fc.uint8Array({ minLength: 2, maxLength: 240 }),
        }),
        { maxLength: 4 },
      ),
    }),
    { maxLength: 4 },
  )
  .map((queues) => ({ queues }));

/** What a save may have become where it was kept. */
const junk = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, NaN, -1, 0, 15, 16, 255, 256, 2 ** 32, 0.5, Infinity),
  fc.constantFrom<unknown>('', '0', true, 0n, 1n, Symbol.iterator, () => 0),
  fc
    .constantFrom<() => unknown>(
      () => [],
      () => [undefined],
      () => new Array<unknown>(2),
      () => ({}),
      () => ({ length: 2 }),
      () => Object.create(null) as unknown,
      () => new Map([[0, {}]]),
      () => new Uint8Array(241),
      () => new Uint16Array(8),
      () => new ArrayBuffer(8),
      () => Buffer.alloc(240),
    )
    .map((make) => make()),
);

/** One change: `path` picks a property again and again until it is used up. */
const change = fc.record({
  path: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 6 }),
  act: fc.constantFrom('set', 'delete', 'add', 'hole', 'repeat'),
  value: junk,
});

function changed(
  target: unknown,
  { path, act, value }: { path: number[]; act: string; value: unknown },
): void {
  let at: unknown = target;
  path.forEach((pick, depth) => {
    if (typeof at !== 'object' || at === null || ArrayBuffer.isView(at)) return;
    const keys = Object.keys(at);
    const key = keys[pick % keys.length] ?? '0';
    if (depth < path.length - 1) {
      at = Reflect.get(at, key);
      return;
    }
    switch (act) {
      case 'set':
        Reflect.set(at, key, value);
        break;
      case 'delete':
        Reflect.deleteProperty(at, key);
        break;
      case 'add':
        Reflect.set(at, 'more', value);
        break;
      case 'hole':
        if (Array.isArray(at)) at.length++;
        break;
      case 'repeat':
        if (Array.isArray(at)) at.push(at[0]);
    }
  });
}

describe('a save of messages that was damaged', () => {
  fuzz(
    'is refused with a typed error and changes nothing, or is restored and delivered',
    600,
    fc.property(
      saved,
      fc.array(change, { maxLength: 4 }),
      fc.boolean(),
      (valid, changes, owned) => {
        const damaged: SavedGuestMessages = structuredClone(valid);
        for (const one of changes) changed(damaged, one);

        const guest = new MessageGuest(vps);
        const refused: unknown[] = [];
        const messages = new GuestMessages(guest, {
          bound: 4,
          onError: (error) => refused.push(error),
        });
        if (owned) messages.attachVp(0, guest.owner(0));
        for (let id = 0; id < 3; id++) void messages.postMessage(0, 0, 2, 1, payloadOf(id));
        const before = messages.save();

        let error: unknown;
        try {
          messages.restore(damaged);
        } catch (thrown) {
          error = thrown;
        }
        if (changes.length === 0) expect(error).toBeUndefined();
        if (error !== undefined) {
          expect([
            'ERR_INVALID_ARG_TYPE',
            'ERR_INVALID_ARG_VALUE',
            'ERR_OUT_OF_RANGE',
            'ERR_MSHV_NO_VP',
          ]).toContain((error as NodeJS.ErrnoException).code);
          expect(messages.save()).toEqual(before);
          return;
        }
        // Nobody posts what is not a message: all of it gets to the guest, and the queues are empty.
        for (let round = 0; messages.size > 0; round++) {
          expect(round).toBeLessThan(1000);
          for (let vp = 0; vp < vps; vp++) {
            for (let sint = 0; sint < 16; sint++) guest.read(vp, sint);
            for (let vtl = 0; vtl < 2; vtl++) messages.sintsDeliverable(vtl, vp, 0xffff);
          }
          for (let vtl = 2; vtl < 16; vtl++) {
            for (let vp = 0; vp < vps; vp++) messages.sintsDeliverable(vtl, vp, 0xffff);
          }
        }
        expect(refused).toEqual([]);
        expect(messages.save()).toEqual({ queues: [] });
      },
    ),
  );
});
