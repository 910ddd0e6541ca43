import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { x64Registers } from '../../../lib/abi/x64-registers.js';
import {
  FailureReports,
  type HvStatusName,
  hvStatusCodes,
  type InterceptRequest,
  MshvError,
  PartitionSynic,
  type PartitionSynicOptions,
  SynicPorts,
} from '../../../lib/index.js';
import { SmallMemory } from '../../guest-hypercall.js';
import { FakeHost } from '../fake-host.js';

// What PartitionSynic joins: a partition with its VPs on one side, the ports on the other.

const { EIO } = constants.errno;
const payload = Uint8Array.of(1, 2, 3);
/** The SINTs of HvRegisterDeliverabilityNotifications, and a bit below them that is somebody else's. */
const sintBit = (sint: number): bigint => 1n << BigInt(48 + sint);
const windowBit = 1n << 2n;

const code = (expected: string): unknown => expect.objectContaining({ code: expected });

function refusal(hypercall: string, name: HvStatusName): MshvError {
  return new MshvError(`${hypercall}: ${name}`, {
    code: 'EIO',
    errno: -EIO,
    hypercall,
    hvStatus: { code: hvStatusCodes[name], name },
  });
}

/** The few methods of a partition that the SynIC uses, and what the hypervisor makes of them. */
class FakePartition {
  /** What was asked, in order. */
  readonly calls: unknown[][] = [];
  /** What each VP's notification register holds, by VP and VTL. */
  readonly registers = new Map<string, bigint>();
  /** The SINTs whose slot is full. */
  readonly busy = new Set<number>();
  /** The event flags that are set. */
  readonly flags = new Set<string>();
  refusedIntercept: InterceptRequest['type'] | undefined;
  failing: MshvError | undefined;

  hasVp(index: number): boolean {
    return index < 4;
  }

  postMessageDirect(message: { vp: number; sint: number; payload?: Uint8Array }): void {
    this.#fail();
    if (this.busy.has(message.sint)) {
      throw refusal('HVCALL_POST_MESSAGE_DIRECT', 'HV_STATUS_OBJECT_IN_USE');
    }
    this.calls.push(['post', { ...message, payload: [...(message.payload ?? [])] }]);
    this.busy.add(message.sint);
  }

  signalEventDirect(event: object): boolean {
    this.#fail();
    this.calls.push(['signal', event]);
    const flag = inspect(event);
    const isNew = !this.flags.has(flag);
    this.flags.add(flag);
    return isNew;
  }

  getRegisters(
    vp: number,
    names: Uint32Array,
    values = new BigUint64Array(2),
    vtl = -1,
  ): BigUint64Array {
    this.#fail();
    this.calls.push(['get', vp, vtl, ...names]);
    values.set([this.registers.get(`${vp}.${vtl}`) ?? 0n, 0xdeadn]);
    return values;
  }

  setRegisters(vp: number, names: Uint32Array, values: BigUint64Array, vtl = -1): void {
    this.#fail();
    this.calls.push(['set', vp, vtl, ...names, ...values]);
    this.registers.set(`${vp}.${vtl}`, values[0] ?? 0n);
  }

  installIntercept(intercept: InterceptRequest): void {
    this.calls.push(['intercept', intercept]);
    if (intercept.type === this.refusedIntercept) {
      throw refusal('HVCALL_INSTALL_INTERCEPT', 'HV_STATUS_OPERATION_DENIED');
    }
  }

  #fail(): void {
    if (this.failing !== undefined) throw this.failing;
  }
}

let partition: FakePartition;
let errors: MshvError[];
const onError = (error: MshvError): unknown => errors.push(error);

/** The SynIC of the fake partition. */
function newSynic(options: PartitionSynicOptions = {}): PartitionSynic {
  return new PartitionSynic(partition, { memory: new SmallMemory(), onError, ...options });
}

beforeEach(() => {
  partition = new FakePartition();
  errors = [];
});

describe('installIntercepts()', () => {
  const ofSynic = [
    ['intercept', { type: 'hypercall' }],
    ['intercept', { type: 'unknown-synic-connection' }],
  ];

  it('asks for hypercalls and for connections that the hypervisor does not know', () => {
    newSynic().installIntercepts();
    expect(partition.calls).toEqual(ofSynic);
  });

  it('asks for devices that it does not know where somebody answers for them', () => {
    newSynic({ retargetDeviceInterrupt: () => 0 }).installIntercepts();
    expect(partition.calls).toEqual([
      ...ofSynic,
      ['intercept', { type: 'unknown-device-retarget' }],
    ]);
  });

  it('throws what is refused, and can be called again', () => {
    const synic = newSynic();
    partition.refusedIntercept = 'unknown-synic-connection';
    expect(() => {
      synic.installIntercepts();
    }).toThrow(expect.objectContaining({ hypercall: 'HVCALL_INSTALL_INTERCEPT' }));
    partition.refusedIntercept = undefined;
    partition.calls.length = 0;
    synic.installIntercepts();
    expect(partition.calls).toEqual(ofSynic);
  });
});

describe('attachVp()', () => {
  const name = x64Registers.DELIVERABILITY_NOTIFICATIONS;

  it('has the notifications of a VTL written, and what is not a SINT’s kept', () => {
    const synic = newSynic();
    synic.attachVp(1);
    // Interrupt windows that the VMM asks for, and a SINT that nothing waits for.
    partition.registers.set('1.3', windowBit | sintBit(9));
    partition.busy.add(2).add(15);
    void synic.postMessage(3, 1, 2, 1, payload);
    expect(partition.calls).toEqual([
      ['get', 1, 3, name],
      ['set', 1, 3, name, windowBit | sintBit(2), 0n],
    ]);
    partition.calls.length = 0;
    void synic.postMessage(3, 1, 15, 1, payload);
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(partition.calls).toEqual([
      ['get', 1, 3, name],
      ['set', 1, 3, name, windowBit | sintBit(2) | sintBit(15), 0n],
      ['get', 1, 0, name],
      ['set', 1, 0, name, sintBit(2), 0n],
    ]);
  });

  it('asks an owner instead', () => {
    const synic = newSynic();
    const setDeliverabilityNotifications = vi.fn();
    synic.attachVp(1, { setDeliverabilityNotifications });
    partition.busy.add(2);
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(setDeliverabilityNotifications.mock.calls).toEqual([[0, 1 << 2]]);
    expect(partition.calls).toEqual([]);
  });

  it('has one owner for a VP, until it is disposed of', () => {
    const synic = newSynic();
    const attached = synic.attachVp(1);
    expect(() => synic.attachVp(1)).toThrow(code('ERR_MSHV_VP_OWNED'));
    partition.busy.add(2);
    void synic.postMessage(0, 1, 2, 1, payload);
    partition.calls.length = 0;
    attached[Symbol.dispose]();
    attached[Symbol.dispose]();
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(partition.calls).toEqual([]);
    synic.attachVp(1);
    attached[Symbol.dispose]();
    expect(partition.calls).toEqual([
      ['get', 1, 0, name],
      ['set', 1, 0, name, sintBit(2), 0n],
    ]);
    expect(() => synic.attachVp(1)).toThrow(code('ERR_MSHV_VP_OWNED'));
  });

  it('reports a register that it cannot read, and tries again at the next post', () => {
    const synic = newSynic();
    synic.attachVp(1);
    partition.busy.add(2);
    const cause = refusal('HVCALL_GET_VP_REGISTERS', 'HV_STATUS_INVALID_VP_STATE');
    vi.spyOn(partition, 'getRegisters').mockImplementationOnce(() => {
      throw cause;
    });
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_NOTIFICATION', cause }]);
    expect(partition.calls).toEqual([]);
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(partition.registers.get('1.0')).toBe(sintBit(2));
    expect(errors).toHaveLength(1);
  });
});

describe('messages', () => {
  it('are posted as the hypervisor wants them, in order, as many as the bound queued', async () => {
    const synic = newSynic({ messageBound: 2 });
    const port = synic.newGuestMessagePort(1, 3, 2);
    expect(port.post(7, payload)).toBe(true);
    expect(partition.calls).toEqual([
      ['post', { vp: 3, vtl: 1, sint: 2, type: 7, payload: [1, 2, 3] }],
    ]);
    expect([port.post(8, payload), port.post(9, payload)]).toEqual([true, true]);
    const waiting = port.post(10, payload);
    expect(waiting).toBeInstanceOf(Promise);
    expect(inspect(synic)).toBe('PartitionSynic { ports: 0, queued: 3, closed: false }');
    partition.busy.clear();
    synic.messages.sintsDeliverable(1, 3, 1 << 2);
    await waiting;
    expect(synic.messages.size).toBe(2);
  });

  it('that are refused for good are reported', () => {
    const synic = newSynic();
    partition.failing = refusal('HVCALL_POST_MESSAGE_DIRECT', 'HV_STATUS_INVALID_SYNIC_STATE');
    expect(synic.postMessage(0, 1, 2, 1, payload)).toBe(true);
    expect(errors).toMatchObject([
      {
        code: 'ERR_MSHV_MESSAGE_REFUSED',
        hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
        hvStatus: { name: 'HV_STATUS_INVALID_SYNIC_STATE' },
        cause: partition.failing,
      },
    ]);
    expect(synic.messages.size).toBe(0);
  });

  it('are for VPs that are there', () => {
    const synic = newSynic();
    expect(() => synic.newGuestMessagePort(0, 4, 2)).toThrow(code('ERR_MSHV_NO_VP'));
    expect(() => synic.postMessage(0, 4, 2, 1, payload)).toThrow(code('ERR_MSHV_NO_VP'));
  });
});

describe('a guest event port', () => {
  it('signals its flag, and has an interrupt that reports', () => {
    const synic = newSynic();
    using port = synic.newGuestEventPort();
    expect(port.signal()).toBe(false);
    port.set(1, 3, 2, 2047);
    expect([port.signal(), port.signal()]).toEqual([true, false]);
    const signal = ['signal', { vp: 3, vtl: 1, sint: 2, flag: 2047 }];
    expect(partition.calls).toEqual([signal, signal]);
    partition.failing = refusal('HVCALL_SIGNAL_EVENT_DIRECT', 'HV_STATUS_INVALID_SYNIC_STATE');
    expect(() => port.signal()).toThrow(partition.failing);
    expect(errors).toEqual([]);
    port.interrupt().deliver();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_EVENT_REFUSED', cause: partition.failing }]);
    expect(() => {
      port.setTargetVp(4);
    }).toThrow(code('ERR_MSHV_NO_VP'));
  });

  it('has an event of the addon that the SynIC was given', () => {
    using host = new FakeHost();
    const synic = newSynic({ native: host.native });
    using port = synic.newGuestEventPort();
    host.native.record();
    expect(port.interrupt().event.pending).toBe(false);
    expect(host.native.count('eventfdCreate')).toBe(1);
  });
});

describe('options', () => {
  it('have failures that nobody listens to become one warning each', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const synic = new PartitionSynic(partition, { memory: new SmallMemory() });
    using port = synic.newGuestEventPort();
    port.set(0, 1, 2, 3);
    partition.failing = refusal('HVCALL_SIGNAL_EVENT_DIRECT', 'HV_STATUS_INVALID_SYNIC_STATE');
    port.interrupt().deliver();
    port.interrupt().deliver();
    void synic.postMessage(0, 1, 2, 1, payload);
    void synic.postMessage(0, 1, 3, 1, payload);
    const handleEvent = (): never => {
      throw new Error('no');
    };
    synic.portMap.addEventPort(1, 0, { handleEvent });
    synic.portMap.handleSignalEvent(0, 1, 0);
    synic.portMap.handleSignalEvent(0, 1, 0);
    expect(warn.mock.calls).toMatchObject([
      [{ code: 'ERR_MSHV_EVENT_REFUSED' }],
      [{ code: 'ERR_MSHV_MESSAGE_REFUSED' }],
      [{ code: 'ERR_MSHV_PORT_HANDLER' }],
    ]);
    warn.mockRestore();
  });
});

describe('reports', () => {
  /** Fails 100 times, each time something else. */
  function fail(synic: PartitionSynic): void {
    const handleEvent = (): never => {
      throw new Error('no');
    };
    for (let id = 0; id < 100; id++) {
      synic.portMap.addEventPort(id, 0, { handleEvent });
      synic.portMap.handleSignalEvent(0, id, 0);
    }
  }

  it('are counted together, of all that a SynIC has, and of no other', () => {
    partition.failing = refusal('HVCALL_SIGNAL_EVENT_DIRECT', 'HV_STATUS_INVALID_SYNIC_STATE');
    for (const synic of [newSynic(), newSynic()]) {
      errors = [];
      fail(synic);
      expect(errors).toHaveLength(64);
      using port = synic.newGuestEventPort();
      port.set(0, 1, 2, 3);
      port.interrupt().deliver();
      void synic.postMessage(0, 1, 2, 1, payload);
      expect(errors).toHaveLength(64);
    }
  });

  it('may be counted with those of others', () => {
    const reports = new FailureReports(onError);
    for (const synic of [0, 1].map(() => newSynic({ onError: reports }))) fail(synic);
    expect(errors).toHaveLength(64);
  });
});

describe('reset() and disposal', () => {
  it('forget messages and monitor pages, and keep the ports', async () => {
    const synic = newSynic({ messageBound: 1 });
    const pages = { childToParent: 0x5000n, parentToChild: 0n };
    const ports = new SynicPorts(synic);
    synic.attachVp(1);
    ports.addEventPort(1, 0, { handleEvent: () => undefined });
    ports.monitorSupport?.setMonitorPage(0, pages);
    partition.busy.add(2);
    void synic.postMessage(0, 1, 2, 1, payload);
    const waiting = synic.postMessage(0, 1, 2, 1, payload);
    // A message that was answered later, and not fetched.
    let handled = 0;
    ports.addMessagePort(2, 0, { handleMessage: () => Promise.resolve(handled++) });
    synic.portMap.handlePostMessage(0, 2, false, payload);
    await nextTurn();
    synic.reset();
    await expect(waiting).rejects.toThrow(code('ERR_MSHV_RESET'));
    expect(partition.registers.get('1.0')).toBe(0n);
    expect([synic.messages.size, synic.portMap.size]).toEqual([0, 2]);
    expect(synic.monitorSupport.monitorPage(0)).toBeUndefined();
    synic.portMap.handlePostMessage(0, 2, false, payload);
    expect(handled).toBe(2);
    // All of it goes on.
    ports.monitorSupport?.setMonitorPage(0, pages);
    void synic.postMessage(0, 1, 2, 1, payload);
    expect(partition.registers.get('1.0')).toBe(sintBit(2));
    synic[Symbol.dispose]();
    expect(partition.registers.get('1.0')).toBe(0n);
    expect([synic.messages.size, synic.monitorSupport.monitorPage(0)]).toEqual([0, undefined]);
    const calls = partition.calls.length;
    synic[Symbol.dispose]();
    expect(partition.calls).toHaveLength(calls);
    expect(() => synic.attachVp(2)).toThrow(code('ERR_MSHV_CLOSED'));
    expect(errors).toEqual([]);
  });
});
