import { expect, it } from 'vitest';

import { integerArgument } from '../../lib/arguments.js';
import {
  DirectGuestEventPort,
  EventFd,
  GuestMessages,
  Mshv,
  SynicPortMap,
} from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';

it.each([
  new Map([['initial', 1]]),
  new Set(),
  new Date(0),
  [],
  () => undefined,
  new Uint8Array(1),
])('options are no %s', (options) => {
  expect(() => EventFd.create(options as object)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
  );
});

it('options may be inherited, and are checked then like any other', () => {
  const inheriting = (options: object) => Object.create(options) as object;
  const event = EventFd.create({ ...inheriting({}), initial: 0 });
  event.close();
  using inherited = EventFd.create(inheriting({ initial: 3 }));
  expect(inherited.tryRead()).toBe(3n);
  for (const wrong of [{ tpyo: 1 }, { initial: 1, tpyo: 1 }, inheriting({ tpyo: 1 })]) {
    expect(() => EventFd.create(inheriting(wrong))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
  }
});

it('what somebody has given to every object is no option', () => {
  Object.defineProperty(Object.prototype, 'polluted', {
    value: 1,
    enumerable: true,
    configurable: true,
  });
  try {
    EventFd.create({ initial: 1 }).close();
  } finally {
    Reflect.deleteProperty(Object.prototype, 'polluted');
  }
});

it('-0 is 0', () => {
  expect(Object.is(integerArgument('n', -0, 0, 1), 0)).toBe(true);
});

it('a VP of index -0 is VP 0', () => {
  using simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  expect(Object.is(partition.createVp(-0).index, 0)).toBe(true);
});

it('a target at -0 is at 0', () => {
  const told: unknown[] = [];
  const queues = new GuestMessages({ hasVp: () => true, postMessage: () => 0x13 });
  queues.attachVp(-0, {
    setDeliverabilityNotifications: (vtl) => {
      told.push(vtl);
    },
  });
  void queues.postMessage(-0, -0, -0, 1, Uint8Array.of(1));
  const [saved] = queues.save().queues;
  told.push(saved?.vtl, saved?.vp, saved?.sint);

  const signalEvent = (...target: number[]): boolean => told.push(...target) > 0;
  const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent });
  port.set(-0, -0, -0, -0);
  port.signal();
  port.setTargetVp(-0);
  port.signal();

  const portMap = new SynicPortMap();
  portMap.addEventPort(-0, -0, { handleEvent: (flag) => void told.push(flag) });
  portMap.handleSignalEvent(-0, -0, -0);
  expect(told).toEqual(new Array(13).fill(0));
});

it('a NUL in a path is refused as by fs', () => {
  using simulator = new Simulator();
  expect(() => Mshv.open({ path: `${simulator.path}\0`, native: Simulator.native })).toThrow(
    expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }),
  );
});

it.each([0, 7, 255, -1, '8'])('an array of 8 bytes that says it has %s is refused', (length) => {
  class Lying extends Uint8Array {}
  Object.defineProperty(Lying.prototype, 'length', { get: () => length });
  using simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  partition.createVp(0);
  const message = { vp: 0, sint: 2, type: 1, payload: new Lying(8) };
  expect(() => {
    partition.postMessageDirect(message);
  }).toThrow(
    expect.objectContaining({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('"message.payload"') as string,
    }),
  );
});
