import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { EventFd, type MshvError } from '../../../lib/index.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import { message, messagePort, eventPort } from './host-ports.js';

const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_INVALID_CONNECTION_ID: invalidConnectionId,
  HV_STATUS_OPERATION_DENIED: operationDenied,
  HV_STATUS_OPERATION_FAILED: operationFailed,
  HV_STATUS_INVALID_PARAMETER: invalidParameter,
} = hvStatusCodes;

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
