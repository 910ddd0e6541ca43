import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { closedError } from '../../../lib/errors.js';
import { MshvError } from '../../../lib/index.js';
import { GuestMessages, type GuestMessagesOptions } from '../../../lib/synic/guest-messages.js';
import { payloadOf, refusedType } from '../../message-model.js';
import { MessageGuest } from './message-guest.js';

let guest: MessageGuest;
let errors: MshvError[];
let messages: GuestMessages;

function create(options: GuestMessagesOptions = {}): void {
  guest = new MessageGuest(4);
  errors = [];
  messages = new GuestMessages(guest, {
    bound: 2,
    onError: (error) => errors.push(error),
    ...options,
  });
  for (let vp = 0; vp < 3; vp++) messages.attachVp(vp, guest.owner(vp));
}

beforeEach(() => {
  create();
});

const withCode = (code: string, message?: string): Error =>
  expect.objectContaining({ code, ...(message !== undefined && { message }) }) as Error;
const received = (vp: number, sint: number): number[] => guest.received.get(`${vp}:${sint}`) ?? [];

/** Has the guest read until there is nothing more. */
function readAll(vp: number, sint: number): number[] {
  while (guest.read(vp, sint)) guest.notify(messages);
  return received(vp, sint);
}

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

describe('the owner of a VP', () => {
  it('is asked when it comes, for what has waited for it', () => {
    void messages.postMessage(0, 3, 2, 1, payloadOf(1));
    void messages.postMessage(0, 3, 2, 1, payloadOf(2));
    expect(guest.writes).toEqual([]);
    messages.attachVp(3, guest.owner(3));
    expect(guest.writes).toEqual([[3, 1 << 2]]);
    expect(readAll(3, 2)).toEqual([1, 2]);
  });

  it('is one, and may be followed by itself or another that is asked anew', () => {
    const owner = guest.owner(3);
    const first = messages.attachVp(3, owner);
    expect(() => messages.attachVp(3, owner)).toThrow(withCode('ERR_MSHV_VP_OWNED'));
    void messages.postMessage(0, 3, 2, 1, payloadOf(1));
    void messages.postMessage(0, 3, 2, 1, payloadOf(2));
    first[Symbol.dispose]();
    const second = messages.attachVp(3, owner);
    first[Symbol.dispose]();
    expect(() => messages.attachVp(3, owner)).toThrow(withCode('ERR_MSHV_VP_OWNED'));
    expect(guest.writes).toEqual([
      [3, 1 << 2],
      [3, 1 << 2],
    ]);
    expect(readAll(3, 2)).toEqual([1, 2]);
    second[Symbol.dispose]();
    second[Symbol.dispose]();
    messages.attachVp(3, guest.owner(3));
    expect(guest.writes).toHaveLength(2);
  });

  it('that cannot write the register is reported, and asked again at the next post', () => {
    const owner = guest.owner(3);
    const failed = new Error('EIO');
    const set = vi.spyOn(owner, 'setDeliverabilityNotifications').mockImplementationOnce(() => {
      throw failed;
    });
    messages.attachVp(3, owner);
    for (const id of [1, 2, 3]) void messages.postMessage(0, 3, 2, 1, payloadOf(id));
    expect(set).toHaveBeenCalledTimes(2);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION', cause: failed }]);
    expect(readAll(3, 2)).toEqual([1, 2, 3]);
  });

  it('that is closed is no failure where there is nothing to ask for', () => {
    const owner = guest.owner(3);
    messages.attachVp(3, owner);
    for (const id of [1, 2]) void messages.postMessage(0, 3, 2, 1, payloadOf(id));
    const set = vi.spyOn(owner, 'setDeliverabilityNotifications').mockImplementation(() => {
      throw closedError('Partition');
    });
    messages.reset();
    expect([set.mock.calls, errors]).toEqual([[[0, 0]], []]);
    set.mockImplementationOnce(() => {
      throw new Error('EIO');
    });
    messages.reset();
    expect(errors.splice(0)).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION' }]);
    void messages.postMessage(0, 3, 2, 1, payloadOf(3));
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION' }]);
  });

  it('may tell of SINTs and VPs that nothing waits for', () => {
    messages.sintsDeliverable(0, 2, 0xffff);
    messages.sintsDeliverable(1, 0, 1);
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    messages.sintsDeliverable(0, 0, 0xffff);
    expect([guest.posts, guest.writes, errors]).toEqual([1, [], []]);
  });

  it('may tell so while a message is being posted', () => {
    guest.occupy(0, 2);
    const post = vi.spyOn(guest, 'postMessage').mockImplementationOnce((...args) => {
      const status = guest.postMessage(...args);
      guest.read(0, 2);
      messages.sintsDeliverable(0, 0, 1 << 2);
      return status;
    });
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    // The one that was wrapped, the one inside of it, and one more for the notification.
    expect(post).toHaveBeenCalledTimes(3);
    expect([messages.size, guest.writes]).toEqual([0, []]);
    expect(readAll(0, 2)).toEqual([1]);
  });

  it('may tell so while a message is being posted, once for all behind it', () => {
    guest.occupy(0, 2);
    const postToGuest = guest.postMessage.bind(guest);
    const post = vi.spyOn(guest, 'postMessage').mockImplementation((...args) => {
      const { length } = post.mock.calls;
      if (length > 10) throw new Error('again and again');
      const status = postToGuest(...args);
      if (length === 1) {
        void messages.postMessage(0, 0, 2, 1, payloadOf(2));
        guest.read(0, 2);
        messages.sintsDeliverable(0, 0, 1 << 2);
      }
      return status;
    });
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    // The first one twice, and the one that finds the slot full of it.
    expect(post).toHaveBeenCalledTimes(3);
    expect([messages.size, guest.writes]).toEqual([1, [[0, 1 << 2]]]);
    expect(readAll(0, 2)).toEqual([1, 2]);
    expect(errors).toEqual([]);
  });
});

describe('an owner that does something as it is told', () => {
  /** Its register, written when it has done that. */
  let register: number;
  let action: (sints: number) => void;
  let attached: Disposable;

  beforeEach(() => {
    register = 0;
    action = () => undefined;
    attached = messages.attachVp(3, {
      setDeliverabilityNotifications: (_vtl, sints) => {
        const once = action;
        action = () => undefined;
        once(sints);
        register = sints;
      },
    });
    for (const sint of [2, 3, 4]) guest.occupy(3, sint);
  });
  const post = (sint: number, id: number): unknown =>
    messages.postMessage(0, 3, sint, 1, payloadOf(id));

  it('posts, is told of both, the last time last', () => {
    action = () => post(3, 9);
    post(2, 1);
    expect(register).toBe((1 << 2) | (1 << 3));
    guest.read(3, 3);
    messages.sintsDeliverable(0, 3, 1 << 3);
    guest.read(3, 2);
    messages.sintsDeliverable(0, 3, 1 << 2);
    guest.read(3, 2);
    guest.read(3, 3);
    expect([received(3, 2), received(3, 3), messages.size]).toEqual([[1], [9], 0]);
  });

  it('says that slots are free, is asked for what is not', () => {
    action = () => {
      messages.sintsDeliverable(0, 3, 1 << 2);
    };
    post(2, 1);
    expect([register, messages.size]).toEqual([1 << 2, 1]);
    action = () => {
      guest.read(3, 3);
      messages.sintsDeliverable(0, 3, 1 << 3);
    };
    post(3, 1);
    expect([register, messages.size]).toEqual([1 << 2, 1]);
  });

  it('resets the queues, has nothing to be told of', () => {
    action = () => {
      messages.reset();
    };
    post(2, 1);
    expect([register, messages.size]).toEqual([0, 0]);
  });

  it('gives the VP to another one, leaves it to that one', () => {
    action = () => {
      attached[Symbol.dispose]();
      messages.attachVp(3, guest.owner(3));
    };
    post(2, 1);
    expect(guest.writes).toEqual([[3, 1 << 2]]);
    post(4, 1);
    expect(guest.writes).toEqual([
      [3, 1 << 2],
      [3, (1 << 2) | (1 << 4)],
    ]);
  });

  it('fails after it has posted, is told of both with the next message', () => {
    action = () => {
      post(3, 9);
      throw new Error('no');
    };
    post(2, 1);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION' }]);
    post(4, 1);
    expect(register).toBe((1 << 2) | (1 << 3) | (1 << 4));
  });

  it('never leaves it as it is, is told so often and no more', () => {
    attached[Symbol.dispose]();
    let told = 0;
    messages.attachVp(3, {
      setDeliverabilityNotifications: () => {
        told++;
        messages.sintsDeliverable(0, 3, 1 << 2);
      },
    });
    post(2, 1);
    expect([told, messages.size]).toEqual([64, 1]);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION' }]);
  });

  it.each(['save', 'reset'] as const)(
    'finds all messages of a port that goes to another VP, for %s()',
    async (method) => {
      const port = messages.newPort(0, 3, 2);
      for (const id of [1, 2]) expect(port.post(1, payloadOf(id))).toBe(true);
      const waiting = port.post(1, payloadOf(3));
      const rejected = vi.fn();
      void Promise.resolve(waiting).catch(rejected);
      const found: number[] = [];
      action = () => {
        if (method === 'save') {
          found.push(...messages.save().queues.map((queue) => queue.messages.length));
        } else {
          messages.reset();
        }
      };
      guest.occupy(1, 2);
      port.setTargetVp(1);
      if (method === 'save') {
        expect([found, messages.size]).toEqual([[2], 3]);
        return;
      }
      await new Promise(setImmediate);
      expect(rejected.mock.calls).toEqual([[withCode('ERR_MSHV_RESET')]]);
      expect(messages.size).toBe(0);
    },
  );
});

describe('what happens while a message is being posted', () => {
  const during = (happens: () => void): void => {
    vi.spyOn(guest, 'postMessage').mockImplementationOnce((...args) => {
      happens();
      return guest.postMessage(...args);
    });
  };

  it('a post: behind it', () => {
    during(() => {
      expect(messages.postMessage(0, 0, 2, 1, payloadOf(2))).toBe(true);
    });
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    expect(readAll(0, 2)).toEqual([1, 2]);
  });

  it('another target: not for this one', () => {
    const port = messages.newPort(0, 0, 2);
    during(() => {
      port.setTargetVp(1);
    });
    void port.post(1, payloadOf(1));
    void port.post(1, payloadOf(2));
    expect([readAll(0, 2), readAll(1, 2)]).toEqual([[1], [2]]);
  });

  it('a reset: this one has gone, those after it stay', () => {
    during(() => {
      messages.reset();
      void messages.postMessage(0, 0, 2, 1, payloadOf(2));
    });
    void messages.postMessage(0, 0, 2, 1, payloadOf(1));
    expect(readAll(0, 2)).toEqual([1, 2]);
    expect(messages.size).toBe(0);
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
