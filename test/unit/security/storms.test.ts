import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  hvStatusCodes,
  type Mshv,
  type MshvError,
  type Partition,
  PartitionSynic,
} from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import { HypercallDispatcher } from '../../../lib/synic/hypercall-dispatcher.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import {
  postMessage,
  signalEvent,
  retarget,
  hypercall,
  postMessageInput,
  retargetInput,
  signalEventInput,
  SmallMemory,
} from '../../guest-hypercall.js';

// A guest does what it may as often and as fast as it can: what it costs the host has a bound.

const ownCode = 0x1234;
const {
  HV_STATUS_SUCCESS: success,
  HV_STATUS_INSUFFICIENT_BUFFERS: insufficientBuffers,
  HV_STATUS_OPERATION_FAILED: operationFailed,
} = hvStatusCodes;

const native = simNative();
let simulator: Simulator;
let device: Mshv;
let partition: Partition;

beforeEach(() => {
  simulator = new Simulator();
  device = simulator.open();
  partition = device.createPartition();
  partition.initialize();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  device.close();
  simulator.close();
});

describe('exits', () => {
  it('of VPs that do nothing else let the event loop turn, and each other run', async () => {
    const most = 20_000;
    const wanted = 10;
    let turns = 0;
    const exits = [0, 0, 0];
    const runs = exits.map((_, index) => {
      const vp = partition.createVp(index);
      // Never completed, it is executed again and again.
      simulator.guest(partition, index).out(0xf4, 1, 0);
      return vp.start(() => {
        const made = (exits[index] ?? 0) + 1;
        exits[index] = made;
        return turns >= wanted || made === most ? 'stop' : undefined;
      });
    });
    while (turns < wanted) {
      await nextTurn();
      turns++;
    }
    expect(await Promise.all(runs.map(({ finished }) => finished))).toEqual(
      Array(3).fill('stopped'),
    );
    for (const made of exits) {
      expect(made).toBeGreaterThan(0);
      expect(made).toBeLessThan(most);
    }
  });
});

describe('doorbells', () => {
  it('that are rung before the event loop turns are one call of the watcher', async () => {
    const rings = 5000;
    const vp = partition.createVp(0);
    const bell = partition.registerDoorbell({ gpa: 0xd000_0000 });
    const guest = simulator.guest(partition, 0);
    for (let i = 0; i < rings; i++) guest.mmioWrite(0xd000_0000, 4, i);
    guest.halt();
    const counts: bigint[] = [];
    bell.event.watch((count) => counts.push(count));
    // No exit but this.
    expect(vp.run()?.type).toBe('halt');
    await nextTurn();
    await nextTurn();
    expect(counts).toEqual([BigInt(rings)]);
  });
});

describe('failures', () => {
  it('of all kinds are told as far as one can listen, then counted', () => {
    // They take no time, all of them.
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    const told: MshvError[] = [];
    const onError = (error: MshvError): void => void told.push(error);
    const newSynic = () =>
      new PartitionSynic(partition, { native, onError, memory: new SmallMemory() });
    const no = (): never => {
      throw new Error('no');
    };
    partition.createVp(0);
    const synic = newSynic();
    synic.portMap.addEventPort(2, 0, { handleEvent: no });
    synic.hypercalls.add({ code: ownCode, name: 'HvMine', inputSize: 0, handle: no });
    // The guest has its SynIC off.
    const event = synic.newGuestEventPort();
    event.set(0, 0, 2, 7);
    const each = 500;
    for (let i = 0; i < each; i++) {
      const signal = { code: signalEvent, fast: true, input: signalEventInput(2, 0) };
      expect(synic.hypercalls.dispatch(hypercall(signal)).status).toBe(operationFailed);
      expect(synic.hypercalls.dispatch(hypercall({ code: ownCode })).status).toBe(operationFailed);
      expect(synic.postMessage(0, 0, 2, 1, new Uint8Array(1))).toBe(true);
      event.interrupt().deliver();
    }
    const codes = [
      'ERR_MSHV_PORT_HANDLER',
      'ERR_MSHV_HYPERCALL_HANDLER',
      'ERR_MSHV_MESSAGE_REFUSED',
      'ERR_MSHV_EVENT_REFUSED',
    ];
    expect(told.map(({ code }) => code)).toEqual(Array(8).fill(codes).flat());
    vi.advanceTimersByTime(1000);
    expect(told.slice(32)).toMatchObject([
      { code: 'ERR_MSHV_SUPPRESSED', suppressed: 4 * each - 32, cause: { code: codes[3] } },
    ]);
  });

  it('of one guest leave the listener to the other’s', () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    const told: MshvError[] = [];
    const onError = (error: MshvError): void => void told.push(error);
    partition.createVp(0);
    const [loud, quiet] = [0, 1].map(
      () => new PartitionSynic(partition, { native, onError, memory: new SmallMemory() }),
    );
    const ports = Array.from({ length: 100 }, () => {
      const port = loud?.newGuestEventPort();
      port?.set(0, 0, 2, 7);
      return port;
    });
    for (const port of ports) port?.interrupt().deliver();
    expect(told).toHaveLength(64);
    void quiet?.postMessage(0, 0, 2, 1, new Uint8Array(1));
    expect(told.slice(64).map(({ code }) => code)).toEqual(['ERR_MSHV_MESSAGE_REFUSED']);
    for (const port of ports) port?.[Symbol.dispose]();
  });
});

describe('hypercalls', () => {
  const memory = new SmallMemory();

  it('to a handler that never answers come to it once', () => {
    const portMap = new SynicPortMap();
    const handleMessage = vi.fn(() => new Promise(() => undefined));
    const handleEvent = vi.fn(() => new Promise(() => undefined));
    portMap.addMessagePort(1, 0, { handleMessage });
    portMap.addEventPort(2, 0, { handleEvent, flagCount: 4 });
    const dispatcher = new HypercallDispatcher({ portMap, memory });
    for (let i = 0; i < 10_000; i++) {
      memory.bytes.set(postMessageInput(1, Uint8Array.of(i & 0xff, i >> 8)));
      const { status } = dispatcher.dispatch(hypercall({ code: postMessage }));
      expect(status).toBe(insufficientBuffers);
      const input = signalEventInput(2, i % 4);
      const signalled = dispatcher.dispatch(hypercall({ code: signalEvent, fast: true, input }));
      expect(signalled.status).toBe(success);
    }
    expect(handleMessage).toHaveBeenCalledTimes(1);
    expect(handleEvent).toHaveBeenCalledTimes(4);
  });

  it('with 4095 reps are one call of their handler', () => {
    const dispatcher = new HypercallDispatcher({ portMap: new SynicPortMap(), memory });
    const handle = vi.fn(() => 0);
    dispatcher.add({ code: ownCode, name: 'HvMine', inputSize: 0, repInputSize: 0, handle });
    dispatcher.add({ code: 7, name: 'HvLong', inputSize: 0, repInputSize: 4096, handle });
    const most = { repCount: 4095, repStart: 4094 };
    expect(dispatcher.dispatch(hypercall({ code: ownCode, ...most }))).toEqual({
      status: success,
      repsCompleted: 4095,
    });
    expect(dispatcher.dispatch(hypercall({ code: 7, ...most })).status).toBe(
      hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_INPUT,
    );
    expect(handle).toHaveBeenCalledTimes(1);
  });

  it('name 4096 processors at most', () => {
    const seen: number[][] = [];
    const dispatcher = new HypercallDispatcher({
      portMap: new SynicPortMap(),
      memory,
      retargetDeviceInterrupt: ({ processors }) => {
        seen.push([...processors]);
        return 0;
      },
    });
    const all = 2n ** 64n - 1n;
    const banks = Array<bigint>(64).fill(all);
    memory.bytes.set(retargetInput({ flags: 2 }, all, ...banks), 0x1000);
    const call = { code: retarget, input: 0x1000n };
    const status = (variableHeaderWords: number): number =>
      dispatcher.dispatch(hypercall({ ...call, variableHeaderWords })).status;
    expect(status(65)).toBe(success);
    expect(seen).toEqual([Array.from({ length: 4096 }, (_, vp) => vp)]);
    // Not as many banks as the mask announces.
    expect([status(64), status(66), status(1)]).toEqual(
      Array(3).fill(hvStatusCodes.HV_STATUS_INVALID_PARAMETER),
    );
  });
});
