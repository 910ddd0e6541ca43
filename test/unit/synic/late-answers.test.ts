import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { type MshvError } from '../../../lib/index.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import { message, messagePort, deferred, settled } from './host-ports.js';

// The answers of handlers that come after the guest has been told to try again.

const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_INVALID_CONNECTION_ID: invalidConnectionId,
  HV_STATUS_OPERATION_FAILED: operationFailed,
  HV_STATUS_INSUFFICIENT_BUFFERS: insufficientBuffers,
} = hvStatusCodes;

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a handler that answers later', () => {
  it('takes the message once: the guest retries until it gets the answer', async () => {
    const map = new SynicPortMap();
    const answer = deferred();
    const { port, seen } = messagePort(() => answer.promise);
    map.addMessagePort(1, 0, port);
    const post = (): number => map.handlePostMessage(0, 1, false, message(1, 2));
    expect([post(), post(), post()]).toEqual(Array(3).fill(insufficientBuffers));
    answer.resolve();
    expect(post()).toBe(insufficientBuffers);
    await settled();
    expect(post()).toBe(success);
    expect(seen).toEqual([[1, 2]]);
  });

  it('has its answer kept for the bytes that were posted, whatever becomes of them', async () => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort((bytes) => {
      bytes.fill(0);
      return Promise.resolve();
    });
    map.addMessagePort(1, 0, port);
    const bytes = message(1, 2);
    map.handlePostMessage(0, 1, false, bytes);
    bytes.fill(9);
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1, 2))).toBe(success);
    expect(seen).toEqual([[1, 2]]);
  });

  it('gets an equal message that follows the answered one as a new one', async () => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort(() => Promise.resolve());
    map.addMessagePort(1, 0, port);
    for (let i = 1; i <= 3; i++) {
      expect(map.handlePostMessage(0, 1, false, message(8))).toBe(insufficientBuffers);
      await settled();
      expect(map.handlePostMessage(0, 1, false, message(8))).toBe(success);
      expect(seen).toHaveLength(i);
    }
  });

  it('gets no other message of its connection before it has answered, then in any order', async () => {
    const map = new SynicPortMap();
    const answers = [deferred(), deferred()];
    let next = 0;
    const { port, seen } = messagePort(() => answers[next++]?.promise);
    const other = messagePort();
    map.addMessagePort(1, 0, port);
    map.addMessagePort(2, 0, other.port);
    const post = (...bytes: number[]): number =>
      map.handlePostMessage(0, 1, false, message(...bytes));
    expect([post(1), post(2)]).toEqual([insufficientBuffers, insufficientBuffers]);
    expect(map.handlePostMessage(0, 2, false, message(3))).toBe(success);
    answers[0]?.resolve();
    await settled();
    // The second VP is quicker than the first.
    expect([post(2), post(1), post(2)]).toEqual([
      insufficientBuffers,
      success,
      insufficientBuffers,
    ]);
    answers[1]?.resolve();
    await settled();
    expect(post(2)).toBe(success);
    expect(seen).toEqual([[1], [2]]);
  });

  it.each<[string, number, boolean, number[], number]>([
    ['VTL', 1, false, [1], 1],
    ['trust', 0, true, [1], 1],
    ['type', 0, false, [1], 2],
    ['length', 0, false, [1, 0], 1],
    ['bytes', 0, false, [2], 1],
  ])('answers no message that differs in its %s', async (_, vtl, secure, bytes, type) => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort(() => Promise.resolve());
    map.addMessagePort(1, 0, port);
    map.handlePostMessage(0, 1, false, message(1), 1);
    await settled();
    expect(map.handlePostMessage(vtl, 1, secure, message(...bytes), type)).toBe(
      insufficientBuffers,
    );
    expect(seen).toEqual([[1], bytes]);
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1), 1)).toBe(success);
    expect(map.handlePostMessage(vtl, 1, secure, message(...bytes), type)).toBe(success);
    expect(seen).toHaveLength(2);
  });

  it('may change its copy: the retry is still known', async () => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort((bytes) => {
      bytes.fill(0xff);
      return Promise.resolve();
    });
    map.addMessagePort(1, 0, port);
    map.handlePostMessage(0, 1, false, message(1));
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(success);
    expect(seen).toEqual([[1]]);
  });

  it('and rejects is reported, and the retry gets a status, once', async () => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    const cause = new Error('refused');
    const { port, seen } = messagePort(() => Promise.reject(cause));
    map.addMessagePort(1, 0, port);
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    await settled();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(operationFailed);
    expect(seen).toHaveLength(1);
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    expect(seen).toHaveLength(2);
    await settled();
  });

  it('and says false has not taken the message after all', async () => {
    const map = new SynicPortMap();
    let ready = false;
    const { port, seen } = messagePort(() => Promise.resolve(ready));
    map.addMessagePort(1, 0, port);
    map.handlePostMessage(0, 1, false, message(1));
    await settled();
    ready = true;
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(success);
    expect(seen).toEqual([[1], [1]]);
  });

  it('answers nobody once its port is gone or the guest reset', async () => {
    const map = new SynicPortMap();
    const first = deferred();
    const { port, seen } = messagePort(() => first.promise);
    const handle = map.addMessagePort(1, 0, port);
    map.handlePostMessage(0, 1, false, message(1));
    handle[Symbol.dispose]();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(invalidConnectionId);
    map.addMessagePort(1, 0, port);
    first.resolve();
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    await settled();
    map.reset();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    map.reset();
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    expect(seen).toHaveLength(4);
  });

  describe('and a guest that does not come back', () => {
    beforeEach(() => {
      vi.useFakeTimers();
      return () => {
        vi.useRealTimers();
      };
    });
    const post = (map: SynicPortMap, ...bytes: number[]): number =>
      map.handlePostMessage(0, 1, false, message(...bytes));

    it('has its answer for 5 seconds: an equal message after that is a new one', async () => {
      const map = new SynicPortMap();
      const { port, seen } = messagePort(() => Promise.resolve());
      map.addMessagePort(1, 0, port);
      expect(post(map, 1)).toBe(insufficientBuffers);
      await vi.advanceTimersByTimeAsync(5000);
      expect([post(map, 1), seen.length]).toEqual([success, 1]);
      expect(post(map, 1)).toBe(insufficientBuffers);
      await vi.advanceTimersByTimeAsync(5500);
      // Nobody came back for the last one.
      expect([post(map, 1), seen.length]).toEqual([insufficientBuffers, 3]);
    });

    it('has it from the answer on, however long that took', async () => {
      const map = new SynicPortMap();
      const answer = deferred();
      const { port, seen } = messagePort(() => answer.promise);
      map.addMessagePort(1, 0, port);
      expect(post(map, 1)).toBe(insufficientBuffers);
      await vi.advanceTimersByTimeAsync(60_000);
      answer.resolve();
      await vi.advanceTimersByTimeAsync(5000);
      expect([post(map, 1), seen.length]).toEqual([success, 1]);
    });

    it('loses the older answers first', async () => {
      const map = new SynicPortMap();
      const { port, seen } = messagePort(() => Promise.resolve());
      map.addMessagePort(1, 0, port);
      post(map, 1);
      await vi.advanceTimersByTimeAsync(3000);
      post(map, 2);
      await vi.advanceTimersByTimeAsync(3000);
      expect([post(map, 2), post(map, 1)]).toEqual([success, insufficientBuffers]);
      expect(seen).toEqual([[1], [2], [1]]);
    });

    it('comes in time where somebody has blocked the event loop meanwhile', async () => {
      const map = new SynicPortMap();
      const { port, seen } = messagePort(() => Promise.resolve());
      map.addMessagePort(1, 0, port);
      post(map, 1);
      await vi.advanceTimersByTimeAsync(0);
      // A minute without a turn of the event loop is one timer that is late.
      vi.setSystemTime(Date.now() + 60_000);
      vi.advanceTimersToNextTimer();
      expect([post(map, 1), seen.length]).toEqual([success, 1]);
    });

    it('leaves no timer behind: after that time, its port or a reset, and none holds the process', async () => {
      const set = vi.spyOn(globalThis, 'setTimeout');
      const map = new SynicPortMap();
      const { port } = messagePort(() => Promise.resolve());
      const registered = map.addMessagePort(1, 0, port);
      const timers = async (end: () => unknown): Promise<number[]> => {
        post(map, 1);
        await vi.advanceTimersByTimeAsync(0);
        const before = vi.getTimerCount();
        await end();
        return [before, vi.getTimerCount()];
      };
      expect(await timers(() => vi.advanceTimersByTimeAsync(5500))).toEqual([1, 0]);
      expect(
        await timers(() => {
          map.reset();
        }),
      ).toEqual([1, 0]);
      expect(
        await timers(() => {
          registered[Symbol.dispose]();
        }),
      ).toEqual([1, 0]);
      expect(set).toHaveBeenCalled();
      for (const { value } of set.mock.results) {
        expect((value as NodeJS.Timeout).hasRef()).toBe(false);
      }
      set.mockRestore();
    });
  });

  it('and resets the guest meanwhile keeps no answer for the next one', async () => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort(() => {
      map.reset();
      return Promise.resolve();
    });
    map.addMessagePort(1, 0, port);
    const post = (): number => map.handlePostMessage(0, 1, false, message(1));
    expect(post()).toBe(insufficientBuffers);
    await settled();
    expect([post(), seen.length]).toEqual([insufficientBuffers, 2]);
    await settled();
  });

  it('and removes its own port keeps nothing', async () => {
    const map = new SynicPortMap();
    const { port } = messagePort(() => {
      handle[Symbol.dispose]();
      return Promise.resolve();
    });
    const handle = map.addMessagePort(1, 0, port);
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    await settled();
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(invalidConnectionId);
  });

  it('keeps 256 answers for a guest that does not come back, and forgets the oldest', async () => {
    const map = new SynicPortMap();
    const { port, seen } = messagePort(() => Promise.resolve());
    map.addMessagePort(1, 0, port);
    const post = (i: number): number => map.handlePostMessage(0, 1, false, message(i, i >> 8));
    for (let i = 0; i < 257; i++) {
      expect(post(i)).toBe(insufficientBuffers);
      await settled();
    }
    expect(seen).toHaveLength(257);
    for (let i = 1; i < 257; i++) expect(post(i)).toBe(success);
    expect(seen).toHaveLength(257);
    expect(post(0)).toBe(insufficientBuffers);
    expect(seen).toHaveLength(258);
  });
});
