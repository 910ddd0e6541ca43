import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  postMessage,
  signalEvent,
  postMessageInput,
  signalEventInput,
} from '../guest-hypercall.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  base,
  call,
  eventConnection,
  flags,
  hypercallsForEachTest,
  memory,
  messagePort,
  messages,
  only,
  page,
  payload,
  placed,
  posted,
  success,
} from './hypercalls-for-tests.js';
import { partition, vp } from './partition-for-tests.js';
import { errors, synic } from './synic-for-tests.js';

// Where the input of a slow hypercall may be in the guest's memory, and that it is read once.

const guest = await guestSideForTests();
hypercallsForEachTest(guest);
const halt = encodeMessage('halt', { vpIndex: 0 });

describe('the input of a slow call', () => {
  const misplaced = only('HV_STATUS_INVALID_ALIGNMENT');
  const signalAt = (input: bigint) => call({ code: signalEvent, input });

  it('may end with its page, and may not go beyond', async () => {
    expect(await call({ code: postMessage, input: posted(240, page - 256) })).toEqual(success);
    expect(await signalAt(placed(signalEventInput(eventConnection, 3), page - 8))).toEqual(success);
    for (const at of [page - 248, page - 8]) {
      expect(await call({ code: postMessage, input: posted(240, at) })).toEqual(misplaced);
    }
    expect([messages.length, flags]).toEqual([1, [3]]);
  });

  it.each([1, 2, 4, 7])('is aligned to 8 bytes, and not to %i', async (offset) => {
    expect(await call({ code: postMessage, input: posted(4, offset) })).toEqual(misplaced);
    expect(await signalAt(placed(signalEventInput(eventConnection, 0), offset))).toEqual(misplaced);
    expect([messages, flags]).toEqual([[], []]);
  });

  it('is where the guest has memory', async () => {
    const end = base + BigInt(4 * page);
    for (const input of [0n, base - 8n, end, 2n ** 52n, 2n ** 64n - 8n]) {
      expect(await signalAt(input)).toEqual(misplaced);
    }
    for (const input of [base - 256n, end, 2n ** 64n - 256n]) {
      expect(await call({ code: postMessage, input })).toEqual(misplaced);
    }
    expect([messages, flags, errors]).toEqual([[], [], []]);
  });

  it('is what is mapped now, wherever that comes from', async () => {
    const [mapping] = partition.mappings;
    const input = placed(signalEventInput(eventConnection, 5), page);
    mapping?.unmap();
    expect(await signalAt(input)).toEqual(misplaced);
    // The same page elsewhere, for reading only.
    partition.mapMemory(memory, { gpa: 0x8000_0000n, offset: page, size: page, writable: false });
    expect(await signalAt(input)).toEqual(misplaced);
    expect(await signalAt(0x8000_0000n)).toEqual(success);
    memory.close();
    expect(await signalAt(0x8000_0000n)).toEqual(success);
    expect(flags).toEqual([5, 5]);
  });

  it('has no upper half in a 32-bit caller’s address but what is in EBX', async () => {
    partition.mapMemory(memory, { gpa: 0x1_0000_0000n, offset: page, size: page });
    placed(signalEventInput(eventConnection, 6), page);
    expect(await call({ code: signalEvent, input: 0x1_0000_0000n, bits: 32 })).toEqual(success);
    expect(flags).toEqual([6]);
  });

  it('is copied once: what the guest changes meanwhile does not count', async () => {
    const input = posted(32);
    messagePort.answer = () => {
      placed(postMessageInput(0xbad, payload(99), { type: 2 }));
      return Promise.resolve();
    };
    expect(await call({ code: postMessage, input })).toEqual(
      only('HV_STATUS_INSUFFICIENT_BUFFERS'),
    );
    expect(messages).toEqual([{ bytes: [...payload(32)], type: 1, secure: false }]);
    await setImmediate();
    // The guest that comes back with what it had posted gets the answer.
    expect(await call({ code: postMessage, input })).toEqual(
      only('HV_STATUS_INVALID_CONNECTION_ID'),
    );
    expect(await call({ code: postMessage, input: posted(32) })).toEqual(success);
    expect(messages).toHaveLength(1);
  });

  it('is copied once for a call of the VMM’s, too', async () => {
    let seen: number[] = [];
    synic.hypercalls.add({
      code: 0x4321,
      name: 'HvMine',
      inputSize: 16,
      handle: ({ input }) => {
        const first = input.getBigUint64(0, true);
        placed(new Uint8Array(16).fill(0xff));
        guest.queueMessage(partition, 0, halt);
        seen = [Number(first), Number(input.getBigUint64(0, true)), input.getUint8(15)];
        return 0;
      },
    });
    const input = placed(Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9));
    expect(await call({ code: 0x4321, input })).toEqual(success);
    expect(seen).toEqual([7, 7, 9]);
    // The other halt.
    expect(vp.run()?.type).toBe('halt');
  });
});
