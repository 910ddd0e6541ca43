import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { hypercalls } from '../../../lib/abi/hypercalls.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import {
  EventFd,
  FailureReports,
  GuestMemory,
  type HvStatusName,
  hvStatusCodes,
  type InterceptRequest,
  MshvError,
  PartitionSynic,
  type PartitionSynicOptions,
  type RetargetInterruptRequest,
  SynicPorts,
  type Vp,
} from '../../../lib/index.js';
import type { FakeVp } from '../../fake-vps.js';
import {
  hypercallMessage,
  postMessageInput,
  retargetInput,
  signalEventInput,
  SmallMemory,
  type HypercallInput,
} from '../../guest-hypercall.js';
import { openDescriptors } from '../../open-descriptors.js';
import { vpOf } from '../../vp-of.js';
import { FakeHost } from '../fake-host.js';

// What PartitionSynic joins: a partition with its VPs on one side, the ports on the other.

const { EIO, ENOMEM, ENOTSUP } = constants.errno;
const postMessage = 0x5c;
const signalEvent = 0x5d;
const retarget = 0x7e;
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

describe('on a host', () => {
  let host: FakeHost;
  let vp: Vp;
  let fake: FakeVp;
  let synic: PartitionSynic;
  let ports: SynicPorts;
  let memory: GuestMemory;

  /** The SynIC of the host's partition. */
  function create(options: PartitionSynicOptions = {}): void {
    synic = new PartitionSynic(host.partition, { native: host.native, onError, ...options });
    ports = new SynicPorts(synic);
  }

  beforeEach(() => {
    const before = openDescriptors();
    host = new FakeHost();
    vp = vpOf(host.partition, 0);
    fake = host.native.vps.of(vp.fd);
    memory = GuestMemory.allocate(0x8000, { native: host.native });
    host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000, size: 0x4000 });
    create();
    host.native.record();
    return () => {
      synic[Symbol.dispose]();
      host[Symbol.dispose]();
      memory.close();
      expect(openDescriptors()).toBe(before);
    };
  });

  describe('handleExit()', () => {
    let flags: number[];

    beforeEach(() => {
      flags = [];
      ports.addEventPort(3, 0, { handleEvent: (flag) => flags.push(flag) });
    });

    const signal = (flag: number, others: Partial<HypercallInput> = {}): Uint8Array =>
      hypercallMessage({
        code: signalEvent,
        fast: true,
        input: signalEventInput(3, flag),
        ...others,
      });

    /** Lets the VP stop with a message, and has the SynIC handle that. */
    function handle(message: Uint8Array): boolean {
      fake.queue(message);
      const exit = vp.run();
      if (exit === undefined) throw new Error('the VP was canceled');
      host.native.record();
      return synic.handleExit(vp, exit);
    }

    /** The registers that were written by hypercall, by name. */
    function written(): Record<string, bigint> {
      const calls = host.native.calls.filter(({ name }) => name === 'hypercall');
      return Object.fromEntries<bigint>(
        calls.flatMap(({ args }) => {
          const input = args[3] as Uint8Array;
          expect(args[1]).toBe(hypercalls.HVCALL_SET_VP_REGISTERS.code);
          const view = new DataView(input.buffer, input.byteOffset, input.length);
          return Array.from({ length: Number(args[2]) }, (_, rep) => {
            const register = view.getUint32(16 + 32 * rep, true);
            const found = Object.entries(x64Registers).find(([, number]) => number === register);
            return [found?.[0] ?? register, view.getBigUint64(32 + 32 * rep, true)] as const;
          });
        }),
      );
    }

    /** A message with other fields of the header. */
    function withHeader(
      message: Uint8Array,
      { rip = 0x1000n, length = 3, csAttributes = 0 },
    ): Uint8Array {
      const header = new DataView(message.buffer, message.byteOffset + 16);
      header.setUint8(4, length);
      header.setUint16(22, csAttributes, true);
      header.setBigUint64(24, rip, true);
      return message;
    }
    const longCode = 1 << 13;

    it('gives the guest the status in RAX, behind the instruction', () => {
      expect(handle(signal(5))).toBe(true);
      expect(flags).toEqual([5]);
      expect(written()).toEqual({ RAX: 0n, RIP: 0x1003n });
      expect(handle(signal(5, { input: signalEventInput(4, 5) }))).toBe(true);
      expect(written()).toEqual({
        RAX: BigInt(hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID),
        RIP: 0x1003n,
      });
    });

    it('gives a 32-bit guest the status in EDX:EAX', () => {
      expect(handle(signal(5, { bits: 32 }))).toBe(true);
      expect(flags).toEqual([5]);
      expect(written()).toEqual({ RAX: 0n, RDX: 0n, RIP: 0x1003n });
    });

    it.each([64, 32] as const)('says how many reps are done: %i bits', (bits) => {
      synic.hypercalls.add({
        code: 0x1234,
        name: 'HvMine',
        inputSize: 0,
        repInputSize: 0,
        handle: (call) => {
          call.repsCompleted = 2;
          return 0x79;
        },
      });
      expect(handle(hypercallMessage({ code: 0x1234, fast: true, repCount: 5, bits }))).toBe(true);
      expect(written()).toEqual({
        ...(bits === 64 ? { RAX: (2n << 32n) | 0x79n } : { RAX: 0x79n, RDX: 2n }),
        RIP: 0x1003n,
      });
    });

    it.each([
      ['64-bit code', 64, longCode, 2n ** 64n - 2n, 1n],
      ['64-bit code above 4 GiB', 64, longCode, 0xffff_fffen, 0x1_0000_0001n],
      ['compatibility mode', 64, 0, 0xffff_fffen, 1n],
      ['a 32-bit guest', 32, 0, 0xffff_fffen, 1n],
    ] as const)('moves RIP on as an instruction of %s does', (_, bits, csAttributes, rip, next) => {
      handle(withHeader(signal(5, { bits }), { rip, csAttributes }));
      expect(written()['RIP']).toBe(next);
      // Compatibility mode is long mode: the 64-bit convention.
      expect('RDX' in written()).toBe(bits === 32);
      expect(flags).toEqual([5]);
    });

    it.each([
      [0, 0x1003n],
      [4, 0x1004n],
    ])('moves RIP by what the hypervisor says, or 3: %i', (length, next) => {
      handle(withHeader(signal(5), { length }));
      expect(written()['RIP']).toBe(next);
    });

    it('writes the register page where it is valid', () => {
      fake.pages[0]?.set([1], registerPageLayout.isValid);
      expect(handle(signal(5))).toBe(true);
      expect(host.native.count('hypercall')).toBe(0);
      expect([vp.registerPage?.rip, vp.registerPage?.get('RAX')]).toEqual([0x1003n, 0n]);
    });

    it('reads slow input from what is mapped', () => {
      const messages: unknown[][] = [];
      ports.addMessagePort(2, 0, {
        handleMessage: (message, secure, type) => messages.push([[...message], secure, type]),
      });
      memory.write(0x1800, postMessageInput(2, payload, { type: 9 }));
      handle(hypercallMessage({ code: postMessage, input: 0x1_0800n, bits: 64 }));
      expect(messages).toEqual([[[1, 2, 3], false, 9]]);
      expect(written()['RAX']).toBe(0n);
      handle(hypercallMessage({ code: postMessage, input: 0x2_0800n, bits: 64 }));
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_INVALID_ALIGNMENT));
      expect(messages).toHaveLength(1);
    });

    it('reads slow input from the memory that it was given', () => {
      const other = new SmallMemory();
      synic[Symbol.dispose]();
      create({ memory: other });
      ports.addEventPort(3, 0, { handleEvent: (flag) => flags.push(flag) });
      other.bytes.set(signalEventInput(3, 9), 0x800);
      handle(hypercallMessage({ code: signalEvent, input: 0x800n, bits: 64 }));
      expect([flags, other.reads]).toEqual([[9], 1]);
    });

    it('gives the VTL of the caller', () => {
      ports.addEventPort(4, 2, { handleEvent: (flag) => flags.push(flag) });
      const input = signalEventInput(4, 1);
      handle(signal(1, { input, vtl: 1 }));
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_OPERATION_DENIED));
      handle(signal(1, { input, vtl: 2 }));
      expect([written()['RAX'], flags]).toEqual([0n, [1]]);
    });

    it('has devices’ interrupts retargeted by the handler', () => {
      const requests: RetargetInterruptRequest[] = [];
      synic[Symbol.dispose]();
      create({
        retargetDeviceInterrupt: (request) => {
          requests.push(request);
          return hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID;
        },
      });
      handle(
        hypercallMessage({
          code: retarget,
          fast: true,
          input: retargetInput({ maskOrFormat: 0b1010n }),
        }),
      );
      expect(requests).toMatchObject([{ vector: 0x51, processors: [1, 3] }]);
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID));
    });

    it('reports a handler that throws; the guest gets a status and goes on', async () => {
      const cause = new Error('no');
      ports.addEventPort(4, 0, {
        handleEvent: () => {
          throw cause;
        },
      });
      fake.queue(
        signal(1, { input: signalEventInput(4, 1) }),
        signal(2),
        encodeMessage('halt', { vpIndex: 0 }),
      );
      const statuses: (bigint | undefined)[] = [];
      const run = vp.start((exit) => {
        host.native.record();
        if (!synic.handleExit(vp, exit)) return 'stop';
        statuses.push(written()['RAX']);
        return undefined;
      });
      expect(await run.finished).toBe('stopped');
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
      expect(statuses).toEqual([BigInt(hvStatusCodes.HV_STATUS_OPERATION_FAILED), 0n]);
      expect(flags).toEqual([2]);
    });

    it('reports a hypercall of the VMM’s that throws', () => {
      const cause = new Error('no');
      const throwing = (): never => {
        throw cause;
      };
      synic.hypercalls.add({ code: 0x1234, name: 'HvMine', inputSize: 0, handle: throwing });
      expect(handle(hypercallMessage({ code: 0x1234, fast: true }))).toBe(true);
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER', cause }]);
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_OPERATION_FAILED));
    });

    it('completes the hypercall of a handler that stops the run: it is not made again', async () => {
      ports.addEventPort(4, 0, {
        handleEvent: (flag) => {
          flags.push(flag);
          run.stop();
        },
      });
      fake.queue(signal(1, { input: signalEventInput(4, 1) }), signal(2));
      const run = vp.start((exit) => {
        host.native.record();
        expect(synic.handleExit(vp, exit)).toBe(true);
      });
      expect(await run.finished).toBe('stopped');
      expect(written()).toEqual({ RAX: 0n, RIP: 0x1003n });
      expect([errors, flags]).toEqual([[], [1]]);
    });

    it.each<[string, () => void]>([
      [
        'the VP',
        () => {
          vp.close();
        },
      ],
      [
        'the partition',
        () => {
          host.partition.close();
        },
      ],
    ])('completes nothing where a handler closes %s', async (_, close) => {
      ports.addEventPort(4, 0, { handleEvent: close });
      fake.queue(signal(1, { input: signalEventInput(4, 1) }), signal(2));
      const run = vp.start((exit) => {
        host.native.record();
        expect(synic.handleExit(vp, exit)).toBe(true);
      });
      expect(await run.finished).toBe('closed');
      await nextTurn();
      expect(host.native.count('hypercall')).toBe(0);
      expect([errors, flags]).toEqual([[], []]);
    });

    it('refuses an exit that the VP did not stop with before anything is dispatched', () => {
      fake.queue(signal(1), signal(2), signal(3));
      const first = vp.run()?.snapshot();
      if (first === undefined) throw new Error('no exit');
      expect(synic.handleExit(vp, first)).toBe(true);
      const stale = (): unknown => synic.handleExit(vp, first);
      expect(stale).toThrow(code('ERR_MSHV_STALE_EXIT'));
      vp.run();
      expect(stale).toThrow(code('ERR_MSHV_STALE_EXIT'));
      const other = vpOf(host.partition, 1);
      expect(() => synic.handleExit(other, first)).toThrow(code('ERR_MSHV_STALE_EXIT'));
      vp.close();
      expect(stale).toThrow(code('ERR_MSHV_CLOSED'));
      expect(flags).toEqual([1]);
    });

    it('throws what the completion is refused with, and can be tried again', () => {
      fake.queue(signal(1));
      const exit = vp.run();
      if (exit === undefined) throw new Error('no exit');
      host.native.hypervisor = () => ({ status: hvStatusCodes.HV_STATUS_INVALID_VP_STATE });
      expect(() => synic.handleExit(vp, exit)).toThrow(
        expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }),
      );
      host.native.hypervisor = () => undefined;
      expect(synic.handleExit(vp, exit)).toBe(true);
      // The guest's hypercall is made anew each time.
      expect(flags).toEqual([1, 1]);
    });

    it('delivers to the SINTs that are free, of the VTL and the VP that the exit names', () => {
      const posts = (): number =>
        host.native.calls.filter(
          ({ args }) => args[1] === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code,
        ).length;
      host.native.hypervisor = ({ code: called }) =>
        called === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code
          ? { status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE }
          : undefined;
      synic.attachVp(1);
      void synic.postMessage(1, 1, 2, 1, payload);
      void synic.postMessage(1, 1, 3, 1, payload);
      host.native.hypervisor = () => undefined;
      const free = { vpIndex: 1, vtl: 1, deliverableSints: 1 << 2 };
      expect(handle(encodeMessage('sint-deliverable', { ...free, vpIndex: 2 }))).toBe(true);
      expect(handle(encodeMessage('sint-deliverable', { ...free, vtl: 0 }))).toBe(true);
      expect([posts(), synic.messages.size]).toEqual([0, 2]);
      expect(handle(encodeMessage('sint-deliverable', free))).toBe(true);
      expect([posts(), synic.messages.size]).toEqual([1, 1]);
    });

    it.each(['halt', 'io-port', 'msr', 'apic-eoi', 'sint-intercept'] as const)(
      'leaves a %s alone',
      (kind) => {
        expect(handle(encodeMessage(kind, {}))).toBe(false);
        expect(host.native.calls).toEqual([]);
      },
    );

    it('leaves a message that nobody knows alone', () => {
      const message = encodeMessage('halt', {});
      new DataView(message.buffer, message.byteOffset).setUint32(0, 0x8000_ffff, true);
      expect(handle(message)).toBe(false);
    });
  });

  describe('an event port with an OS event', () => {
    let event: EventFd;
    const place = { gpa: 0xd000_0000n, size: 4, match: 7 } as const;
    const asked: [number, number][] = [];

    beforeEach(() => {
      asked.length = 0;
      event = EventFd.create({ native: host.native });
      synic[Symbol.dispose]();
      create({
        hostEventDoorbell: (connectionId, minimumVtl) => {
          asked.push([connectionId, minimumVtl]);
          return connectionId === 9 ? undefined : place;
        },
      });
      return () => {
        event.close();
      };
    });

    /** What a port could have left behind. */
    const left = () => ({
      ports: synic.portMap.size,
      doorbells: host.partition.doorbells.length,
      driver: host.driver.doorbells.all.length,
      monitors: inspect(synic.monitorSupport),
      descriptors: openDescriptors(),
    });

    it('has it bound to a doorbell where there is one', () => {
      expect(ports.preferOsEvents).toBe(true);
      const before = left();
      const port = ports.addEventPort(3, 2, { osEvent: event });
      expect(asked).toEqual([[3, 2]]);
      expect(host.driver.doorbells.all).toMatchObject([{ gpa: place.gpa, size: 4, match: 7n }]);
      host.partition.doorbells[0]?.event.signal();
      expect(event.tryRead()).toBe(1n);
      // The guest may call the hypervisor all the same.
      expect(synic.portMap.handleSignalEvent(2, 3, 0)).toBe(0);
      expect(event.tryRead()).toBe(1n);
      port[Symbol.dispose]();
      port[Symbol.dispose]();
      expect(left()).toEqual(before);
      expect(event.closed).toBe(false);
    });

    it('has it signalled by the dispatcher where there is none', () => {
      ports.addEventPort(9, 0, { osEvent: event });
      expect(asked).toEqual([[9, 0]]);
      expect(host.partition.doorbells).toEqual([]);
      expect(synic.portMap.handleSignalEvent(0, 9, 0)).toBe(0);
      expect(event.tryRead()).toBe(1n);
    });

    it('has it signalled by the dispatcher where nobody knows of doorbells', () => {
      create();
      expect(ports.preferOsEvents).toBe(false);
      ports.addEventPort(3, 0, { osEvent: event });
      expect(synic.newHostEventPort(3, 0, event)).toBeUndefined();
      expect(host.partition.doorbells).toEqual([]);
      synic.portMap.handleSignalEvent(0, 3, 0);
      expect(event.tryRead()).toBe(1n);
    });

    it('has no doorbell where it has no OS event', () => {
      ports.addEventPort(3, 0, { handleEvent: () => undefined });
      expect(asked).toEqual([]);
    });

    it.each<[string, string, () => void]>([
      [
        'the connection id is in use',
        'ERR_MSHV_CONNECTION_ID_IN_USE',
        () => {
          ports.addEventPort(3, 0, { handleEvent: () => undefined });
        },
      ],
      [
        'the doorbell is in use',
        'ERR_MSHV_DOORBELL_IN_USE',
        () => {
          host.partition.registerDoorbell(place);
        },
      ],
      [
        'the monitor id is in use',
        'ERR_MSHV_MONITOR_ID_IN_USE',
        () => {
          synic.monitorSupport.registerMonitor(5, 8, 0);
        },
      ],
      [
        'the driver refuses',
        'EIO',
        () => {
          host.native.record((name) => (name === 'ioeventfd' ? EIO : undefined));
        },
      ],
      [
        'the event is closed',
        'ERR_MSHV_CLOSED',
        () => {
          event.close();
        },
      ],
      [
        'the event is of another addon',
        'ERR_INVALID_ARG_TYPE',
        () => {
          event.close();
          event = EventFd.create();
        },
      ],
      [
        'the partition is closed',
        'ERR_MSHV_CLOSED',
        () => {
          host.partition.close();
        },
      ],
    ])('leaves nothing behind where %s', (_, error, prepare) => {
      prepare();
      const before = left();
      const add = (): unknown =>
        ports.addEventPort(3, 0, { osEvent: event }, { monitorId: 5, latency: 100 });
      expect(add).toThrow(code(error));
      expect(left()).toEqual(before);
      expect(asked).toHaveLength(error === 'ERR_MSHV_CONNECTION_ID_IN_USE' ? 0 : 1);
    });

    it.each([
      ['no object', null, 'ERR_INVALID_ARG_TYPE'],
      ['something else', { ...place, event: 1 }, 'ERR_INVALID_ARG_VALUE'],
      ['no address', {}, 'ERR_INVALID_ARG_TYPE'],
    ])('leaves nothing behind where it gets %s for a place', (_, wrong, error) => {
      create({ hostEventDoorbell: () => wrong as typeof place });
      const before = left();
      expect(() => ports.addEventPort(3, 0, { osEvent: event })).toThrow(code(error));
      expect(left()).toEqual(before);
    });

    it('leaves nothing behind where nobody can say where', () => {
      const failed = new Error('no');
      create({
        hostEventDoorbell: () => {
          throw failed;
        },
      });
      const before = left();
      expect(() => ports.addEventPort(3, 0, { osEvent: event })).toThrow(failed);
      expect(left()).toEqual(before);
    });

    it('can be disposed of after the partition is closed', () => {
      const handles = [
        ports.addEventPort(3, 0, { osEvent: event }, { monitorId: 5, latency: 100 }),
        ports.addMessagePort(4, 0, { handleMessage: () => undefined }),
        ports.newGuestMessagePort(0, 0, 2),
        ports.newGuestEventPort(1, 0, 0, 2, 3),
        synic.attachVp(1),
        synic,
      ];
      // A message that waits: taking back the request for its notification is refused.
      host.native.hypervisor = ({ code: called }) =>
        called === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code
          ? { status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE }
          : undefined;
      void ports.postMessage(0, 1, 2, 1, payload);
      void synic.attachVp(0);
      void ports.postMessage(0, 0, 2, 1, payload);
      host.partition.close();
      for (const handle of [...handles, ...handles]) handle[Symbol.dispose]();
      expect(left()).toMatchObject({
        ports: 0,
        monitors: 'PolledMonitorPages { monitors: 0, pages: 0 }',
      });
      expect([synic.messages.size, errors]).toEqual([0, []]);
    });
  });

  describe('its monitor pages', () => {
    const pageAt = 0x1_1000n;
    let signalled: number;

    /** The bytes of that page in the memory that is mapped at 0x10000 from 0x1000 on. */
    const inMemory = 0x2000;

    beforeEach(() => {
      signalled = 0;
      vi.useFakeTimers();
      return () => {
        vi.useRealTimers();
      };
    });

    function monitor(latency: number): void {
      const handleEvent = () => signalled++;
      ports.addEventPort(5, 0, { handleEvent }, { monitorId: 33, latency });
    }

    /** Sets monitor id 33, and enables its group. */
    function trigger(offset = inMemory): void {
      memory.write(offset, Uint8Array.of(0b0010));
      memory.write(offset + 16, Uint8Array.of(0b10));
    }
    const isSet = (): boolean => memory.read(inMemory + 16, 1)[0] === 0b10;

    const set = (gpa: bigint | undefined): void => {
      synic.monitorSupport.setMonitorPage(0, gpa);
    };

    it('are polled where they are mapped', () => {
      monitor(50_000);
      set(pageAt);
      trigger();
      vi.advanceTimersByTime(2);
      expect([signalled, isSet()]).toEqual([1, false]);
      trigger();
      vi.advanceTimersByTime(3);
      expect([signalled, isSet()]).toEqual([1, true]);
      vi.advanceTimersByTime(3);
      expect([signalled, isSet()]).toEqual([2, false]);
    });

    it('are polled where the runtime has no buffer over the memory', () => {
      vi.spyOn(host.native, 'memoryBuffer').mockReturnValue(-ENOTSUP);
      monitor(0);
      set(pageAt);
      memory.write(inMemory + 16, Uint8Array.of(0b110));
      vi.advanceTimersByTime(2);
      // The host has enabled the group, and left another's trigger alone.
      expect([...memory.read(inMemory, 1), ...memory.read(inMemory + 16, 1)]).toEqual([
        0b10, 0b100,
      ]);
      expect([signalled, errors]).toEqual([1, []]);
      memory.close();
      vi.advanceTimersByTime(5);
      expect([signalled, errors, vi.getTimerCount()]).toEqual([1, [], 0]);
    });

    it('are polled in memory that is mapped in place of other', () => {
      monitor(0);
      set(pageAt);
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      host.partition.mapMemory(memory, { gpa: pageAt, offset: 0x6000, size: 0x1000 });
      trigger(0x6000);
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
    });

    it.each<[string, () => void]>([
      [
        'nothing is mapped there',
        () => {
          host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
        },
      ],
      [
        'the guest’s writes are trapped',
        () => {
          host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
          host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000, writable: false });
        },
      ],
      [
        'their memory is closed',
        () => {
          memory.close();
        },
      ],
      [
        'the partition is closed',
        () => {
          host.partition.close();
        },
      ],
    ])('are not polled where %s', (_, prepare) => {
      trigger();
      prepare();
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(10);
      expect(signalled).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
      // Which is for whoever traps them.
      expect(synic.monitorSupport.handleWrite(pageAt + 16n, Uint8Array.of(2))).toBe(true);
      expect(signalled).toBe(1);
    });

    it('are polled no more where their memory is closed meanwhile', () => {
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(1);
      memory.close();
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      expect(errors).toEqual([]);
    });

    it('are polled no further where a handler closes their memory', () => {
      monitor(0);
      let handled = 0;
      for (const [id, connection] of [
        [1, 0x51],
        [2, 0x52],
      ] as const) {
        new SynicPorts(synic).addEventPort(
          connection,
          0,
          {
            handleEvent: () => {
              handled++;
              memory.close();
            },
          },
          { monitorId: id, latency: 0 },
        );
      }
      set(pageAt);
      const words = Uint32Array.of(0xf, 0, 0b110, 0);
      memory.write(inMemory, new Uint8Array(words.buffer));
      vi.advanceTimersByTime(5);
      expect([handled, errors, vi.getTimerCount()]).toEqual([1, [], 0]);
    });

    it('are polled as soon as their memory is mapped, whatever is mapped before and after', () => {
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      const elsewhere = host.partition.mapMemory(memory, { gpa: 0x9_0000 });
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      trigger();
      const again = host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000 });
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
      elsewhere.unmap();
      again.unmap();
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      synic[Symbol.dispose]();
      host.partition.mapMemory(memory, { gpa: 0x1_0000 });
      expect(vi.getTimerCount()).toBe(0);
    });

    it('are enabled by the host, for a guest that never does', () => {
      monitor(0);
      set(pageAt);
      memory.write(inMemory + 16, Uint8Array.of(0b10));
      vi.advanceTimersByTime(5);
      expect([signalled, ...memory.read(inMemory, 4)]).toEqual([1, 0b10, 0, 0, 0]);
    });

    it('are reported, not fatal, where memory that came later cannot be looked at', () => {
      monitor(0);
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      set(pageAt);
      host.partition.mapMemory(memory, { gpa: 0x1_0000 });
      host.native.record((name) => (name === 'memoryBuffer' ? ENOMEM : undefined));
      vi.advanceTimersByTime(5);
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_MONITOR_PAGE', cause: { code: 'ENOMEM' } }]);
      // It may be there in a second.
      expect(vi.getTimerCount()).toBe(1);
    });

    it('come from a pool, zeroed, and go back there', () => {
      create({ monitorPages: [0x9_0000n, pageAt, 0x1_2000n] });
      monitor(0);
      memory.fill(0xff);
      const allocate = (vtl: number): unknown => ports.monitorSupport?.allocateMonitorPage(vtl);
      // The first one is not mapped.
      expect(allocate(0)).toEqual({ parentToChild: 0n, childToParent: pageAt });
      expect(memory.read(0x2000, 4096).every((byte) => byte === 0)).toBe(true);
      expect([memory.read(0x1fff, 1)[0], memory.read(0x3000, 1)[0]]).toEqual([0xff, 0xff]);
      expect(allocate(1)).toEqual({ parentToChild: 0n, childToParent: 0x1_2000n });
      expect(allocate(2)).toBeUndefined();
      trigger();
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
      set(undefined);
      expect(allocate(2)).toEqual({ parentToChild: 0n, childToParent: pageAt });
      synic.reset();
      expect([allocate(0), allocate(1), allocate(2)]).toMatchObject([
        { childToParent: 0x1_2000n },
        { childToParent: pageAt },
        undefined,
      ]);
      host.partition.close();
      set(undefined);
      expect(() => allocate(0)).toThrow(code('ERR_MSHV_CLOSED'));
    });

    it('are none where there is no pool', () => {
      expect(ports.monitorSupport?.allocateMonitorPage(0)).toBeUndefined();
    });

    it.each(['reset', Symbol.dispose] as const)('are polled no more after %s', (method) => {
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      synic[method]();
      expect(vi.getTimerCount()).toBe(0);
      trigger();
      vi.advanceTimersByTime(5);
      expect(signalled).toBe(0);
    });
  });
});
