import { describe, expect, it } from 'vitest';

import { bytesArgument, integerArgument, typedArrayArgument } from '../../lib/arguments.js';
import { payloadArgument } from '../../lib/abi/arguments.js';
import {
  DirectGuestEventPort,
  EventFd,
  GuestMemory,
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

/** Typed arrays whose memory is not there any more. */
const gone: Record<string, (kind: typeof Uint8Array) => Uint8Array> = {
  detached: (kind) => {
    const array = new kind(8);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    return array;
  },
  'out of bounds': (kind) => {
    const buffer = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 16 }]) as ArrayBuffer;
    const array = new kind(buffer, 8, 8);
    Reflect.apply(Reflect.get(ArrayBuffer.prototype, 'resize') as () => void, buffer, [8]);
    return array;
  },
};

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

describe.each(Object.entries(gone))('an array that is %s', (_, make) => {
  it.each<[string, string, (bytes: Uint8Array) => unknown]>([
    ['bytes', 'x', (bytes) => bytesArgument('x', bytes)],
    ['a typed array', 'x', (bytes) => typedArrayArgument('x', bytes, 'Uint8Array')],
    ['a payload', 'x', (bytes) => payloadArgument('x', bytes)],
    [
      'a message to the guest',
      'payload',
      (bytes) =>
        new GuestMessages({ hasVp: () => true, postMessage: () => 0 }).postMessage(
          0,
          0,
          2,
          1,
          bytes,
        ),
    ],
    [
      'a message of the guest',
      'message',
      (bytes) => new SynicPortMap().handlePostMessage(0, 1, false, bytes),
    ],
    [
      'what is written to memory',
      'bytes',
      (bytes) => {
        using memory = GuestMemory.allocate(4096);
        memory.write(0, bytes);
      },
    ],
    [
      'what is written through a partition',
      'bytes',
      (bytes) => {
        using simulator = new Simulator();
        const partition = simulator.open().createPartition();
        partition.writeMemory(0, bytes);
      },
    ],
  ])('is no %s', (__, name, use) => {
    const bytes = make(Uint8Array);
    expect(() => use(bytes)).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_VALUE',
        message: expect.stringContaining(`"${name}"`) as string,
      }),
    );
  });
});
