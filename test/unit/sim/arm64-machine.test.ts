import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { arm64Registers } from '../../../lib/abi/arm64-registers.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import {
  EventFd,
  Mshv,
  PartitionSynic,
  SharedPartition,
  Vp,
  type Intercept,
  type InterruptRequest,
  type MsiRefusalCode,
  type Partition,
} from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { encodeMessage, Simulator, type ScriptedGuest } from '../../../lib/sim/index.js';

// A simulated machine of arm64, whatever this one is.

const page = 4096;
const native = simNative();

let simulator: Simulator;
let device: Mshv;
let partition: Partition;
let vp: Vp;
let guest: ScriptedGuest;

beforeEach(() => {
  simulator = new Simulator({ architecture: 'arm64', registerPage: true });
  device = simulator.open();
  partition = device.createPartition();
  partition.initialize();
  vp = partition.createVp(0);
  partition.createVp(1);
  guest = simulator.guest(partition, 0);
});
afterEach(() => {
  simulator.close();
});

function run<Type extends Intercept['type']>(type: Type): Extract<Intercept, { type: Type }> {
  const exit = vp.run();
  expect(exit?.type).toBe(type);
  return exit as Extract<Intercept, { type: Type }>;
}

describe('the architecture', () => {
  it('is that of the device, its partitions and their tokens', () => {
    expect([device.architecture, partition.architecture]).toEqual(['arm64', 'arm64']);
    using shared = SharedPartition.receive(partition.share(), { native });
    using own = Vp.receive(vp.share(), { native });
    expect([shared.architecture, own.partition.architecture]).toEqual(['arm64', 'arm64']);
    using again = Mshv.open({ path: simulator.path, native });
    expect(again.architecture).toBe('arm64');
  });

  it('is x64 unless another one is asked for, whatever this machine is', () => {
    using other = new Simulator();
    using x64 = other.open().createPartition();
    expect(x64.architecture).toBe('x64');
    const architecture = 'riscv64' as 'x64';
    expect(() => new Simulator({ architecture })).toThrow(
      'The "options.architecture" argument must be one of',
    );
  });

  it('keeps options of x64 away', () => {
    expect(() => device.createPartition({ disabledXsaveFeatures: 1 })).toThrow(
      '"options.disabledXsaveFeatures" argument must be absent on arm64, received 1n',
    );
    expect(() =>
      device.createPartition({ unimplementedMsrAction: 'ignore-write-read-zero' }),
    ).toThrow('"options.unimplementedMsrAction" argument must be absent on arm64');
    expect(() => partition.createVp(2, { apicId: 4 })).toThrow(TypeError);
    expect(vp.apicId).toBeUndefined();
    expect(vp.registerPage).toBeUndefined();
  });
});

describe('registers', () => {
  it('have the names and the codes of arm64', () => {
    vp.setRegisters({ X0: 1n, PC: 0x8000n, Q3: 2n ** 127n });
    expect(vp.getRegisters(['X0', 'PC', 'Q3', 'PSTATE'])).toEqual({
      X0: 1n,
      PC: 0x8000n,
      Q3: 2n ** 127n,
      PSTATE: 0x3c5n,
    });
    expect(partition.getRegisters(0, Uint32Array.of(arm64Registers.PC))[0]).toBe(0x8000n);
    expect(() => vp.getRegisters(['RBX'])).toThrow(
      '"names[0]" argument must be the name of a register of arm64, received',
    );
  });

  it('are no APIC ids, which begin with other numbers', () => {
    const id = x64Registers.INITIAL_APIC_ID;
    for (const index of [0, 1]) {
      partition.setRegisters(index, Uint32Array.of(id), BigUint64Array.of(7n, 0n));
    }
    expect(partition.getRegisters(1, Uint32Array.of(id))[0]).toBe(7n);
  });
});

describe('an MSI', () => {
  const frame = 0x0802_0040n;
  const signalled = (data: number, address = frame) => {
    using route = partition.irqfd.newRoute({ msi: { address, data } });
    route.event.signal();
    return simulator.interrupts(partition);
  };

  it('raises its INTID for nobody in particular, SGIs among them', () => {
    for (const vector of [0, 1, 15, 16, 32, 255]) {
      expect(signalled(vector)).toMatchObject([
        { vector, type: 0, destination: 0, vp: undefined, level: false, logical: false },
      ]);
    }
    // What x64 would take for logical, for a VP that there is none of, for no MSI at all.
    for (const address of [0xfee0_9004n, 0n, 0xffff_ffffn]) {
      expect(signalled(64, address)).toMatchObject([{ vector: 64, logical: false }]);
    }
  });

  it.each<[string, bigint, number, MsiRefusalCode, string]>([
    [
      'an INTID above 255',
      frame,
      256,
      'vector',
      'the data must be an MSI with an INTID from 0 to 255 for a route (requestMsi takes any), received 0x100 (INTID 256)',
    ],
    [
      'what x64 would take for lowest priority',
      frame,
      0x141,
      'vector',
      'the data must be an MSI with an INTID from 0 to 255 for a route (requestMsi takes any), received 0x141 (INTID 321)',
    ],
    [
      'an LPI',
      frame,
      8192,
      'vector',
      'the data must be an MSI with an INTID from 0 to 255 for a route (requestMsi takes any), received 0x2000 (INTID 8192)',
    ],
    [
      'an address with an upper half',
      2n ** 32n,
      64,
      'upper-half',
      'the address must be below 2^32 for a route (requestMsi takes any), received 0x100000000',
    ],
  ])('is refused for a route: %s', (_, address, data, code, reason) => {
    using route = partition.irqfd.newRoute();
    expect(route.trySetMsi(address, data)).toEqual({ live: false, code, reason });
    expect(() => {
      route.setMsi(address, data);
    }).toThrow(RangeError);
    partition.requestMsi(address, data);
    expect(partition.tryRequestMsi(address, data)).toEqual({ requested: true });
    expect(simulator.interrupts(partition)).toMatchObject([{ vector: data }, { vector: data }]);
  });

  it('is injected by hypercall, also where the hypervisor takes vectors from register pages', () => {
    using other = new Simulator({
      architecture: 'arm64',
      scheduler: 'root',
      fastInjection: true,
    });
    using machine = other.open().createPartition();
    machine.initialize();
    machine.createVp(0);
    machine.irqfd.newRoute({ msi: { address: 0xfee0_9000, data: 64 } }).event.signal();
    expect(other.interrupts(machine)).toMatchObject([{ vector: 64, fast: false }]);
    expect(other.oops).toBeUndefined();
  });

  it('is never resampled: nobody tells the driver of the end of an interrupt', () => {
    expect(() => partition.irqfd.newResampleRoute({ vector: 0x41 })).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_ARCHITECTURE',
        message:
          'cannot make a resample route: on arm64 nobody tells the driver that an interrupt has ended',
      }),
    );
    expect(partition.irqfd.gsisInUse).toBe(0);
    // The driver itself asks for no level-triggered route there (mshv_irqfd_assign).
    const event = native.eventfdCreate(0, false);
    expect(native.irqfd(partition.fd, event, event, 65, 2)).toBe(0);
    native.close(event);
  });
});

describe('an interrupt that is requested', () => {
  it('has any INTID, and a line', () => {
    partition.requestInterrupt({ vector: 0xffff_ffff, destination: 9 });
    partition.requestInterrupt({ vector: 40, asserted: false });
    partition.requestInterrupt({ vector: 3, asserted: true });
    expect(simulator.interrupts(partition).map(({ vector }) => vector)).toEqual([0xffff_ffff, 3]);
  });

  it.each<[InterruptRequest, string]>([
    [{ type: 'nmi', vector: 40 }, '"request.type"'],
    [{ vector: 40, level: true }, 'level'],
    [{ vector: 40, logical: true }, 'logical'],
  ])('is none of x64: %o', (request, message) => {
    expect(() => {
      partition.requestInterrupt(request);
    }).toThrow(message);
  });
});

describe('an exit', () => {
  it('for a write outside of memory has its syndrome, and is skipped', () => {
    vp.setRegisters({ PC: 0x1000n });
    guest.mmioWrite(0xf000_0008n, 4, 0x1234).mmioRead(0xf000_0010n, 8);
    const written = run('arm64-unmapped-gpa');
    expect(written).toMatchObject({
      vpIndex: 0,
      instructionLength: 4,
      access: 'write',
      cpl: 1,
      pc: 0x1000n,
      cpsr: 0x3c5n,
      gpa: 0xf000_0008n,
      gva: 0xf000_0008n,
    });
    // EC, IL, ISV, SAS, SRT, WnR.
    const { syndrome } = written;
    expect([
      syndrome >> 26n,
      (syndrome >> 25n) & 1n,
      (syndrome >> 24n) & 1n,
      (syndrome >> 22n) & 3n,
      (syndrome >> 16n) & 31n,
      (syndrome >> 6n) & 1n,
    ]).toEqual([0x24n, 1n, 1n, 2n, 0n, 1n]);
    expect(vp.getRegisters(['X0'])).toEqual({ X0: 0x1234n });
    // STR W0, [X1].
    expect([...written.instructionBytes]).toEqual([0x20, 0x00, 0x00, 0xb9]);
    vp.skipInstruction(written);
    const read = run('arm64-unmapped-gpa');
    expect(read).toMatchObject({ access: 'read', pc: 0x1004n, gpa: 0xf000_0010n });
    vp.skipInstruction(read.snapshot());
    expect(vp.getRegisters(['PC'])).toEqual({ PC: 0x1008n });
    expect(() => {
      vp.skipInstruction(read);
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }));
  });

  it('comes again until PC has moved on', () => {
    guest.mmioWrite(0xf000_0000n, 1, 1);
    run('arm64-unmapped-gpa');
    run('arm64-unmapped-gpa');
    expect(guest.pending).toBe(1);
  });

  it('is none for memory that the driver pages in, nor for a doorbell', () => {
    using memory = partition.allocateMemory(page);
    partition.mapMemory(memory, { gpa: 0x4000, writable: true });
    using event = EventFd.create({ native });
    using doorbell = partition.registerDoorbell({ gpa: 0xf000_0000, size: 4, event });
    guest.mmioWrite(0x4008, 8, 7).mmioRead(0x4008, 4).mmioWrite(0xf000_0000, 4, 1).reset('reboot');
    run('arm64-reset');
    expect(vp.getRegisters(['X0', 'PC'])).toEqual({ X0: 1n, PC: 12n });
    expect([...memory.read(8, 8)]).toEqual([7, 0, 0, 0, 0, 0, 0, 0]);
    expect(event.tryRead()).toBe(1n);
    expect(doorbell.closed).toBe(false);
  });

  it('for a write to memory that is not writable is one of the GPA', () => {
    using memory = partition.allocateMemory(page);
    partition.mapMemory(memory, { gpa: 0x4000, writable: false });
    guest.mmioWrite(0x4000, 2, 7);
    expect(run('arm64-gpa-intercept')).toMatchObject({ gpa: 0x4000n, isWrite: true });
  });

  it('for a reset has its type and reason, and comes once', () => {
    guest.reset('system-reset2', 5).reset('power-off');
    expect(run('arm64-reset')).toMatchObject({ resetType: 'system-reset2', resetCode: 5 });
    expect(run('arm64-reset')).toMatchObject({ resetType: 'power-off', resetCode: 0 });
  });

  it('of x64 is what nobody sends here', () => {
    const steps: ((from: ScriptedGuest) => unknown)[] = [
      (from) => from.out(0x80, 1, 1),
      (from) => from.in(0x80, 1),
      (from) => from.rdmsr(0x10),
      (from) => from.wrmsr(0x10, 1),
      (from) => from.cpuid(1),
      (from) => from.halt(),
      (from) => from.tripleFault(),
    ];
    for (const step of steps) {
      expect(() => step(guest)).toThrow(expect.objectContaining({ code: 'ERR_MSHV_ARCHITECTURE' }));
    }
    expect(guest.pending).toBe(0);
    using other = new Simulator();
    using x64 = other.open().createPartition();
    x64.initialize();
    x64.createVp(0);
    expect(() => other.guest(x64, 0).reset('reboot')).toThrow(
      'cannot queue steps of the guest: this is none of a guest of x64',
    );
    expect(native.simGuestSteps(x64.fd, 0, BigUint64Array.of(8n, 0n, 0n, 0n, 0n))).toBeLessThan(0);
  });
});

describe('a hypercall of the guest', () => {
  const input = [0x1111_2222_3333_4444n, 0x5555_6666_7777_8888n];

  it('is answered in X0, behind HVC', () => {
    partition.installIntercept({ type: 'hypercall' });
    vp.setRegisters({ PC: 0x2000n, X3: 3n, X16: 16n });
    guest.hypercall(0x0000_0005_0001_005dn, ...input);
    const exit = run('arm64-hypercall');
    expect(exit).toMatchObject({
      immediate: 1,
      hasControl: true,
      code: 0x5d,
      isFast: true,
      controlHigh: 5,
      control: 0x0000_0005_0001_005dn,
      inputGpa: input[0],
      outputGpa: input[1],
    });
    expect(exit.x).toHaveLength(18);
    const fast = new DataView(new ArrayBuffer(exit.fastInputSize));
    exit.copyFastInput(fast, 128);
    expect([0, 8, 16, 120].map((at) => fast.getBigUint64(at, true))).toEqual([...input, 3n, 16n]);
    vp.completeHypercall(exit, ({ code }) => ({ status: code, repsCompleted: 2 }));
    expect(vp.getRegisters(['X0', 'X1', 'PC'])).toEqual({
      X0: 0x2_0000_005dn,
      X1: input[0],
      PC: 0x2004n,
    });
  });

  it("has its words one register further in Arm's calling convention", () => {
    const x = [0x4600_0001n, 0x1_005dn, ...input, 4n];
    simulator.queueMessage(partition, 0, encodeMessage('arm64-hypercall', { immediate: 0, x }));
    const exit = run('arm64-hypercall');
    expect(exit).toMatchObject({
      hasControl: true,
      code: 0x5d,
      inputGpa: input[0],
      outputGpa: input[1],
    });
    const fast = new DataView(new ArrayBuffer(24));
    exit.copyFastInput(fast, 24);
    expect(fast.getBigUint64(16, true)).toBe(4n);
  });

  it('is refused by the hypervisor where nobody intercepts it', () => {
    guest.hypercall(0x1234).signalEvent(1).reset('reboot');
    run('arm64-reset');
    expect(vp.getRegisters(['X0', 'PC'])).toEqual({ X0: 0x12n, PC: 8n });
  });

  it.each([
    ['HVC #2', { immediate: 2, x: [0x1_005dn] }],
    ['a call to somebody else', { immediate: 0, x: [0x8400_0000n, 0x1_005dn] }],
    ['the same number as another kind of call', { immediate: 0, x: [0x1_4600_0001n, 0x1_005dn] }],
  ])('is left to the VMM where it has no control word: %s', (_, fields) => {
    using synic = new PartitionSynic(partition);
    simulator.queueMessage(partition, 0, encodeMessage('arm64-hypercall', fields));
    const exit = run('arm64-hypercall');
    expect(exit.hasControl).toBe(false);
    expect(synic.handleExit(vp, exit)).toBe(false);
  });
});

describe('the SynIC', () => {
  const [simp, siefp, inputGpa] = [0x10000, 0x11000, 0x5000];
  let synic: PartitionSynic;

  beforeEach(() => {
    const memory = partition.allocateMemory(page);
    partition.mapMemory(memory, { gpa: inputGpa, writable: true });
    synic = new PartitionSynic(partition);
    synic.installIntercepts();
  });
  afterEach(() => {
    synic.close();
  });

  /** Runs the guest to its reset, with what the SynIC answers. */
  const handle = (): string[] => {
    guest.reset('reboot');
    const types: string[] = [];
    for (;;) {
      const exit = vp.run();
      if (exit === undefined || exit.type === 'arm64-reset') return types;
      types.push(exit.type);
      expect(synic.handleExit(vp, exit)).toBe(true);
    }
  };

  it('gives posts and signals of the guest to the ports', () => {
    const messages: string[] = [];
    const flags: number[] = [];
    synic.portMap.addMessagePort(1, 0, {
      handleMessage: (payload) => {
        messages.push(Buffer.from(payload).toString());
        return true;
      },
    });
    synic.portMap.addEventPort(2, 0, {
      handleEvent: (flag) => {
        flags.push(flag);
      },
    });
    guest.postMessage(1, 7, Buffer.from('hello'), inputGpa);
    expect(handle()).toEqual(['arm64-hypercall']);
    expect(vp.getRegisters(['X0'])).toEqual({ X0: 0n });
    guest.signalEvent(2, 0);
    expect(handle()).toEqual(['arm64-hypercall']);
    expect([messages, flags]).toEqual([['hello'], [0]]);
    guest.signalEvent(3);
    handle();
    expect(vp.getRegisters(['X0'])).toEqual({ X0: 0x12n });
  });

  it('brings messages and events to the guest, and waits for a slot that is busy', () => {
    guest.enableSynic({ simp, siefp, sints: { 2: 18 } });
    handle();
    using attached = synic.attachVp(0);
    const port = synic.newGuestMessagePort(0, 0, 2);
    void port.post(1, Buffer.from('one'));
    void port.post(1, Buffer.from('two'));
    const slot = (): string =>
      Buffer.from(simulator.readMemory(partition, simp + 2 * 256 + 16, 3)).toString();
    expect(slot()).toBe('one');
    expect(simulator.interrupts(partition)).toMatchObject([{ vector: 18, vp: 0 }]);
    guest.takeMessage(simp, 2);
    expect(handle()).toEqual(['arm64-sint-deliverable']);
    expect(slot()).toBe('two');
    expect(simulator.interrupts(partition)).toMatchObject([{ vector: 18, vp: 0 }]);
    expect(partition.signalEventDirect({ vp: 0, sint: 2, flag: 9 })).toBe(true);
    expect([...simulator.readMemory(partition, siefp + 2 * 256 + 1, 1)]).toEqual([2]);
    expect(attached).toBeDefined();
  });
});
