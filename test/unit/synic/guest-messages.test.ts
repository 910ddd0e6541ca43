import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { MshvError } from '../../../lib/index.js';
import { payloadOf, refusedType } from '../../message-model.js';
import {
  guest,
  errors,
  messages,
  create,
  withCode,
  received,
  readAll,
} from './guest-messages-on-guest.js';

beforeEach(() => {
  create();
});

describe('post()', () => {
  it('delivers at once where the slot is free', () => {
    const port = messages.newPort(0, 1, 2);
    expect(port.post(1, payloadOf(7))).toBe(true);
    expect([messages.size, guest.writes]).toEqual([0, []]);
    expect(readAll(1, 2)).toEqual([7]);
  });

  it('queues where it is busy, asks for a notification once, and delivers in order', () => {
    const port = messages.newPort(0, 1, 2);
    expect([1, 2, 3].map((id) => port.post(1, payloadOf(id)))).toEqual([true, true, true]);
    expect([messages.size, guest.posts, guest.writes]).toEqual([2, 2, [[1, 1 << 2]]]);
    expect(readAll(1, 2)).toEqual([1, 2, 3]);
    expect(messages.size).toBe(0);
  });

  it('tries again at the next post where nobody owns the VP', () => {
    const port = messages.newPort(0, 3, 2);
    void port.post(1, payloadOf(1));
    void port.post(1, payloadOf(2));
    expect([messages.size, guest.writes]).toEqual([1, []]);
    expect(guest.read(3, 2)).toBe(true);
    void port.post(1, payloadOf(3));
    expect(guest.read(3, 2)).toBe(true);
    void port.post(1, payloadOf(4));
    messages.attachVp(3, guest.owner(3));
    expect(guest.writes).toEqual([[3, 1 << 2]]);
    expect(readAll(3, 2)).toEqual([1, 2, 3, 4]);
    expect(messages.size).toBe(0);
  });

  it('asks for all SINTs that wait in one register', () => {
    for (const sint of [0, 15, 4]) {
      void messages.postMessage(0, 1, sint, 1, payloadOf(1));
      void messages.postMessage(0, 1, sint, 1, payloadOf(2));
    }
    expect(guest.writes).toEqual([
      [1, 0x0001],
      [1, 0x8001],
      [1, 0x8011],
    ]);
    guest.read(1, 15);
    guest.notify(messages);
    // The hypervisor has cleared bit 15, and the one message behind it has gone: nothing to write.
    expect(guest.writes).toHaveLength(3);
    expect(received(1, 15)).toEqual([1]);
    expect(readAll(1, 15)).toEqual([1, 2]);
  });

  it('gives a promise where the queue is full, and takes no second message meanwhile', async () => {
    const port = messages.newPort(0, 0, 2);
    const other = messages.newPort(0, 0, 2);
    for (const id of [1, 2, 3]) expect(port.post(1, payloadOf(id))).toBe(true);
    const promise = port.post(1, payloadOf(4));
    const settled = vi.fn();
    expect(promise).toBeInstanceOf(Promise);
    void Promise.resolve(promise).then(settled);
    expect(port.post(1, payloadOf(5))).toBe(false);
    const others = other.post(1, payloadOf(6));
    expect(others).toBeInstanceOf(Promise);
    await new Promise(setImmediate);
    expect(settled).not.toHaveBeenCalled();
    guest.read(0, 2);
    guest.notify(messages);
    expect(await promise).toBe(true);
    const again = port.post(1, payloadOf(7));
    expect(again).toBeInstanceOf(Promise);
    expect(readAll(0, 2)).toEqual([1, 2, 3, 4, 6, 7]);
    await Promise.all([others, again]);
  });

  it('without a port is one poster for each SINT', async () => {
    const post = (vp: number, id: number) => messages.postMessage(0, vp, 2, 1, payloadOf(id));
    expect([post(0, 1), post(0, 2), post(0, 3)]).toEqual([true, true, true]);
    const promise = post(0, 4);
    expect(promise).toBeInstanceOf(Promise);
    expect([post(0, 5), post(1, 6)]).toEqual([false, true]);
    expect(readAll(0, 2)).toEqual([1, 2, 3, 4]);
    await promise;
  });

  it('keeps the bytes as they were', () => {
    const payload = Buffer.of(5, 0);
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    void messages.postMessage(0, 0, 2, 1, payload);
    payload.fill(9);
    expect(readAll(0, 2)).toEqual([1, 5]);
  });

  it('takes 240 bytes', () => {
    expect(messages.newPort(0, 0, 2).post(0xffff_ffff, new Uint8Array(240))).toBe(true);
  });
});

describe('a message that is refused for good', () => {
  it('is reported and skipped', () => {
    const port = messages.newPort(0, 1, 2);
    void port.post(1, payloadOf(1));
    void port.post(refusedType, payloadOf(2));
    void port.post(1, payloadOf(3));
    expect(readAll(1, 2)).toEqual([1, 3]);
    expect(errors).toMatchObject([
      {
        name: 'MshvError',
        code: 'ERR_MSHV_MESSAGE_REFUSED',
        hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
        hvStatus: { code: 5, name: 'HV_STATUS_INVALID_PARAMETER' },
        message:
          'a message to SINT 2 of VP 1, VTL 0, is refused and skipped: HV_STATUS_INVALID_PARAMETER (0x5)',
      },
    ]);
  });

  it('rejects where it had not been taken, and is not reported too', async () => {
    const [one, two] = [messages.newPort(0, 0, 2), messages.newPort(0, 1, 2)];
    for (const id of [1, 2, 3]) void one.post(1, payloadOf(id));
    for (const id of [11, 12, 13]) void two.post(1, payloadOf(id));
    const refused = two.post(refusedType, payloadOf(14));
    expect(refused).toBeInstanceOf(Promise);
    // Two more are taken behind it: it gets to the head before there is room for it.
    one.setTargetVp(1);
    expect(readAll(1, 2)).toEqual([11, 12, 13, 2, 3]);
    await expect(refused).rejects.toThrow(withCode('ERR_MSHV_MESSAGE_REFUSED'));
    expect(errors).toEqual([]);
    expect(two.post(1, payloadOf(15))).toBe(true);
  });

  it.each<[string, unknown, 'busy' | 'refused']>([
    [
      'OBJECT_IN_USE',
      new MshvError('busy', {
        code: 'EIO',
        hvStatus: { code: 0x19, name: 'HV_STATUS_OBJECT_IN_USE' },
      }),
      'busy',
    ],
    [
      'INVALID_SYNIC_STATE',
      new MshvError('no', {
        code: 'EIO',
        hvStatus: { code: 0x18, name: 'HV_STATUS_INVALID_SYNIC_STATE' },
      }),
      'refused',
    ],
    ['nothing of the hypervisor', new Error('EBADF'), 'refused'],
  ])('may be thrown: %s', (_, thrown, outcome) => {
    vi.spyOn(guest, 'postMessage').mockImplementationOnce(() => {
      throw thrown;
    });
    expect(messages.postMessage(0, 0, 2, 1, payloadOf(1))).toBe(true);
    expect(messages.size).toBe(outcome === 'busy' ? 1 : 0);
    expect(guest.writes).toEqual(outcome === 'busy' ? [[0, 1 << 2]] : []);
    expect(errors).toMatchObject(
      outcome === 'busy' ? [] : [{ code: 'ERR_MSHV_MESSAGE_REFUSED', cause: thrown }],
    );
  });

  it('names a status that has no name', () => {
    vi.spyOn(guest, 'postMessage').mockReturnValueOnce(0xabc);
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    expect(errors).toMatchObject([{ hvStatus: { code: 0xabc, name: 'unknown' } }]);
  });

  it('waits where the hypervisor has no buffers', () => {
    const { HV_STATUS_INSUFFICIENT_BUFFERS: noBuffers } = hvStatusCodes;
    vi.spyOn(guest, 'postMessage').mockReturnValueOnce(noBuffers);
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    expect([messages.size, errors]).toEqual([1, []]);
    guest.notify(messages);
    expect(readAll(0, 2)).toEqual([1]);
  });
});

describe('setTargetVp()', () => {
  it('takes along what is queued, and nobody else’s', async () => {
    const port = messages.newPort(0, 0, 2);
    const other = messages.newPort(0, 0, 2);
    void port.post(1, payloadOf(1));
    void port.post(1, payloadOf(2));
    void other.post(1, payloadOf(3));
    const waits = port.post(1, payloadOf(4));
    const othersWait = other.post(1, payloadOf(5));
    port.setTargetVp(1);
    // Room on both VPs.
    await Promise.all([waits, othersWait]);
    expect(readAll(1, 2)).toEqual([2, 4]);
    expect(readAll(0, 2)).toEqual([1, 3, 5]);
    port.setTargetVp(1);
    void port.post(1, payloadOf(6));
    expect(readAll(1, 2)).toEqual([2, 4, 6]);
  });

  it('takes a message that waited where there is room on the other VP, busy as it is', async () => {
    const port = messages.newPort(0, 0, 2);
    for (const id of [1, 2, 3]) void messages.postMessage(0, 0, 2, 1, payloadOf(id));
    const waits = port.post(1, payloadOf(4));
    expect(waits).toBeInstanceOf(Promise);
    guest.occupy(1, 2);
    port.setTargetVp(1);
    await waits;
    expect(received(1, 2)).toEqual([]);
    expect(readAll(1, 2)).toEqual([4]);
  });

  it('to the VP that it has changes nothing', () => {
    const [one, other] = [messages.newPort(0, 0, 2), messages.newPort(0, 0, 2)];
    void one.post(1, payloadOf(1));
    void one.post(1, payloadOf(2));
    void other.post(1, payloadOf(3));
    const { posts } = guest;
    one.setTargetVp(0);
    expect(guest.posts).toBe(posts);
    expect(readAll(0, 2)).toEqual([1, 2, 3]);
  });

  it('takes back the request for a notification that nothing waits for', () => {
    const port = messages.newPort(0, 0, 2);
    void port.post(1, payloadOf(1));
    void port.post(1, payloadOf(2));
    guest.occupy(1, 2);
    port.setTargetVp(1);
    expect(guest.writes).toEqual([
      [0, 1 << 2],
      [0, 0],
      [1, 1 << 2],
    ]);
  });

  it('keeps more than the bound where it must, and lets nobody in until there is room', async () => {
    const [one, two] = [messages.newPort(0, 0, 2), messages.newPort(0, 1, 2)];
    for (const id of [1, 2, 3]) void one.post(1, payloadOf(id));
    for (const id of [11, 12, 13]) void two.post(1, payloadOf(id));
    one.setTargetVp(1);
    const promise = two.post(1, payloadOf(14));
    const settled = vi.fn();
    void Promise.resolve(promise).then(settled);
    guest.read(1, 2);
    guest.notify(messages);
    guest.read(1, 2);
    guest.notify(messages);
    await new Promise(setImmediate);
    expect(settled).not.toHaveBeenCalled();
    expect(readAll(1, 2)).toEqual([11, 12, 13, 2, 3, 14]);
    await promise;
  });

  it('delivers what waits before what came along, and has all its room afterwards', async () => {
    const [one, two] = [messages.newPort(0, 0, 2), messages.newPort(0, 1, 2)];
    for (const id of [1, 2, 3]) void one.post(1, payloadOf(id));
    for (const id of [11, 12, 13]) void two.post(1, payloadOf(id));
    const waiting = two.post(1, payloadOf(14));
    one.setTargetVp(1);
    expect(readAll(1, 2)).toEqual([11, 12, 13, 14, 2, 3]);
    await waiting;
    expect([15, 16, 17].map((id) => two.post(1, payloadOf(id)))).toEqual([true, true, true]);
    expect(readAll(1, 2).slice(6)).toEqual([15, 16, 17]);
  });

  it('refuses a VP that is not there, and changes nothing', () => {
    const port = messages.newPort(0, 0, 2);
    void port.post(1, payloadOf(1));
    void port.post(1, payloadOf(2));
    expect(() => {
      port.setTargetVp(4);
    }).toThrow(withCode('ERR_MSHV_NO_VP'));
    expect(readAll(0, 2)).toEqual([1, 2]);
  });
});

describe('a port that is disposed of', () => {
  it('has what was taken delivered, and nothing else', async () => {
    const port = messages.newPort(0, 1, 2);
    for (const id of [1, 2, 3]) void port.post(1, payloadOf(id));
    const waits = port.post(1, payloadOf(4));
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    await expect(waits).rejects.toThrow(withCode('ERR_MSHV_CLOSED'));
    expect(() => port.post(1, payloadOf(5))).toThrow(withCode('ERR_MSHV_CLOSED'));
    expect(() => {
      port.setTargetVp(0);
    }).toThrow(withCode('ERR_MSHV_CLOSED'));
    expect(readAll(1, 2)).toEqual([1, 2, 3]);
    expect(inspect(port)).toBe('GuestMessagePort { vtl: 0, vp: 1, sint: 2, closed: true }');
  });
});

it('holds 10 000 messages in order', () => {
  create({ bound: 65_536 });
  const ids = Array.from({ length: 10_000 }, (_, id) => id);
  for (const id of ids) expect(messages.postMessage(0, 0, 2, 1, payloadOf(id))).toBe(true);
  expect(inspect(messages)).toBe('GuestMessages { size: 9999, bound: 65536 }');
  expect(readAll(0, 2)).toEqual(ids);
  expect(messages.size).toBe(0);
});

it('refuses a VP that is not there', () => {
  const noVp = withCode('ERR_MSHV_NO_VP');
  expect(() => messages.newPort(0, 4, 2)).toThrow(noVp);
  expect(() => messages.postMessage(0, 4, 2, 1, payloadOf(1))).toThrow(noVp);
  expect(guest.posts).toBe(0);
});
