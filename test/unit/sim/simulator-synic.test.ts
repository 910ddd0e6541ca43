import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { x64Registers } from '../../../lib/abi/x64-registers.js';
import {
  GuestMemory,
  type HypercallIntercept,
  type Intercept,
  type InterceptType,
  type Partition,
  type Vp,
} from '../../../lib/index.js';
import {
  type GuestInterrupt,
  type ScriptedGuest,
  Simulator,
  type SimulatorOptions,
  synicMsrs,
} from '../../../lib/sim/index.js';
import { simulatedMachine } from '../../simulated-machine.js';

// The SynIC of the simulator's VPs, from both sides: what the VMM posts, signals and is told, and what
// the guest sees and does.

const simp = 0x10_0000n;
const siefp = 0x10_1000n;
const memoryGpa = 0x20_0000n;
const masked = 0x1_0000n;
const polling = 0x4_0000n;
const slotOf = (sint: number): bigint => simp + BigInt(256 * sint);

let simulator: Simulator;
let partition: Partition;
let vp: Vp;
let guest: ScriptedGuest;

function start(options?: SimulatorOptions): void {
  ({ simulator, partition, vp, guest } = simulatedMachine(2, options));
}

beforeEach(() => {
  start();
});
afterEach(() => {
  simulator.close();
});

/** Writes registers through the partition, which waits for no run. */
function set(values: Partial<Record<keyof typeof x64Registers, bigint>>, index = 0): void {
  for (const [name, value] of Object.entries(values)) {
    const code = x64Registers[name as keyof typeof x64Registers];
    partition.setRegisters(index, Uint32Array.of(code), BigUint64Array.of(value, 0n));
  }
}

function get(name: keyof typeof x64Registers, index = 0): bigint {
  return partition.getRegisters(index, Uint32Array.of(x64Registers[name]))[0] ?? -1n;
}

/** Enables the SynIC as a VMM does that restores it. */
function enable(index = 0): void {
  set({ SCONTROL: 1n, SIMP: simp | 1n, SIEFP: siefp | 1n }, index);
}

const post = (sint: number, type = 1, index = 0): void => {
  partition.postMessageDirect({ vp: index, sint, type });
};
const signal = (sint: number, flag: number, index = 0): boolean =>
  partition.signalEventDirect({ vp: index, sint, flag });

/** What was asserted since the last call. */
const vectors = (): unknown[] =>
  simulator.interrupts(partition).map(({ vector, destination }) => [vector, destination]);

const read = (gpa: bigint, length: number): Uint8Array =>
  simulator.readMemory(partition, gpa, length);
const typeAt = (sint: number): number =>
  new DataView(read(slotOf(sint), 4).buffer).getUint32(0, true);

const refusal = (name: string) =>
  expect.objectContaining({ code: expect.any(String) as string, hvStatus: named(name) }) as Error;
const named = (name: string) => expect.objectContaining({ name }) as object;
const code = (expected: string) => expect.objectContaining({ code: expected }) as Error;

type Exit<Type extends InterceptType> = Extract<Intercept, { type: Type }>;

/** Runs the VP, which has to exit with this. */
function exit<Type extends InterceptType>(type: Type): Exit<Type> {
  const intercept = vp.run();
  expect(intercept?.type).toBe(type);
  return intercept as Exit<Type>;
}

/** A hypercall as the hypervisor gets it, with anything in its fields. */
function call(
  name: 'HVCALL_POST_MESSAGE_DIRECT' | 'HVCALL_SIGNAL_EVENT_DIRECT',
  fields: { vp?: number; sint?: number; flag?: number; message?: Uint8Array },
): void {
  const { vp = 0, sint = 0, flag = 0, message = Uint8Array.of(1) } = fields;
  const posts = name === 'HVCALL_POST_MESSAGE_DIRECT';
  const input = new Uint8Array(posts ? 280 : 16);
  const view = new DataView(input.buffer);
  view.setUint32(8, vp, true);
  if (posts) {
    view.setUint32(16, sint, true);
    input.set(message, 20);
  } else {
    view.setUint8(13, sint);
    view.setUint16(14, flag, true);
  }
  partition.hypercall({ code: name, input });
}

describe('the registers', () => {
  it('are those of a VP after reset', () => {
    expect(get('SINT0')).toBe(masked);
    expect(get('SINT15', 1)).toBe(masked);
    expect(get('SVERSION')).toBe(1n);
    for (const name of ['SCONTROL', 'SIMP', 'SIEFP', 'EOM'] as const) {
      expect(get(name)).toBe(0n);
    }
  });

  it('hold what the VMM writes, but for version and EOM', () => {
    const all = { SCONTROL: 1n, SIMP: simp | 1n, SIEFP: siefp | 1n, SINT2: 0x52n, SINT15: masked };
    set({ ...all, SVERSION: 9n, EOM: 7n });
    for (const [name, value] of Object.entries(all)) {
      expect(get(name as keyof typeof all)).toBe(value);
    }
    expect(get('SVERSION')).toBe(1n);
    expect(get('EOM')).toBe(0n);
    expect(get('SIMP', 1)).toBe(0n);
  });
});

describe('a message', () => {
  beforeEach(() => {
    enable();
    set({ SINT2: 0x52n, SINT15: 0xffn });
  });

  it('is in its slot as it was posted, and its SINT is raised', () => {
    const message = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
    call('HVCALL_POST_MESSAGE_DIRECT', { sint: 2, message });
    // Byte 5, the flags: the hypervisor's own one is cleared.
    expect(message[5]).toBe(250);
    expect(read(slotOf(2), 256)).toEqual(message);
    call('HVCALL_POST_MESSAGE_DIRECT', { sint: 15, message: message.fill(0xff, 5, 6) });
    expect(read(slotOf(15) + 5n, 1)).toEqual(Uint8Array.of(0xfe));
    expect(simulator.interrupts(partition)).toEqual([
      expect.objectContaining<Partial<GuestInterrupt>>({
        vector: 0x52,
        destination: 0,
        type: 0,
        level: false,
        logical: false,
        fast: false,
      }),
      expect.objectContaining({ vector: 0xff }),
    ]);
  });

  it('of another VP is in that VP’s slot, and raised there', () => {
    const other = 0x30_0000n;
    set({ SCONTROL: 1n, SIMP: other | 1n, SINT2: 0x62n }, 1);
    partition.postMessageDirect({ vp: 1, sint: 2, type: 7, payload: Uint8Array.of(1, 2, 3) });
    expect(read(other + 512n, 20)).toEqual(
      Uint8Array.of(7, 0, 0, 0, 3, ...new Uint8Array(11), 1, 2, 3, 0),
    );
    expect(typeAt(2)).toBe(0);
    expect(vectors()).toEqual([[0x62, 1]]);
  });

  it('for a busy slot is refused, and says that one is pending', () => {
    post(2, 5);
    expect(read(slotOf(2) + 5n, 1)).toEqual(Uint8Array.of(0));
    expect(() => {
      post(2, 6);
    }).toThrow(refusal('HV_STATUS_OBJECT_IN_USE'));
    expect(typeAt(2)).toBe(5);
    expect(read(slotOf(2) + 5n, 1)).toEqual(Uint8Array.of(1));
    expect(vectors()).toEqual([[0x52, 0]]);
    // The other slots are free.
    post(3);
    simulator.writeMemory(partition, slotOf(2), new Uint8Array(4));
    post(2, 6);
    expect(typeAt(2)).toBe(6);
    expect(read(slotOf(2) + 5n, 1)).toEqual(Uint8Array.of(0));
    expect(vectors()).toEqual([[0x52, 0]]);
  });

  it.each<[string, Parameters<typeof set>[0]]>([
    ['the SynIC', { SCONTROL: 0n }],
    ['the message page', { SIMP: simp }],
  ])('is refused while %s is disabled', (_, values) => {
    set(values);
    expect(() => {
      post(2);
    }).toThrow(refusal('HV_STATUS_INVALID_SYNIC_STATE'));
    enable();
    expect(typeAt(2)).toBe(0);
    set({ SIEFP: 0n });
    post(2);
  });

  it('is refused by VP, then SINT, then state', () => {
    const posts = (fields: { vp?: number; sint?: number }) => () => {
      call('HVCALL_POST_MESSAGE_DIRECT', fields);
    };
    set({ SCONTROL: 0n });
    expect(posts({ vp: 2, sint: 16 })).toThrow(refusal('HV_STATUS_INVALID_VP_INDEX'));
    expect(posts({ sint: 16 })).toThrow(refusal('HV_STATUS_INVALID_PARAMETER'));
    expect(posts({ sint: 15 })).toThrow(refusal('HV_STATUS_INVALID_SYNIC_STATE'));
    expect(vectors()).toEqual([]);
  });

  it.each([
    ['masked', masked | 0x52n],
    ['polled', polling | 0x52n],
    ['without a vector that there is', 0xfn],
  ])('raises nothing where its SINT is %s', (_, sint) => {
    set({ SINT2: sint });
    post(2);
    expect(signal(2, 0)).toBe(true);
    expect(typeAt(2)).toBe(1);
    expect(vectors()).toEqual([]);
  });

  it('raises its SINT with automatic end of interrupt, too', () => {
    set({ SINT2: 0x2_0010n });
    post(2);
    expect(vectors()).toEqual([[0x10, 0]]);
  });
});

describe('an event', () => {
  beforeEach(() => {
    enable();
    set({ SINT3: 0x53n });
  });

  it('is new where its flag was clear, and raised then only', () => {
    expect(signal(3, 9)).toBe(true);
    expect(signal(3, 9)).toBe(false);
    expect(signal(3, 2047)).toBe(true);
    expect(signal(15, 0)).toBe(true);
    const flags = read(siefp + 768n, 256);
    expect([flags[1], flags[255], flags.filter((byte) => byte !== 0).length]).toEqual([2, 0x80, 2]);
    expect(read(siefp + 15n * 256n, 1)).toEqual(Uint8Array.of(1));
    simulator.writeMemory(partition, siefp + 768n + 1n, Uint8Array.of(0));
    expect(signal(3, 9)).toBe(true);
    expect(vectors()).toEqual([
      [0x53, 0],
      [0x53, 0],
      [0x53, 0],
    ]);
  });

  it.each<[string, Parameters<typeof set>[0]]>([
    ['the SynIC', { SCONTROL: 0n }],
    ['the page of event flags', { SIEFP: siefp }],
  ])('is refused while %s is disabled', (_, values) => {
    set(values);
    expect(() => signal(3, 9)).toThrow(refusal('HV_STATUS_INVALID_SYNIC_STATE'));
    enable();
    set({ SIMP: 0n });
    expect(signal(3, 9)).toBe(true);
  });

  it('is refused by VP, then SINT and flag, then state', () => {
    const signals = (fields: { vp?: number; sint?: number; flag?: number }) => () => {
      call('HVCALL_SIGNAL_EVENT_DIRECT', fields);
    };
    set({ SCONTROL: 0n });
    expect(signals({ vp: 2, sint: 16 })).toThrow(refusal('HV_STATUS_INVALID_VP_INDEX'));
    expect(signals({ sint: 16 })).toThrow(refusal('HV_STATUS_INVALID_PARAMETER'));
    expect(signals({ flag: 2048 })).toThrow(refusal('HV_STATUS_INVALID_PARAMETER'));
    expect(signals({ flag: 2047 })).toThrow(refusal('HV_STATUS_INVALID_SYNIC_STATE'));
    expect(vectors()).toEqual([]);
  });
});

describe('the pages', () => {
  it('are the VP’s states', () => {
    enable();
    post(2, 5);
    signal(1, 3);
    expect(vp.getState('simp')).toEqual(read(simp, 4096));
    expect(vp.getState('simp')[512]).toBe(5);
    expect(vp.getState('siefp')).toEqual(read(siefp, 4096));
    vp.setState('simp', new Uint8Array(4096).fill(6));
    vp.setState('siefp', new Uint8Array(4096).fill(7));
    expect(read(siefp - 1n, 2)).toEqual(Uint8Array.of(6, 7));
    expect(signal(1, 3)).toBe(true);
    expect(signal(1, 2)).toBe(false);
  });

  it('keep what is on them when they are disabled, moved, and enabled again', () => {
    enable();
    post(2, 5);
    set({ SIMP: simp });
    expect(() => read(simp, 1)).toThrow(code('ENXIO'));
    expect(vp.getState('simp')[512]).toBe(5);
    set({ SIMP: 0x40_0001n, SCONTROL: 0n });
    // They are there whatever SCONTROL says.
    expect(read(0x40_0200n, 1)).toEqual(Uint8Array.of(5));
    enable();
    expect(() => {
      post(2);
    }).toThrow(refusal('HV_STATUS_OBJECT_IN_USE'));
  });

  it('are seen by the guest at every VP, and hide memory that the VMM keeps seeing', () => {
    using memory = GuestMemory.allocate(0x3000, { native: Simulator.native });
    memory.write(0, new Uint8Array(0x3000).fill(0xaa));
    partition.mapMemory(memory, { gpa: memoryGpa });
    set({ SCONTROL: 1n, SIMP: (memoryGpa + 0x1000n) | 1n }, 1);
    post(0, 5, 1);
    expect(read(memoryGpa + 0x1000n, 1)).toEqual(Uint8Array.of(5));
    simulator.writeMemory(partition, memoryGpa + 0x1000n, Uint8Array.of(0, 1, 2));
    expect(vp.getState('simp')).toEqual(new Uint8Array(4096));
    expect(partition.vps[1]?.getState('simp').subarray(0, 3)).toEqual(Uint8Array.of(0, 1, 2));
    expect(memory.read(0x1000, 3)).toEqual(new Uint8Array(3).fill(0xaa));
    // Not paged in: of memory on either side nothing is transferred, nor of the page in between.
    const bytes = new Uint8Array(0x1010).fill(9);
    for (const gpa of [memoryGpa + 0x1000n, memoryGpa + 0xff0n]) {
      expect(() => {
        simulator.writeMemory(partition, gpa, bytes);
      }).toThrow(code('EACCES'));
    }
    expect(read(memoryGpa + 0x1000n, 2)).toEqual(Uint8Array.of(0, 1));
    set({ SIMP: 0n }, 1);
    expect(() => read(memoryGpa + 0x1000n, 1)).toThrow(code('EACCES'));
  });
});

describe('the guest', () => {
  it('enables its SynIC, and what it does not name stays', () => {
    guest.enableSynic({ simp, siefp, sints: { 2: 0x52, 15: 0xff } }).halt();
    exit('halt');
    expect(get('SCONTROL')).toBe(1n);
    expect([get('SIMP'), get('SIEFP')]).toEqual([simp | 1n, siefp | 1n]);
    expect([get('SINT2'), get('SINT15'), get('SINT3')]).toEqual([0x52n, 0xffn, masked]);
    guest.wrmsr(synicMsrs.SCONTROL, 0).enableSynic({ sints: { 3: 16 } });
    guest.enableSynic().rdmsr(synicMsrs.SIMP).halt();
    exit('halt');
    expect([get('SINT3'), get('SIMP'), get('SCONTROL')]).toEqual([16n, simp | 1n, 1n]);
    expect(vp.getRegisters(['RAX', 'RDX'])).toEqual({ RAX: simp | 1n, RDX: 0n });
  });

  it('faults at what no SINT can be, and at the version', () => {
    guest.wrmsr(synicMsrs.SINT0, 15).wrmsr(synicMsrs.SVERSION, 5).halt();
    exit('halt');
    expect([get('SINT0'), get('SVERSION')]).toEqual([masked, 1n]);
    for (const taken of [16n, masked | 15n, polling, 0x2_0020n]) {
      guest.wrmsr(synicMsrs.SINT0, taken).halt();
      exit('halt');
      expect(get('SINT0')).toBe(taken);
    }
    // The hypervisor lets the VMM see what it does not take itself.
    partition.installIntercept({ type: 'msr', access: 'write' });
    guest
      .wrmsr(synicMsrs.SINT0, 17)
      .wrmsr(synicMsrs.SINT0 + 1, 3)
      .halt();
    const write = exit('msr');
    expect(write).toMatchObject({ msr: synicMsrs.SINT0 + 1, isWrite: true, value: 3n });
    vp.completeMsr(write);
    exit('halt');
  });

  it('accesses its pages without exits and doorbells', () => {
    const bell = partition.registerDoorbell({ gpa: simp + 8n });
    guest.enableSynic({ simp, siefp }).mmioWrite(simp + 8n, 4, 0x1234_5678);
    guest
      .mmioWrite(siefp - 4n, 8, 0x0807_0605_0403_0201n)
      .mmioRead(simp + 8n, 4)
      .halt();
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x1234_5678n);
    expect(read(siefp - 4n, 8)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(bell.event.tryRead()).toBeUndefined();
    guest
      .wrmsr(synicMsrs.SIMP, 0)
      .mmioWrite(simp + 8n, 4, 1)
      .halt();
    exit('halt');
    expect(bell.event.tryRead()).toBe(1n);
  });

  it('exits where an access goes beyond them', () => {
    const bells = [siefp + 0xffcn, simp - 4n].map((gpa) => partition.registerDoorbell({ gpa }));
    guest.enableSynic({ simp, siefp }).mmioWrite(siefp + 0xffcn, 8, ~0n & 0xffffn);
    guest.mmioWrite(simp - 4n, 8, ~0n & 0xffffn).halt();
    const write = exit('unmapped-gpa');
    expect(write).toMatchObject({ gpa: siefp + 0x1000n, isWrite: true });
    expect(read(siefp + 0xffcn, 4)).toEqual(new Uint8Array(4));
    vp.skipInstruction(write);
    exit('halt');
    // A doorbell is rung where the write begins: not on the page, but before it.
    expect(bells.map(({ event }) => event.tryRead())).toEqual([undefined, 1n]);
  });

  it('accesses memory and a page in one go, once the driver has paged the memory in', () => {
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: simp - 0x1000n });
    guest
      .enableSynic({ simp })
      .mmioWrite(simp - 4n, 8, 0x0807_0605_0403_0201n)
      .halt();
    exit('halt');
    expect(memory.read(0xffc, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(read(simp - 4n, 8)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });

  it('posts messages: the input in memory, the status in RAX', () => {
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    memory.write(0, new Uint8Array(0x1000).fill(0xee));
    partition.mapMemory(memory, { gpa: memoryGpa });
    partition.installIntercept({ type: 'unknown-synic-connection' });
    guest.postMessage(0xff00_0001, 0x8000_0002, Uint8Array.of(1, 2, 3), memoryGpa + 0x40n).halt();
    const posted = exit('hypercall');
    expect(posted).toMatchObject({ code: 0x5c, isFast: false, rdx: memoryGpa + 0x40n });
    const input = memory.read(0x40, 256);
    const view = new DataView(input.buffer, input.byteOffset);
    expect([0, 4, 8, 12].map((at) => view.getUint32(at, true))).toEqual([
      0xff00_0001, 0, 0x8000_0002, 3,
    ]);
    expect(input.subarray(16)).toEqual(Uint8Array.of(1, 2, 3, ...new Uint8Array(237)));
    expect(memory.read(0x140, 1)).toEqual(Uint8Array.of(0xee));
    vp.completeHypercall(posted, { status: 0x11 });
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x11n);
  });

  it('signals events: the input in RDX', () => {
    partition.installIntercept({ type: 'hypercall' });
    guest.signalEvent(0x1234_5678, 0xabcd).signalEvent(7).halt();
    const first = exit('hypercall');
    expect(first).toMatchObject({ code: 0x5d, isFast: true, rdx: 0xabcd_1234_5678n });
    vp.completeHypercall(first, { status: 0 });
    const second = exit('hypercall');
    expect(second).toMatchObject({ rdx: 7n });
    vp.completeHypercall(second, { status: 0 });
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0n);
  });

  it('has no connections of its own', () => {
    guest.signalEvent(1).halt();
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x12n);
  });

  it('makes fast calls with more input than two registers hold', () => {
    const names = Uint32Array.from({ length: 6 }, (_, i) => x64Registers.XMM0 + i);
    const values = BigUint64Array.from({ length: 12 }, (_, i) => BigInt(i + 1) << 60n);
    partition.setRegisters(0, names, values);
    partition.installIntercept({ type: 'hypercall' });
    guest.hypercall(0x1_007en, 1, 2).halt();
    const { xmm, r8 }: HypercallIntercept = exit('hypercall');
    expect(r8).toBe(2n);
    expect(xmm).toEqual(
      Array.from(
        { length: 6 },
        (_, i) => ((values[2 * i + 1] ?? 0n) << 64n) | (values[2 * i] ?? 0n),
      ),
    );
  });

  it('takes messages out of their slots', () => {
    guest.enableSynic({ simp, sints: { 2: 0x52 } }).halt();
    exit('halt');
    for (const type of [1, 2]) {
      post(2, type);
      expect(typeAt(2)).toBe(type);
      guest.takeMessage(simp, 2).halt();
      exit('halt');
      expect(typeAt(2)).toBe(0);
    }
    expect(vectors()).toEqual([
      [0x52, 0],
      [0x52, 0],
    ]);
  });

  it('is reset by its registers', () => {
    guest.enableSynic({ simp, siefp, sints: { 2: 0x52 } }).halt();
    exit('halt');
    post(2);
    signal(2, 0);
    set({ SCONTROL: 0n, SIMP: 0n, SIEFP: 0n, SINT2: masked, DELIVERABILITY_NOTIFICATIONS: 0n });
    vp.setState('simp', new Uint8Array(4096));
    vp.setState('siefp', new Uint8Array(4096));
    vectors();
    expect(() => {
      post(2);
    }).toThrow(refusal('HV_STATUS_INVALID_SYNIC_STATE'));
    expect(() => read(simp, 1)).toThrow(code('ENXIO'));
    guest.enableSynic({ simp, siefp }).halt();
    exit('halt');
    post(2);
    expect(signal(2, 0)).toBe(true);
    expect(vectors()).toEqual([]);
  });
});

/** Asks to be told of free slots of SINTs. */
function ask(...sints: number[]): void {
  set({ DELIVERABILITY_NOTIFICATIONS: sints.reduce((all, sint) => all | bit(sint), 0n) });
}
const bit = (sint: number): bigint => 1n << BigInt(48 + sint);
const asked = (): bigint => get('DELIVERABILITY_NOTIFICATIONS');

describe.each(['hypervisor', 'root'] as const)(
  'a notification of free slots, %s scheduler',
  (scheduler) => {
    beforeEach(() => {
      simulator.close();
      start({ scheduler });
      enable();
    });

    it('comes before the guest’s next step where a slot is free already, and is no instruction', () => {
      vp.setRegisters({ RIP: 0x1000n });
      guest.halt();
      set({ DELIVERABILITY_NOTIFICATIONS: bit(2) | bit(15) | 2n });
      const free = exit('sint-deliverable');
      expect(free).toMatchObject({ deliverableSints: 0x8004, vpIndex: 0, rip: 0x1000n });
      expect(free).toMatchObject({ instructionLength: 0, cr0Pe: false });
      // What is no SINT's stays.
      expect(asked()).toBe(2n);
      expect(guest.pending).toBe(1);
      expect(exit('halt').rip).toBe(0x1000n);
    });

    it('is about the SINTs that were asked for and are free', () => {
      post(2);
      post(4);
      ask(2, 3, 5);
      guest.takeMessage(simp, 2).takeMessage(simp, 4).halt();
      expect(exit('sint-deliverable').deliverableSints).toBe(0b10_1000);
      expect(asked()).toBe(bit(2));
      expect(exit('sint-deliverable').deliverableSints).toBe(0b100);
      expect(asked()).toBe(0n);
      exit('halt');
    });

    it('comes once', () => {
      ask(2);
      guest.wrmsr(synicMsrs.EOM, 0).halt();
      exit('sint-deliverable');
      exit('halt');
    });

    it('comes between the guest’s EOM and its next instruction', () => {
      post(2);
      ask(2);
      guest.out(0x80, 1, 1).takeMessage(simp, 2).out(0x81, 1, 2).halt();
      vp.completeIoPort(exit('io-port'));
      const { rip, deliverableSints } = exit('sint-deliverable');
      expect(deliverableSints).toBe(0b100);
      const out = exit('io-port');
      expect(out).toMatchObject({ port: 0x81, rip });
      vp.completeIoPort(out);
      exit('halt');
    });

    it('comes before an instruction that the VMM has not completed', () => {
      guest.in(0x80, 1).halt();
      const { rip } = exit('io-port');
      ask(2);
      expect(exit('sint-deliverable').rip).toBe(rip);
      const again = exit('io-port');
      expect(again.rip).toBe(rip);
      vp.completeIoPort(again, 1);
      exit('halt');
    });

    it('is not for slots that become free without an EOM', () => {
      post(2);
      ask(2);
      guest.mmioWrite(slotOf(2), 4, 0).halt();
      exit('halt');
      simulator.writeMemory(partition, slotOf(2), new Uint8Array(4));
      guest.halt();
      exit('halt');
      expect(asked()).toBe(bit(2));
      guest.wrmsr(synicMsrs.EOM, 0).halt();
      exit('sint-deliverable');
      exit('halt');
    });

    it('comes where it is asked for again, or the VMM writes EOM', () => {
      for (const look of [
        () => {
          ask(2);
        },
        () => {
          set({ EOM: 0n });
        },
      ]) {
        post(2);
        ask(2);
        guest.mmioWrite(slotOf(2), 4, 0).halt();
        exit('halt');
        look();
        guest.halt();
        exit('sint-deliverable');
        exit('halt');
      }
    });

    it.each<[string, Parameters<typeof set>[0]]>([
      ['the SynIC', { SCONTROL: 0n }],
      ['the message page', { SIMP: simp }],
    ])('waits while %s is disabled, for the EOM after', (_, values) => {
      set(values);
      ask(2);
      guest.halt();
      exit('halt');
      enable();
      guest.halt();
      exit('halt');
      guest.wrmsr(synicMsrs.EOM, 0).halt();
      exit('sint-deliverable');
      exit('halt');
    });

    it('does not come when it is taken back', () => {
      ask(2);
      ask();
      guest.wrmsr(synicMsrs.EOM, 0).halt();
      exit('halt');
    });

    it('is a VP’s own', () => {
      enable(1);
      ask(2);
      const other = partition.vps[1] ?? expect.fail('no VP 1');
      simulator.guest(partition, 1).wrmsr(synicMsrs.EOM, 0).halt();
      expect(other.run()?.type).toBe('halt');
      guest.halt();
      exit('sint-deliverable');
      exit('halt');
    });

    it('wakes a VP that waits in its run', async () => {
      const seen: unknown[] = [];
      let told: () => void = () => undefined;
      const run = vp.start((intercept) => {
        seen.push(
          intercept.type === 'sint-deliverable' ? intercept.deliverableSints : intercept.type,
        );
        told();
        return intercept.type === 'halt' ? 'stop' : undefined;
      });
      const exited = (): Promise<void> =>
        new Promise((resolve) => {
          told = resolve;
        });
      let next = exited();
      // A slot that is free already.
      ask(2);
      await next;
      expect(seen).toEqual([0b100]);
      expect(asked()).toBe(0n);
      // Slots that the guest frees.
      post(2);
      post(3);
      ask(2, 3);
      guest.mmioWrite(slotOf(3), 4, 0);
      expect(asked()).toBe(bit(2) | bit(3));
      next = exited();
      guest.takeMessage(simp, 2);
      await next;
      expect(seen).toEqual([0b100, 0b1100]);
      expect(guest.pending).toBe(0);
      guest.halt();
      expect(await run.finished).toBe('stopped');
      expect(seen).toEqual([0b100, 0b1100, 'halt']);
    });

    it('carries on a queue of messages, one slot at a time', async () => {
      const queue = [1, 2, 3, 4, 5];
      const taken: number[] = [];
      const flush = (): void => {
        const [type] = queue;
        if (type === undefined) {
          guest.halt();
          return;
        }
        post(2, type);
        queue.shift();
        ask(2);
        taken.push(typeAt(2));
        guest.takeMessage(simp, 2);
      };
      const run = vp.start((intercept) => {
        if (intercept.type === 'halt') {
          return 'stop';
        }
        flush();
        return undefined;
      });
      flush();
      expect(await run.finished).toBe('stopped');
      expect(taken).toEqual([1, 2, 3, 4, 5]);
    });
  },
);
