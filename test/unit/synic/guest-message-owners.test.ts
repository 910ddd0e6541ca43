import { beforeEach, describe, expect, it, vi } from 'vitest';

import { closedError } from '../../../lib/errors.js';
import { payloadOf } from '../../message-model.js';
import {
  guest,
  errors,
  messages,
  create,
  withCode,
  received,
  readAll,
} from './guest-messages-on-guest.js';

// Who is told to ask for free slots, and what it may do meanwhile.

beforeEach(() => {
  create();
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
