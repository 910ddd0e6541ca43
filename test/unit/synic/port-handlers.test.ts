import { afterEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { type MshvError } from '../../../lib/index.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import { message, messagePort, eventPort, deferred, settled } from './host-ports.js';

// What the functions of the VMM's ports may do, and what the guest is told of it.

const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_OPERATION_FAILED: operationFailed,
  HV_STATUS_INSUFFICIENT_BUFFERS: insufficientBuffers,
} = hvStatusCodes;

afterEach(() => {
  vi.restoreAllMocks();
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
