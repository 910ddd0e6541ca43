import { beforeEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  EventFd,
  GuestMemory,
  hvStatusCodes,
  type MshvError,
  PartitionSynic,
  type PartitionSynicOptions,
  SynicPorts,
} from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import { hypercallMessage, signalEventInput } from '../guest-hypercall.js';
import { processResources } from '../process-resources.js';
import { blockingRunToHalt } from '../synic-runs.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, patience, vp } from './partition-for-tests.js';
import { errors, ports, synic, synicForEachTest, useSynic } from './synic-for-tests.js';

// Ports of the host with OS events, which the guest signals by a write where they have a doorbell and by a
// hypercall in any case, and what the end of ports, SynICs and partitions leaves: nothing.

const doorbell = 0xd000_0000n;
/** What the driver calls for a doorbell. */
const doorbellCalls = [
  ['HVCALL_CREATE_PORT', 0x95],
  ['HVCALL_CONNECT_PORT', 0x96],
] as const;

const guest = await guestSideForTests();
let event: EventFd;

// Closed behind the partition that signals it.
beforeEach(() => {
  event = EventFd.create({ native: guest.native });
  return () => {
    event.close();
  };
});
synicForEachTest(guest, 2);

function openSynic(options?: PartitionSynicOptions): void {
  useSynic(options);
  synic.installIntercepts();
}

/** Each connection has 16 bytes of its own, from 1 to 99; the others have none. */
const place = (connectionId: number) =>
  connectionId < 100 ? { gpa: doorbell + 16n * BigInt(connectionId), size: 4 as const } : undefined;
const ring = (connectionId: number, value = 1n): boolean =>
  guest.writeMmio(partition, doorbell + 16n * BigInt(connectionId), 4, value);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

/** The guest signals a connection by hypercall; its status. */
async function signal(connectionId: number, flag = 0): Promise<number> {
  const input = signalEventInput(connectionId, flag);
  guest.queueMessage(partition, 0, hypercallMessage({ code: 0x5d, fast: true, input }));
  expect(await blockingRunToHalt(guest, partition, vp, synic)).toEqual(['hypercall']);
  return Number(vp.getRegisters(['RAX']).RAX);
}

describe('a port with an OS event and a doorbell', () => {
  beforeEach(() => {
    openSynic({ hostEventDoorbell: place });
  });

  it('is signalled by the guest’s write, and no VP exits', async () => {
    expect(ports.preferOsEvents).toBe(true);
    const handleEvent = vi.fn();
    ports.addEventPort(2, 0, { osEvent: event, handleEvent });
    const exits = vi.fn();
    const run = vp.start(exits);
    for (let i = 0; i < 3; i++) expect(ring(2)).toBe(true);
    expect(ring(3)).toBe(false);
    run.stop();
    await run.finished;
    expect(event.tryRead()).toBe(3n);
    expect(exits).not.toHaveBeenCalled();
    expect(handleEvent).not.toHaveBeenCalled();
  });

  it('is signalled by a hypercall as well, with its function', async () => {
    const flags: number[] = [];
    ports.addEventPort(2, 0, {
      osEvent: event,
      handleEvent: (flag) => {
        flags.push(flag);
      },
    });
    expect(await signal(2, 9)).toBe(hvStatusCodes.HV_STATUS_SUCCESS);
    expect(ring(2)).toBe(true);
    expect([event.tryRead(), flags]).toEqual([2n, [9]]);
  });

  it('wakes who waits for the event', async () => {
    ports.addEventPort(2, 0, { osEvent: event });
    const seen = new Promise((resolve) => {
      event.watch(resolve);
    });
    expect(ring(2)).toBe(true);
    expect(await seen).toBe(1n);
  });

  it('has a doorbell where its connection has a place, and an event', async () => {
    const asked = vi.fn(place);
    openSynic({ hostEventDoorbell: asked });
    ports.addEventPort(5, 3, { osEvent: event });
    ports.addEventPort(6, 0, { handleEvent: () => undefined });
    ports.addMessagePort(7, 0, { handleMessage: () => undefined });
    ports.addEventPort(100, 0, { osEvent: event });
    expect(asked.mock.calls).toEqual([
      [5, 3],
      [100, 0],
    ]);
    expect([5, 6, 7].map((id) => ring(id))).toEqual([true, false, false]);
    expect(partition.doorbells).toHaveLength(1);
    event.tryRead();
    expect(await signal(100)).toBe(hvStatusCodes.HV_STATUS_SUCCESS);
    expect(event.tryRead()).toBe(1n);
  });

  it('may share an address, by value', () => {
    using other = EventFd.create({ native: guest.native });
    openSynic({ hostEventDoorbell: (match) => ({ gpa: doorbell, size: 4, match }) });
    ports.addEventPort(8, 0, { osEvent: event });
    ports.addEventPort(9, 0, { osEvent: other });
    const write = (value: bigint): boolean => guest.writeMmio(partition, doorbell, 4, value);
    expect([write(8n), write(9n), write(9n), write(10n)]).toEqual([true, true, true, false]);
    expect([event.tryRead(), other.tryRead()]).toEqual([1n, 2n]);
  });

  it('keeps its doorbell until it is disposed of, once or more', () => {
    const port = ports.addEventPort(2, 0, { osEvent: event });
    expect(ring(2)).toBe(true);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect(ring(2)).toBe(false);
    expect([synic.portMap.size, partition.doorbells.length, event.tryRead()]).toEqual([0, 0, 1n]);
    const again = ports.addEventPort(2, 0, { osEvent: event });
    // The first one’s.
    port[Symbol.dispose]();
    expect(ring(2)).toBe(true);
    again[Symbol.dispose]();
    event.signal();
    expect(event.tryRead()).toBe(2n);
  });
});

it('a port with an OS event and no doorbell is signalled by the dispatcher', async () => {
  openSynic();
  expect(ports.preferOsEvents).toBe(false);
  const flags: number[] = [];
  ports.addEventPort(2, 0, { osEvent: event, flagCount: 8 });
  ports.addEventPort(3, 0, {
    osEvent: event,
    handleEvent: (flag) => {
      flags.push(flag);
    },
  });
  expect(ring(2)).toBe(false);
  expect(partition.doorbells).toEqual([]);
  for (const flag of [0, 7, 7]) expect(await signal(2, flag)).toBe(0);
  expect(event.tryRead()).toBe(3n);
  expect(await signal(2, 8)).toBe(hvStatusCodes.HV_STATUS_INVALID_PARAMETER);
  expect(event.tryRead()).toBeUndefined();
  expect(await signal(3, 5)).toBe(0);
  expect([event.tryRead(), flags]).toEqual([1n, [5]]);
  event.close();
  expect(await signal(2)).toBe(hvStatusCodes.HV_STATUS_OPERATION_FAILED);
  expect(errors).toMatchObject([
    { code: 'ERR_MSHV_PORT_HANDLER', cause: { code: 'ERR_MSHV_CLOSED' } },
  ]);
});

describe('a port that cannot be added leaves no doorbell, and no connection', () => {
  let before: ReturnType<typeof processResources>;
  beforeEach(() => {
    openSynic({ hostEventDoorbell: place });
    ports.addEventPort(1, 0, { osEvent: event });
    before = processResources();
    return () => {
      expect(processResources()).toEqual(before);
      expect(partition.doorbells).toHaveLength(1);
      expect(ring(1)).toBe(true);
      expect(event.tryRead()).toBe(1n);
    };
  });

  it('where its connection is in use', () => {
    using other = EventFd.create({ native: guest.native });
    ports.addMessagePort(2, 0, { handleMessage: () => undefined });
    for (const id of [1, 2]) {
      expect(() => ports.addEventPort(id, 0, { osEvent: other })).toThrow(
        code('ERR_MSHV_CONNECTION_ID_IN_USE'),
      );
    }
    expect(ring(2)).toBe(false);
    expect(ring(1)).toBe(true);
    expect([event.tryRead(), other.tryRead()]).toEqual([1n, undefined]);
    expect(synic.portMap.kind(2)).toBe('message');
  });

  it('where another doorbell is at its place', () => {
    partition.registerDoorbell({ gpa: doorbell + 48n, name: 'queue 3' })[Symbol.dispose]();
    const holder = partition.registerDoorbell({ gpa: doorbell + 48n, size: 4, name: 'queue 3' });
    expect(() => ports.addEventPort(3, 0, { osEvent: event })).toThrow(
      code('ERR_MSHV_DOORBELL_IN_USE'),
    );
    holder.close();
    expect([ring(3), synic.portMap.kind(3)]).toEqual([false, undefined]);
  });

  it('where its monitor id is in use', () => {
    const own = ports.addEventPort(
      200,
      0,
      { handleEvent: () => undefined },
      { monitorId: 7, latency: 0 },
    );
    const add = () =>
      ports.addEventPort(4, 0, { osEvent: event }, { monitorId: 7, latency: 0xffff });
    expect(add).toThrow(code('ERR_MSHV_MONITOR_ID_IN_USE'));
    expect([ring(4), synic.portMap.kind(4)]).toEqual([false, undefined]);
    own[Symbol.dispose]();
    const port = add();
    expect(ring(4)).toBe(true);
    event.tryRead();
    port[Symbol.dispose]();
    expect(ring(4)).toBe(false);
  });

  it.each(doorbellCalls)('where the hypervisor refuses %s', (_, call) => {
    guest.refuse(call, hvStatusCodes.HV_STATUS_ACCESS_DENIED);
    expect(() => ports.addEventPort(5, 0, { osEvent: event })).toThrow(code('EIO'));
    expect([ring(5), synic.portMap.kind(5)]).toEqual([false, undefined]);
  });

  it('where its event is closed, or another addon’s', () => {
    const closed = EventFd.create({ native: guest.native });
    closed.close();
    expect(() => ports.addEventPort(6, 0, { osEvent: closed })).toThrow(code('ERR_MSHV_CLOSED'));
    const other = { ...guest.native };
    using foreign = EventFd.create({ native: other });
    expect(() => ports.addEventPort(6, 0, { osEvent: foreign })).toThrow(TypeError);
    expect([ring(6), synic.portMap.kind(6)]).toEqual([false, undefined]);
  });

  it('where nobody can say its place', () => {
    openSynic({
      hostEventDoorbell: () => {
        throw new Error('of the VMM');
      },
    });
    expect(() => ports.addEventPort(7, 0, { osEvent: event })).toThrow('of the VMM');
    expect(synic.portMap.kind(7)).toBeUndefined();
  });
});

describe('the end of a partition', () => {
  it('takes the doorbells along; its ports can be disposed of, once or more', () => {
    const before = processResources();
    const ending = guest.createPartition(1);
    const made = new PartitionSynic(ending, { native: guest.native, hostEventDoorbell: place });
    const over = new SynicPorts(made);
    const handles = [
      over.addEventPort(2, 0, { osEvent: event }, { monitorId: 1, latency: 5 }),
      over.addEventPort(3, 0, { osEvent: event }),
      over.addMessagePort(4, 0, { handleMessage: () => undefined }),
      over.newGuestMessagePort(0, 0, 2),
      over.newGuestEventPort(1, 0, 0, 2, 7),
      made.attachVp(0),
    ];
    ending.close();
    expect(processResources()).toEqual(before);
    for (const handle of [...handles, ...handles]) handle[Symbol.dispose]();
    made[Symbol.dispose]();
    made[Symbol.dispose]();
    expect([made.portMap.size, made.messages.size]).toEqual([0, 0]);
    expect(processResources()).toEqual(before);
  });

  it.each(['the SynIC first', 'the partition first', 'no SynIC'] as const)(
    'leaves nothing of what waited: %s',
    async (order) => {
      await useEverything(order);
      const before = processResources();
      for (let i = 0; i < 3; i++) await useEverything(order);
      expect(processResources()).toEqual(before);
      partition.close();
      expect(guest.leftovers()).toEqual([]);
    },
  );
});

/** Uses all of a SynIC that waits for something, and ends it. */
async function useEverything(order: string): Promise<void> {
  using ending = guest.createPartition(2);
  using memory = GuestMemory.allocate(4096, { native: guest.native });
  const told: MshvError[] = [];
  using signalled = EventFd.create({ native: guest.native });
  ending.mapMemory(memory, { gpa: 0x1_0000 });
  enableSynic(ending, 0);
  const own = vpOf(ending, 0);
  const made = new PartitionSynic(ending, {
    native: guest.native,
    onError: (error) => told.push(error),
    messageBound: 1,
    hostEventDoorbell: place,
    monitorPages: [0x1_0000n],
  });
  const over = new SynicPorts(made);
  made.installIntercepts();
  made.attachVp(0);
  // Queued, waiting for room, waiting for a handler, being polled, being watched.
  const answers = [1, 2, 3].map((id) => over.postMessage(0, 0, 2, id, new Uint8Array(8)));
  expect(answers.slice(0, 2)).toEqual([true, true]);
  over.addMessagePort(1, 0, { handleMessage: () => new Promise(() => undefined) });
  expect(made.portMap.handlePostMessage(0, 1, false, new Uint8Array(3))).toBe(
    hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS,
  );
  over.addEventPort(2, 0, { osEvent: signalled }, { monitorId: 3, latency: 1 });
  expect(over.monitorSupport?.allocateMonitorPage(0)).toEqual({
    parentToChild: 0n,
    childToParent: 0x1_0000n,
  });
  const view = new Int32Array(memory.buffer);
  // Group 0 is enabled, and trigger 3 is set.
  Atomics.store(view, 2, 1 << 3);
  Atomics.store(view, 0, 1);
  await vi.waitUntil(() => signalled.tryRead(), { timeout: patience, interval: 1 });
  const port = over.newGuestEventPort(1, 0, 0, 2, 7);
  expect(port.interrupt().event.pending).toBe(false);
  const run = own.start((exit) => {
    made.handleExit(own, exit);
  });
  const [, , waiting] = answers;
  if (typeof waiting !== 'object') throw new Error('there was room');
  if (order === 'the SynIC first') {
    made[Symbol.dispose]();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_MSHV_RESET' });
    expect(made.monitorSupport.monitorPage(0)).toBeUndefined();
  }
  ending.close();
  expect(await run.finished).toBe('closed');
  if (order === 'the partition first') made[Symbol.dispose]();
  port[Symbol.dispose]();
  expect(told).toEqual([]);
}

it('a polled page of a partition that is closed is looked at no more', async () => {
  vi.useFakeTimers();
  try {
    using memory = GuestMemory.allocate(4096, { native: guest.native });
    partition.mapMemory(memory, { gpa: 0x2_0000 });
    openSynic({ monitorPages: [0x2_0000n] });
    const handleEvent = vi.fn();
    ports.addEventPort(2, 0, { handleEvent }, { monitorId: 3, latency: 0 });
    expect(ports.monitorSupport?.allocateMonitorPage(0)?.childToParent).toBe(0x2_0000n);
    const view = new Int32Array(memory.buffer);
    view[2] = 1 << 3;
    view[0] = 1;
    await vi.advanceTimersByTimeAsync(20);
    expect(handleEvent).toHaveBeenCalledTimes(1);
    view[2] = 1 << 3;
    partition.close();
    await vi.advanceTimersByTimeAsync(20);
    expect([handleEvent.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  } finally {
    vi.useRealTimers();
  }
});

it('handlers of a VP’s hypercall may end everything', async () => {
  openSynic({ hostEventDoorbell: place });
  ports.addEventPort(2, 0, {
    osEvent: event,
    handleEvent: () => {
      partition.close();
      synic[Symbol.dispose]();
      throw new Error('and fail');
    },
  });
  const input = signalEventInput(2, 0);
  guest.queueMessage(partition, 0, hypercallMessage({ code: 0x5d, fast: true, input }));
  guest.queueMessage(partition, 0, encodeMessage('halt', { vpIndex: 0 }));
  const exits: string[] = [];
  const run = vp.start((exit) => {
    exits.push(exit.type);
    expect(synic.handleExit(vp, exit)).toBe(true);
  });
  expect(await run.finished).toBe('closed');
  expect([exits, event.tryRead()]).toEqual([['hypercall'], 1n]);
  expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER' }]);
});
