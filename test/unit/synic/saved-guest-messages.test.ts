import { beforeEach, describe, expect, it } from 'vitest';

import { payloadOf } from '../../message-model.js';
import { guest, messages, create, withCode, readAll } from './guest-messages-on-guest.js';

// Queues that are saved, restored and reset.

beforeEach(() => {
  create();
});

describe('save() and restore()', () => {
  it('carry what was taken to other queues, which ask for notifications', async () => {
    const port = messages.newPort(0, 1, 2);
    for (const id of [1, 2, 3]) void port.post(1, payloadOf(id));
    const waits = port.post(1, payloadOf(4));
    const saved = structuredClone(messages.save());
    expect(saved).toEqual({
      queues: [
        {
          vtl: 0,
          vp: 1,
          sint: 2,
          messages: [2, 3].map((id) => ({ type: 1, payload: payloadOf(id) })),
        },
      ],
    });
    messages.reset();
    await expect(waits).rejects.toThrow(withCode('ERR_MSHV_RESET'));
    create();
    guest.occupy(1, 2);
    messages.restore(saved);
    expect(guest.writes).toEqual([[1, 1 << 2]]);
    expect(readAll(1, 2)).toEqual([2, 3]);
  });

  it('write the register again even where it was written before', () => {
    void messages.postMessage(0, 1, 2, 1, payloadOf(1));
    void messages.postMessage(0, 1, 2, 1, payloadOf(2));
    messages.restore(messages.save());
    expect(guest.writes).toEqual([
      [1, 1 << 2],
      [1, 1 << 2],
    ]);
    expect(readAll(1, 2)).toEqual([1, 2]);
  });

  it('post at once what can be posted', () => {
    messages.restore({
      queues: [{ vtl: 0, vp: 1, sint: 2, messages: [{ type: 1, payload: payloadOf(1) }] }],
    });
    expect(messages.size).toBe(0);
    expect(readAll(1, 2)).toEqual([1]);
  });

  it('of lists with holes changes nothing', () => {
    const queue = { vtl: 0, vp: 1, sint: 2, messages: [{ type: 1, payload: payloadOf(1) }] };
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    void messages.postMessage(0, 0, 2, 1, payloadOf(2));
    const before = [messages.save(), guest.posts];
    const queues = [queue];
    queues.length = 2;
    const holes = new Array<(typeof queue.messages)[0]>(1);
    for (const [saved, name] of [
      [{ queues }, 'saved.queues[1]'],
      [{ queues: [queue, { ...queue, messages: holes }] }, 'saved.queues[1].messages[0]'],
    ] as const) {
      expect(() => {
        messages.restore(saved);
      }).toThrow(
        withCode(
          'ERR_INVALID_ARG_TYPE',
          `The "${name}" argument must be present, received undefined`,
        ),
      );
    }
    expect([messages.save(), guest.posts]).toEqual(before);
  });

  it('of a VP that is not there changes nothing', () => {
    const queue = { vtl: 0, vp: 1, sint: 2, messages: [{ type: 1, payload: payloadOf(1) }] };
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    void messages.postMessage(0, 0, 2, 1, payloadOf(2));
    const before = [messages.save(), guest.posts];
    expect(() => {
      messages.restore({ queues: [queue, { ...queue, vp: 4 }] });
    }).toThrow(withCode('ERR_MSHV_NO_VP'));
    expect([messages.save(), guest.posts]).toEqual(before);
  });
});

describe('reset()', () => {
  it('discards everything and asks for nothing more; the ports stay', async () => {
    const port = messages.newPort(0, 1, 2);
    for (const id of [1, 2, 3]) void port.post(1, payloadOf(id));
    const waits = port.post(1, payloadOf(4));
    messages.reset();
    await expect(waits).rejects.toThrow(withCode('ERR_MSHV_RESET'));
    expect([messages.size, guest.writes.at(-1)]).toEqual([0, [1, 0]]);
    guest.read(1, 2);
    void port.post(1, payloadOf(5));
    expect(readAll(1, 2)).toEqual([1, 5]);
  });
});
