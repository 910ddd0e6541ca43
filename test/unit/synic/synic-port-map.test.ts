import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { EventFd, type MshvError } from '../../../lib/index.js';
import type { HostEventPort, HostMessagePort } from '../../../lib/synic/host-ports.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';

const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_INVALID_CONNECTION_ID: invalidConnectionId,
  HV_STATUS_OPERATION_DENIED: operationDenied,
  HV_STATUS_OPERATION_FAILED: operationFailed,
  HV_STATUS_INSUFFICIENT_BUFFERS: insufficientBuffers,
  HV_STATUS_INVALID_PARAMETER: invalidParameter,
} = hvStatusCodes;

const message = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

/** A message port that writes down what it gets and answers what it is told to. */
function messagePort(answer: (message: Uint8Array) => unknown = () => undefined) {
  const seen: number[][] = [];
  const port: HostMessagePort = {
    handleMessage: (bytes) => {
      seen.push([...bytes]);
      return answer(bytes);
    },
  };
  return { port, seen };
}

function eventPort(answer: (flag: number) => unknown = () => undefined) {
  const seen: number[] = [];
  const port: HostEventPort = {
    handleEvent: (flag) => {
      seen.push(flag);
      return answer(flag);
    },
  };
  return { port, seen };
}

/** A promise and its ends. */
function deferred() {
  let resolve: (value?: unknown) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<unknown>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

const settled = (): Promise<void> => new Promise(setImmediate);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a port', () => {
  it('gets the messages of its connection, and no others', () => {
    const map = new SynicPortMap();
    const handleMessage = vi.fn();
    map.addMessagePort(1, 0, { handleMessage });
    expect(map.handlePostMessage(0, 1, false, message(1, 2, 3))).toBe(success);
    expect(map.handlePostMessage(0, 1, true, message(), 77)).toBe(success);
    expect(map.handlePostMessage(0, 2, false, message(4))).toBe(invalidConnectionId);
    expect(handleMessage.mock.calls).toEqual([
      [message(1, 2, 3), false, 1],
      [message(), true, 77],
    ]);
  });

  it('gets the events of its connection, and no others', () => {
    const map = new SynicPortMap();
    const { port, seen } = eventPort();
    map.addEventPort(0xffffff, 0, port);
    expect([0, 5, 2047].map((flag) => map.handleSignalEvent(0, 0xffffff, flag))).toEqual([
      success,
      success,
      success,
    ]);
    expect(map.handleSignalEvent(0, 0, 5)).toBe(invalidConnectionId);
    expect(seen).toEqual([0, 5, 2047]);
  });

  it('of the other kind is no connection', () => {
    const map = new SynicPortMap();
    const messages = messagePort();
    const events = eventPort();
    map.addMessagePort(1, 0, messages.port);
    map.addEventPort(2, 0, events.port);
    expect(map.handleSignalEvent(0, 1, 0)).toBe(invalidConnectionId);
    expect(map.handlePostMessage(0, 2, false, message(1))).toBe(invalidConnectionId);
    expect([map.kind(1), map.kind(2), map.kind(3)]).toEqual(['message', 'event', undefined]);
    map.addEventPort(4, 0, events.port);
    expect(inspect(map)).toBe('SynicPortMap { messagePorts: 1, eventPorts: 2 }');
    expect([...messages.seen, ...events.seen]).toEqual([]);
  });

  it('is not found by an id with reserved bits', () => {
    const map = new SynicPortMap();
    map.addMessagePort(1, 0, messagePort().port);
    map.addEventPort(2, 0, eventPort().port);
    expect(map.handlePostMessage(0, 0x0100_0001, false, message(1))).toBe(invalidConnectionId);
    expect(map.handleSignalEvent(0, 0x8000_0002, 0)).toBe(invalidConnectionId);
  });

  it.each([
    [0, 0, success],
    [1, 2, success],
    [2, 2, success],
    [2, 15, success],
    [2, 1, operationDenied],
    [1, 0, operationDenied],
  ])('for VTL %i and above answers VTL %i with status %i', (minimum, vtl, status) => {
    const map = new SynicPortMap();
    const messages = messagePort();
    const events = eventPort();
    map.addMessagePort(1, minimum, messages.port);
    map.addEventPort(2, minimum, events.port);
    expect(map.handlePostMessage(vtl, 1, false, message(1))).toBe(status);
    expect(map.handleSignalEvent(vtl, 2, 0)).toBe(status);
    expect(messages.seen.length + events.seen.length).toBe(status === success ? 2 : 0);
  });

  it('refuses what no message and no event of it can be', () => {
    const map = new SynicPortMap();
    const messages = messagePort();
    const events = eventPort();
    map.addMessagePort(1, 0, messages.port);
    map.addEventPort(2, 0, { ...events.port, flagCount: 4 });
    map.addEventPort(3, 0, events.port);
    expect(map.handlePostMessage(0, 1, false, new Uint8Array(241))).toBe(invalidParameter);
    expect(map.handlePostMessage(0, 1, false, message(1), 0)).toBe(invalidParameter);
    expect(map.handlePostMessage(0, 1, false, message(1), 0x8000_0000)).toBe(invalidParameter);
    expect(map.handleSignalEvent(0, 2, 4)).toBe(invalidParameter);
    expect(map.handleSignalEvent(0, 3, 2048)).toBe(invalidParameter);
    expect(map.handleSignalEvent(0, 3, 0xffff)).toBe(invalidParameter);
    expect([messages.seen, events.seen]).toEqual([[], []]);
    expect(map.handlePostMessage(0, 1, false, new Uint8Array(240), 0x7fff_ffff)).toBe(success);
    expect(map.handleSignalEvent(0, 2, 3)).toBe(success);
  });

  it('has a connection id of its own', () => {
    const map = new SynicPortMap();
    const first = map.addMessagePort(0x80_0074, 0, messagePort().port);
    const inUse = (kind: string): unknown =>
      expect.objectContaining({
        name: 'MshvError',
        code: 'ERR_MSHV_CONNECTION_ID_IN_USE',
        message: `connection id 0x800074 is in use by ${kind} port`,
      });
    expect(() => map.addMessagePort(0x80_0074, 0, messagePort().port)).toThrow(inUse('a message'));
    expect(() => map.addEventPort(0x80_0074, 0, eventPort().port)).toThrow(inUse('a message'));
    expect(map.size).toBe(1);
    first[Symbol.dispose]();
    const second = map.addEventPort(0x80_0074, 0, eventPort().port);
    expect(() => map.addMessagePort(0x80_0074, 0, messagePort().port)).toThrow(inUse('an event'));
    // The first one's registration is over: it must not remove the second.
    first[Symbol.dispose]();
    expect(map.kind(0x80_0074)).toBe('event');
    second[Symbol.dispose]();
    second[Symbol.dispose]();
    expect(map.size).toBe(0);
    expect(map.handleSignalEvent(0, 0x80_0074, 0)).toBe(invalidConnectionId);
  });
});

describe('a handler', () => {
  it('may remove its own port, add others and dispatch itself', () => {
    const map = new SynicPortMap();
    const inner = messagePort();
    const events = eventPort();
    const own = map.addMessagePort(1, 0, {
      handleMessage: () => {
        own[Symbol.dispose]();
        map.addMessagePort(1, 0, inner.port);
        map.addEventPort(2, 0, events.port);
        expect(map.handleSignalEvent(0, 2, 9)).toBe(success);
        expect(map.handlePostMessage(0, 1, false, message(7))).toBe(success);
      },
    });
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(success);
    expect(map.handlePostMessage(0, 1, false, message(2))).toBe(success);
    expect(inner.seen).toEqual([[7], [2]]);
    expect(events.seen).toEqual([9]);
  });

  it('has a message of its own, whatever becomes of the bytes it came from', () => {
    const map = new SynicPortMap();
    const kept: Uint8Array[] = [];
    map.addMessagePort(1, 0, { handleMessage: (bytes) => kept.push(bytes) });
    // A Buffer's slices are views of it.
    for (const bytes of [message(1, 2), Buffer.of(1, 2)]) {
      map.handlePostMessage(0, 1, false, bytes);
      bytes.fill(9);
    }
    expect(kept).toEqual([message(1, 2), message(1, 2)]);
  });

  it('that is not ready gets the same message again', () => {
    const map = new SynicPortMap();
    let ready = false;
    const { port, seen } = messagePort(() => ready);
    map.addMessagePort(1, 0, port);
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(insufficientBuffers);
    ready = true;
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(success);
    expect(seen).toEqual([[1], [1]]);
  });

  it('that throws is reported, and the guest gets a status', () => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    const cause = new Error('no such channel');
    const fail = (): never => {
      throw cause;
    };
    map.addMessagePort(1, 0, { handleMessage: fail });
    map.addEventPort(2, 0, { handleEvent: fail });
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(operationFailed);
    expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
    expect(errors).toMatchObject([
      {
        code: 'ERR_MSHV_PORT_HANDLER',
        message: 'the message port of connection 0x1 failed: no such channel',
        cause,
      },
      {
        code: 'ERR_MSHV_PORT_HANDLER',
        message: 'the event port of connection 0x2 failed: no such channel',
        cause,
      },
    ]);
  });

  it('that returns something that throws when it is looked at has failed', () => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    const cause = new Error('no such promise');
    const answer = {
      get then(): never {
        throw cause;
      },
    };
    map.addMessagePort(1, 0, { handleMessage: () => answer });
    map.addEventPort(2, 0, { handleEvent: () => answer });
    expect(map.handlePostMessage(0, 1, false, message(1))).toBe(operationFailed);
    expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
    expect(errors.map((error) => error.cause)).toEqual([cause, cause]);
  });

  it('of events may be asynchronous: the guest does not wait, a rejection is reported', async () => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    const cause = new Error('too late');
    map.addEventPort(2, 0, { handleEvent: () => Promise.reject(cause) });
    map.addEventPort(3, 0, { handleEvent: () => Promise.resolve() });
    expect(map.handleSignalEvent(0, 2, 0)).toBe(success);
    expect(map.handleSignalEvent(0, 3, 0)).toBe(success);
    await settled();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
  });

  it('of events has one promise for each flag: what is signalled meanwhile is one call more', async () => {
    const map = new SynicPortMap({ onError: () => undefined });
    const answers: ReturnType<typeof deferred>[] = [];
    const { port, seen } = eventPort(() => {
      const answer = deferred();
      answers.push(answer);
      return answer.promise;
    });
    map.addEventPort(2, 0, port);
    for (let i = 0; i < 1000; i++) {
      for (const flag of [3, 4]) expect(map.handleSignalEvent(0, 2, flag)).toBe(success);
    }
    expect(seen).toEqual([3, 4]);
    answers[0]?.resolve();
    await settled();
    expect(seen).toEqual([3, 4, 3]);
    // Signalled by nobody since.
    answers[2]?.resolve();
    answers[1]?.reject(new Error('too late'));
    await settled();
    expect(seen).toEqual([3, 4, 3, 4]);
    answers[3]?.resolve();
    await settled();
    expect(map.handleSignalEvent(0, 2, 4)).toBe(success);
    expect(seen).toEqual([3, 4, 3, 4, 4]);
  });

  it.each<[string, (map: SynicPortMap, registered: Disposable) => void, number[]]>([
    [
      'its port is gone',
      (_, registered) => {
        registered[Symbol.dispose]();
      },
      [3],
    ],
    [
      'the guest is reset',
      (map) => {
        map.reset();
      },
      [3],
    ],
    [
      'the guest is reset, until it signals again',
      (map) => {
        map.reset();
        map.handleSignalEvent(0, 2, 3);
      },
      [3, 3],
    ],
  ])('of events is not called for what was signalled meanwhile where %s', async (_, end, calls) => {
    const map = new SynicPortMap();
    const answer = deferred();
    const { port, seen } = eventPort(() => answer.promise);
    const registered = map.addEventPort(2, 0, port);
    map.handleSignalEvent(0, 2, 3);
    map.handleSignalEvent(0, 2, 3);
    end(map, registered);
    answer.resolve();
    await settled();
    expect(seen).toEqual(calls);
  });

  it('of events that throws when it is called once more is reported', async () => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    const cause = new Error('no');
    const answer = deferred();
    const { port, seen } = eventPort(() => {
      if (seen.length === 2) throw cause;
      return answer.promise;
    });
    map.addEventPort(2, 0, port);
    map.handleSignalEvent(0, 2, 3);
    map.handleSignalEvent(0, 2, 3);
    answer.resolve();
    await settled();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
    expect(map.handleSignalEvent(0, 2, 3)).toBe(success);
    expect(seen).toEqual([3, 3, 3]);
  });

  it.each<[string, unknown, string]>([
    ['an object without a prototype', Object.create(null), 'something that cannot be shown'],
    ['an error whose message is none', Object.assign(new Error(), { message: null }), 'null'],
    ['nothing', undefined, 'undefined'],
  ])('may throw %s', (_, cause, shown) => {
    const errors: MshvError[] = [];
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    map.addEventPort(2, 0, {
      handleEvent: () => {
        throw cause;
      },
    });
    expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
    expect(errors.map(({ message: text }) => text)).toEqual([
      `the event port of connection 0x2 failed: ${shown}`,
    ]);
  });

  it('that fails again and again is one warning where nobody listens', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const map = new SynicPortMap();
    const fail = (): never => {
      throw new Error('no');
    };
    map.addEventPort(2, 0, { handleEvent: fail });
    map.addEventPort(3, 0, { handleEvent: fail });
    for (let i = 0; i < 5; i++) {
      expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
      expect(map.handleSignalEvent(0, 3, 0)).toBe(operationFailed);
    }
    expect(warn.mock.calls.map(([error]) => String(error))).toEqual([
      'MshvError: the event port of connection 0x2 failed: no',
      'MshvError: the event port of connection 0x3 failed: no',
    ]);
  });

  it('fails without harm to the guest even where the listener throws', () => {
    const thrown: (() => void)[] = [];
    vi.spyOn(process, 'nextTick').mockImplementation((callback) => {
      thrown.push(callback as () => void);
    });
    const fromListener = new Error('from the listener');
    const map = new SynicPortMap({
      onError: () => {
        throw fromListener;
      },
    });
    map.addEventPort(2, 0, {
      handleEvent: () => {
        throw new Error('from the handler');
      },
    });
    expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
    vi.restoreAllMocks();
    expect(thrown).toHaveLength(1);
    expect(thrown[0]).toThrow(fromListener);
  });
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

describe('an event port with an OS event', () => {
  it('has it signalled by the dispatcher', () => {
    using event = EventFd.create();
    const map = new SynicPortMap();
    map.addEventPort(2, 0, { osEvent: event });
    expect([0, 1, 2].map((flag) => map.handleSignalEvent(0, 2, flag))).toEqual(
      Array(3).fill(success),
    );
    expect(event.tryRead()).toBe(3n);
  });

  it('may have a function too', () => {
    using event = EventFd.create();
    const map = new SynicPortMap();
    const { port, seen } = eventPort();
    map.addEventPort(2, 0, { ...port, osEvent: event });
    map.handleSignalEvent(0, 2, 6);
    expect([event.tryRead(), seen]).toEqual([1n, [6]]);
  });

  it('reports an event that was closed', () => {
    const errors: MshvError[] = [];
    const event = EventFd.create();
    const map = new SynicPortMap({ onError: (error) => errors.push(error) });
    map.addEventPort(2, 0, { osEvent: event });
    event.close();
    expect(map.handleSignalEvent(0, 2, 0)).toBe(operationFailed);
    expect(errors).toMatchObject([{ cause: { code: 'ERR_MSHV_CLOSED' } }]);
  });
});
