import { getSystemErrorName } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { interceptTypes } from '../../../lib/abi/intercept-types.js';
import {
  GuestMemory,
  type Intercept,
  type InterceptType,
  type Mshv,
  type Partition,
  type Vp,
} from '../../../lib/index.js';
import {
  encodeMessage,
  type ScriptedGuest,
  Simulator,
  type SimulatorOptions,
} from '../../../lib/sim/index.js';
import { hasExternalBuffers } from '../../external-buffers.js';
import { simulatedMachine } from '../../simulated-machine.js';

// What the simulator's guest shows a VMM, and what it does by itself.

let simulator: Simulator;
let device: Mshv;
let partition: Partition;
let vp: Vp;
let guest: ScriptedGuest;

function start(options?: SimulatorOptions): void {
  ({ simulator, device, partition, vp, guest } = simulatedMachine(2, options));
}

beforeEach(() => {
  start();
});
afterEach(() => {
  simulator.close();
});

type Exit<Type extends InterceptType> = Extract<Intercept, { type: Type }>;

/** Runs the VP, which has to exit with this. */
function exit<Type extends InterceptType>(type: Type): Exit<Type> {
  const intercept = vp.run();
  expect(intercept?.type).toBe(type);
  return intercept as Exit<Type>;
}

const code = (expected: string) => expect.objectContaining({ code: expected }) as Error;

describe('a scripted guest', () => {
  it('writes a port in 64-bit mode, with its registers in the message and on the page', () => {
    vp.setRegisters({ RIP: 0x1000n, RBX: 7n });
    guest.out(0x3f8, 2, 0x4142);
    const out = exit('io-port');
    expect(out).toMatchObject({ vpIndex: 0, port: 0x3f8, size: 2, isWrite: true, value: 0x4142 });
    expect(out).toMatchObject({ rip: 0x1000n, instructionLength: 2, cpl: 0, rflags: 2n });
    expect(out).toMatchObject({ cr0Pe: true, eferLma: true, isString: false, isRep: false });
    expect(out.instructionBytes).toEqual(Uint8Array.of(0x66, 0xef));
    expect(out.cs).toMatchObject({ base: 0n, selector: 8 });
    expect(vp.registerPage?.valid ?? false).toBe(hasExternalBuffers);
    expect(vp.getRegisters(['RAX', 'RDX', 'RBX', 'RIP'])).toEqual({
      RAX: 0x4142n,
      RDX: 0x3f8n,
      RBX: 7n,
      RIP: 0x1000n,
    });
  });

  it('executes an instruction again until RIP has moved on', () => {
    guest.out(0x80, 1, 1).in(0x81, 4).halt();
    expect(guest.pending).toBe(3);
    for (let i = 0; i < 3; i++) {
      expect(exit('io-port').port).toBe(0x80);
    }
    vp.completeIoPort(exit('io-port'));
    const read = exit('io-port');
    expect(read).toMatchObject({ port: 0x81, size: 4, isWrite: false, instructionLength: 1 });
    expect(guest.pending).toBe(2);
    vp.completeIoPort(read, 0xdead_beef);
    expect(exit('halt')).toMatchObject({ instructionLength: 1 });
    expect(vp.getRegisters(['RAX']).RAX).toBe(0xdead_beefn);
    expect(guest.pending).toBe(0);
  });

  it('writes to a port what it has got before', () => {
    guest.in(0x80, 4).out(0x81, 2).out(0x82, 4).halt();
    vp.completeIoPort(exit('io-port'), 0xdead_beef);
    const part = exit('io-port');
    expect(part).toMatchObject({ port: 0x81, size: 2, isWrite: true, value: 0xbeef });
    vp.completeIoPort(part);
    expect(exit('io-port')).toMatchObject({ port: 0x82, isWrite: true, value: 0xdead_beef });
  });

  it('has the registers that the page changed in between', () => {
    guest.in(0x80, 1).halt();
    exit('io-port');
    const page = vp.registerPage ?? expect.fail('no register page');
    page.set('RAX', 5n);
    page.rip = 0x77n;
    expect(vp.getRegisters(['RAX', 'RIP'])).toEqual({ RAX: 5n, RIP: 0x77n });
    expect(exit('halt').rip).toBe(0x77n);
  });

  it('does by itself what nobody intercepts', () => {
    guest.wrmsr(0xc000_0102, 0x1234_5678_9abc_def0n).rdmsr(0xc000_0102);
    guest.rdmsr(0x1234_5678).wrmsr(0x1234_5678, 1).hypercall(0x5c).halt();
    const { rip } = exit('halt');
    expect(rip).toBe(0xfff0n + 4n * 2n + 3n);
    expect(vp.getRegisters(['KERNEL_GS_BASE', 'RAX', 'RDX'])).toEqual({
      KERNEL_GS_BASE: 0x1234_5678_9abc_def0n,
      // HV_STATUS_INVALID_CONNECTION_ID.
      RAX: 0x12n,
      // What WRMSR of the unknown MSR had.
      RDX: 0n,
    });
  });

  it('reads zero from unknown MSRs where the partition says so, and faults else', () => {
    partition.setProperty('UNIMPLEMENTED_MSR_ACTION', 0);
    guest.wrmsr(0x1234, 0x7_0000_0008n).rdmsr(0x1234).halt();
    exit('halt');
    expect(vp.getRegisters(['RAX', 'RDX'])).toEqual({ RAX: 8n, RDX: 7n });
    partition.setProperty('UNIMPLEMENTED_MSR_ACTION', 1);
    guest.rdmsr(0x1234).halt();
    exit('halt');
    expect(vp.getRegisters(['RAX', 'RDX'])).toEqual({ RAX: 0n, RDX: 0n });
  });

  it('shows MSRs for which an intercept is installed', () => {
    partition.installIntercept({ type: 'msr-index', access: 'read', msr: 0x10 });
    guest.wrmsr(0x10, 9).rdmsr(0x10).halt();
    const read = exit('msr');
    expect(read).toMatchObject({ msr: 0x10, isWrite: false, instructionLength: 2 });
    vp.completeMsr(read, 0x1_0000_0002n);
    exit('halt');
    expect(vp.getRegisters(['RAX', 'RDX'])).toEqual({ RAX: 2n, RDX: 1n });
    partition.installIntercept({ type: 'msr', access: 'write' });
    guest.wrmsr(0x10, 9).wrmsr(0x9999, 0x2_0000_0003n).halt();
    const write = exit('msr');
    expect(write).toMatchObject({ msr: 0x9999, isWrite: true, value: 0x2_0000_0003n });
    vp.completeMsr(write);
    exit('halt');
  });

  it('shows CPUID with what would be the answer', () => {
    partition.registerCpuidResult({
      leaf: 0x4000_0000,
      eax: 0x4000_0001,
    });
    guest.cpuid(0x4000_0000).halt();
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x4000_0001n);
    partition.installIntercept({ type: 'cpuid', leaf: 0x4000_0000 });
    guest.cpuid(0, 1).cpuid(0x4000_0000, 3).halt();
    const cpuid = exit('cpuid');
    expect(cpuid).toMatchObject({ leaf: 0x4000_0000, subleaf: 3, instructionLength: 2 });
    expect(cpuid.defaultResult.eax).toBe(0x4000_0001);
    vp.completeCpuid(cpuid, { eax: 1, ebx: 2, ecx: 3, edx: 4 });
    exit('halt');
    expect(vp.getRegisters(['RAX', 'RBX', 'RCX', 'RDX'])).toEqual({
      RAX: 1n,
      RBX: 2n,
      RCX: 3n,
      RDX: 4n,
    });
  });

  it('shows hypercalls, all of them or those of unknown connections', () => {
    partition.installIntercept({ type: 'unknown-synic-connection' });
    guest.hypercall(0x8).hypercall(0x1_005d, 0x4000n, 0x5000n).halt();
    const call = exit('hypercall');
    expect(call).toMatchObject({ code: 0x5d, isFast: true, rdx: 0x4000n, r8: 0x5000n });
    expect(call.instructionLength).toBe(3);
    vp.completeHypercall(call, { status: 0x11 });
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x11n);
    partition.installIntercept({ type: 'hypercall' });
    guest.hypercall(0x8).halt();
    vp.completeHypercall(exit('hypercall'), { status: 0 });
    exit('halt');
  });

  it('accesses memory inside the run, with its bits', () => {
    using memory = GuestMemory.allocate(0x4000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x10_0000n });
    guest.mmioWrite(0x10_1004n, 4, 0xa1b2_c3d4).mmioRead(0x10_1006n, 2).halt();
    exit('halt');
    expect(vp.getRegisters(['RAX', 'RDI'])).toEqual({ RAX: 0xa1b2_a1b2n, RDI: 0x10_1006n });
    expect(memory.read(0x1004, 4)).toEqual(Uint8Array.of(0xd4, 0xc3, 0xb2, 0xa1));
    expect(simulator.memory(partition)).toEqual([
      { gpa: 0x10_0000n, size: 0x4000n, writable: true, executable: true, present: 0x4000n },
    ]);
  });

  it('shows accesses outside of memory and against its flags', () => {
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x10_0000n, writable: false });
    // Into the page behind the memory.
    guest.mmioRead(0x10_0ffcn, 8).mmioWrite(0x10_0010n, 8, 1).halt();
    const read = exit('unmapped-gpa');
    expect(read).toMatchObject({ gpa: 0x10_1000n, gva: 0x10_1000n, isWrite: false });
    expect(read).toMatchObject({ gvaValid: true, gvaGpaValid: true, instructionLength: 3 });
    expect(read.instructionBytes).toEqual(Uint8Array.of(0x48, 0x8b, 0x07));
    vp.skipInstruction(read);
    const write = exit('gpa-intercept');
    expect(write).toMatchObject({ gpa: 0x10_0010n, isWrite: true });
    vp.skipInstruction(write);
    exit('halt');
  });

  it('goes on where memory is mapped under it', () => {
    guest.mmioWrite(0x10_0000n, 1, 0x5a).halt();
    exit('unmapped-gpa');
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x10_0000n });
    exit('halt');
    expect(memory.read(0, 1)).toEqual(Uint8Array.of(0x5a));
  });

  it('rings doorbells without an exit', () => {
    const bell = partition.registerDoorbell({ gpa: 0xf000_0000n, size: 4, match: 3 });
    guest.mmioWrite(0xf000_0000n, 4, 3).mmioWrite(0xf000_0000n, 4, 4).halt();
    const write = exit('unmapped-gpa');
    expect(bell.event.tryRead()).toBe(1n);
    vp.skipInstruction(write);
    exit('halt');
    expect(bell.event.tryRead()).toBeUndefined();
  });

  it('ends by a triple fault', () => {
    guest.tripleFault();
    expect(exit('unrecoverable-exception')).toMatchObject({ vpIndex: 0, instructionLength: 0 });
    expect(guest.pending).toBe(0);
  });

  it('enters 64-bit mode where it is not there already', () => {
    vp.setRegisters({ EFER: 0x500n, CR0: 0x8000_0001n, CR8: 9n, DR7: 1n, INTERRUPT_STATE: 1n });
    guest.halt();
    expect(exit('halt')).toMatchObject({
      cr0Pe: true,
      eferLma: true,
      cr8: 9,
      debugActive: true,
      interruptShadow: true,
    });
    expect(vp.getRegisters(['CR0']).CR0).toBe(0x8000_0001n);
  });

  it('waits for its VP, and is not another VP’s', () => {
    const other = simulator.guest(partition, 1);
    other.out(1, 1, 1);
    guest.halt();
    exit('halt');
    expect(other.pending).toBe(1);
  });

  it('is the same whoever looks at it, and leaves registers as they were set once it has begun', () => {
    expect([guest.pending, simulator.guest(partition, 0).pending, guest.pending]).toEqual([
      0, 0, 0,
    ]);
    guest.halt();
    exit('halt');
    vp.setRegisters({ EFER: 0, CR0: 0x11 });
    simulator.guest(partition, 0).out(1, 1, 1);
    expect(exit('io-port').eferLma).toBe(false);
    expect(vp.getRegisters(['EFER', 'CR0'])).toEqual({ EFER: 0n, CR0: 0x11n });
  });

  it('does all of what is several steps, or nothing', () => {
    const page = { simp: 0x4000, siefp: 0x5000, sints: { 2: 0x52, 3: 0x53 } };
    for (let i = 0; i < 65_536 - 4; i++) guest.halt();
    for (const several of [
      () => guest.enableSynic(page),
      () => guest.postMessage(1, 1, new Uint8Array(8), 0x6000),
    ]) {
      expect(several).toThrow(expect.objectContaining({ code: 'ENOBUFS' }));
      expect(guest.pending).toBe(65_536 - 4);
    }
    expect(guest.takeMessage(0x4000, 2).takeMessage(0x4000, 3).pending).toBe(65_536);
    expect(() => guest.takeMessage(0x4000, 2)).toThrow(
      expect.objectContaining({ code: 'ENOBUFS' }),
    );
    expect(simulator.guest(partition, 0).pending).toBe(65_536);
  });

  it('completes by hypercall where there is no register page', () => {
    simulator.close();
    start({ registerPage: false });
    guest.in(0x60, 1).halt();
    const read = exit('io-port');
    expect(vp.registerPage?.valid).toBe(hasExternalBuffers ? false : undefined);
    vp.completeIoPort(read, 0x1c);
    exit('halt');
    expect(vp.getRegisters(['RAX']).RAX).toBe(0x1cn);
  });

  it('runs with the root scheduler', () => {
    simulator.close();
    start({ scheduler: 'root' });
    for (let i = 0; i < 3; i++) {
      guest.out(0x80, 1, i);
      const out = exit('io-port');
      expect(out.value).toBe(i);
      vp.completeIoPort(out);
    }
    guest.halt();
    exit('halt');
  });
});

describe('queueMessage', () => {
  it('gives the run the message as it is, the rest zero', () => {
    const message = encodeMessage('io-port', { vpIndex: 5, port: 0x123, rip: 0x99n });
    simulator.queueMessage(partition, 0, message.subarray(0, 70));
    expect(exit('io-port')).toMatchObject({ vpIndex: 5, port: 0x123, rip: 0x99n, rdi: 0n });
    simulator.queueMessage(partition, 0, new Uint8Array(256).fill(0xff));
    const unknown = exit('unknown');
    expect(unknown.messageType).toBe(0xffff_ffff);
  });

  it('leaves GPA intercepts of memory to the driver', () => {
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x10_0000n, executable: false });
    const touch = (access: 'read' | 'execute', gpa = 0x10_0008n): void => {
      simulator.queueMessage(partition, 0, encodeMessage('gpa-intercept', { access, gpa }));
      simulator.queueMessage(partition, 0, encodeMessage('halt', {}));
    };
    touch('execute');
    exit('gpa-intercept');
    exit('halt');
    touch('read', 0x20_0000n);
    exit('gpa-intercept');
    exit('halt');
    touch('read');
    exit('halt');
    simulator.writeMemory(partition, 0x10_0000n, Uint8Array.of(1));
  });
});

describe('the guest’s memory', () => {
  const size = 1024 * 1024 * 4;

  it('is there from the first access of a VP on, 2 MiB at a time', () => {
    using memory = GuestMemory.allocate(size, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x1000n });
    expect(() => simulator.readMemory(partition, 0x1000n, 1)).toThrow(code('EACCES'));
    expect(() => simulator.readMemory(partition, 0n, 1)).toThrow(code('ENXIO'));
    guest.mmioRead(0x1000n + 0x1f_f000n, 8).halt();
    exit('halt');
    simulator.writeMemory(partition, 0x1000, Uint8Array.of(1, 2, 3));
    expect(simulator.readMemory(partition, 0x1001n, 2)).toEqual(Uint8Array.of(2, 3));
    expect(memory.read(0, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect(() => simulator.readMemory(partition, 0x1000n + 0x20_0000n, 1)).toThrow(code('EACCES'));
    expect(simulator.memory(partition)).toMatchObject([{ present: 0x20_0000n }]);
  });

  it('is transferred whole or not at all', () => {
    using memory = GuestMemory.allocate(0x1000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0x1000n });
    guest.mmioRead(0x1000n, 1).halt();
    exit('halt');
    const bytes = new Uint8Array(0x20).fill(7);
    expect(() => {
      simulator.writeMemory(partition, 0x1ff0n, bytes);
    }).toThrow(code('ENXIO'));
    expect(memory.read(0xff0, 0x10)).toEqual(new Uint8Array(0x10));
    simulator.writeMemory(partition, 0x1fe0n, bytes);
    expect(simulator.readMemory(partition, 0x1fe0, 0x20)).toEqual(bytes);
    expect(simulator.readMemory(partition, 5, 0)).toEqual(new Uint8Array(0));
  });

  it('is EACCES where the host has unmapped it', () => {
    const { native } = Simulator;
    const memory = native.memoryCreate(0x3000n, false, false);
    expect(native.mapMemory(partition.fd, memory, 0n, 0x3000n, 0n, 3)).toBe(0);
    guest.mmioWrite(0n, 8, 1).halt();
    exit('halt');
    native.memoryUnmap(memory);
    const before = [() => simulator.readMemory(partition, 0x10, 0x2000)];
    for (const access of [...before, () => simulator.readMemory(partition, 0, 1)]) {
      expect(access).toThrow(code('EACCES'));
    }
    guest.mmioWrite(0n, 8, 1).halt();
    vp.skipInstruction(exit('gpa-intercept'));
    exit('halt');
  });

  it('stays without access where it was never paged in, after it is unmapped', () => {
    using memory = GuestMemory.allocate(size, { native: Simulator.native });
    const mapped = partition.mapMemory(memory, { gpa: 0n });
    guest.mmioRead(0n, 1).halt();
    exit('halt');
    mapped[Symbol.dispose]();
    expect(() => simulator.readMemory(partition, 0n, 1)).toThrow(code('ENXIO'));
    expect(() => simulator.readMemory(partition, 0x20_0000n, 1)).toThrow(code('EACCES'));
    expect(simulator.memory(partition)).toEqual([]);
  });

  it('may be more than this machine has', () => {
    const { native } = Simulator;
    const size = 1n << 40n;
    const memory = native.memoryCreate(size, false, false);
    expect(native.mapMemory(partition.fd, memory, 0n, size, size, 3)).toBe(0);
    guest.mmioWrite(2n * size - 8n, 8, 5).halt();
    exit('halt');
    expect(simulator.readMemory(partition, 2n * size - 8n, 1)).toEqual(Uint8Array.of(5));
    expect(native.mapMemory(partition.fd, memory, 0n, size, size, 4)).toBe(0);
    native.memoryUnmap(memory);
  });
});

describe('what the driver and the hypervisor hold', () => {
  it('are doorbells in order', () => {
    partition.registerDoorbell({ gpa: 0x2000n, size: 8, match: 2n ** 64n - 1n });
    partition.registerDoorbell({ gpa: 0x1000n });
    expect(simulator.doorbells(partition)).toEqual([
      { gpa: 0x2000n, size: 8, match: 2n ** 64n - 1n },
      { gpa: 0x1000n, size: 0, match: undefined },
    ]);
    expect(simulator.writeMmio(partition, 0x2000n, 8, 2n ** 64n - 1n)).toBe(1);
    expect(simulator.writeMmio(partition, 0x1000, 1, 1)).toBe(1);
    expect(simulator.writeMmio(partition, 0x1000, 2, 1)).toBe(1);
    expect(simulator.writeMmio(partition, 0x1001, 1, 1)).toBe(0);
  });

  it('ring eventfds that are armed once each', () => {
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee0_0000n, data: 0x51 } });
    partition.registerDoorbell({ gpa: 0x1000n, event: route.event });
    partition.registerDoorbell({ gpa: 0x1000n, size: 4, event: route.event });
    expect(simulator.writeMmio(partition, 0x1000n, 4, 0)).toBe(2);
    expect(simulator.interrupts(partition).map(({ vector }) => vector)).toEqual([0x51, 0x51]);
  });

  it('are intercepts, of which the last for a parameter counts', () => {
    partition.installIntercept({ type: 'cpuid', leaf: 7 });
    partition.installIntercept({ type: 'msr-index', msr: 9 });
    partition.installIntercept({ type: 'msr-index', access: 'write', msr: 9 });
    expect(simulator.intercepts(partition)).toEqual([
      { type: interceptTypes.X64_CPUID, access: 4, parameter: 7n },
      { type: interceptTypes.X64_MSR_INDEX, access: 2, parameter: 9n },
    ]);
    partition.installIntercept({ type: 'cpuid', leaf: 7, access: 'none' });
    expect(simulator.intercepts(partition)).toHaveLength(1);
  });

  it('are results, of which the last for an input counts', () => {
    const register = (subleaf: number, value: number): void => {
      partition.registerCpuidResult({ leaf: 4, subleaf, ebx: value });
    };
    register(1, 5);
    register(2, 6);
    register(1, 7);
    const results = simulator.interceptResults(partition);
    expect(results.map(({ type, parameters }) => [type, parameters[20]])).toEqual([
      [interceptTypes.X64_CPUID, 6],
      [interceptTypes.X64_CPUID, 7],
    ]);
    expect(results[0]?.parameters).toHaveLength(44);
  });
});

describe('refuse', () => {
  const call = (): unknown => partition.property('PRIVILEGE_FLAGS');

  it('lets some hypercalls pass, then refuses some', () => {
    simulator.refuse({
      hypercall: 'HVCALL_GET_PARTITION_PROPERTY',
      status: 'HV_STATUS_ACCESS_DENIED',
      after: 1,
      count: 2,
    });
    call();
    for (let i = 0; i < 2; i++) {
      expect(call).toThrow(
        expect.objectContaining({
          code: 'EIO',
          hvStatus: { code: 6, name: 'HV_STATUS_ACCESS_DENIED' },
        }),
      );
    }
    call();
  });

  it('replaces the plan before, and a count of 0 takes it back', () => {
    simulator.refuse({ hypercall: 0x44, status: 5, count: 9 });
    simulator.refuse({ hypercall: 0x44, status: 6 });
    expect(call).toThrow(code('EIO'));
    call();
    simulator.refuse({ hypercall: 0x44, status: 5 });
    simulator.refuse({ hypercall: 0x44, status: 5, count: 0 });
    call();
  });

  it('completes some reps before', () => {
    const { native } = Simulator;
    const input = new Uint8Array(16 + 3 * 4);
    new DataView(input.buffer).setUint32(16, 0x20011, true);
    const output = new Uint8Array(48);
    const result = new Uint32Array(2);
    const refused = (reps: number): unknown => {
      simulator.refuse({
        hypercall: 'HVCALL_GET_VP_REGISTERS',
        status: 'HV_STATUS_INVALID_PARAMETER',
        reps,
      });
      const error = native.hypercall(partition.fd, 0x50, 3, input, output, result);
      return [getSystemErrorName(error), ...result];
    };
    expect(refused(2)).toEqual(['EINVAL', 5, 2]);
    expect(refused(9)).toEqual(['EINVAL', 5, 3]);
    expect(refused(0)).toEqual(['EINVAL', 5, 0]);
  });

  it('goes on after a deposit, from the completed rep', () => {
    simulator.refuse({
      hypercall: 'HVCALL_SET_VP_REGISTERS',
      status: 'HV_STATUS_INSUFFICIENT_MEMORY',
      count: 3,
      reps: 1,
    });
    vp.setRegisters({ RAX: 1n, RBX: 2n, RCX: 3n, RDX: 4n, RSI: 5n });
    expect(vp.getRegisters(['RAX', 'RSI'])).toEqual({ RAX: 1n, RSI: 5n });
  });

  it('is EAGAIN for a lack of memory with an older driver', () => {
    simulator.close();
    start({ deposits: 'again' });
    const { native } = Simulator;
    const lacks = (count: number): void => {
      simulator.refuse({
        hypercall: 'HVCALL_SET_VP_REGISTERS',
        status: 'HV_STATUS_INSUFFICIENT_MEMORY',
        count,
        reps: 1,
      });
    };
    lacks(1);
    const input = new Uint8Array(16 + 2 * 32);
    const result = new Uint32Array(2);
    const error = native.hypercall(partition.fd, 0x51, 2, input, new Uint8Array(0), result);
    expect([getSystemErrorName(error), ...result]).toEqual(['EAGAIN', 0x0b, 1]);
    lacks(2);
    vp.setRegisters({ RAX: 1n, RBX: 2n, RCX: 3n });
    expect(vp.getRegisters(['RAX', 'RCX'])).toEqual({ RAX: 1n, RCX: 3n });
  });

  it.each<[string, number, () => unknown, string]>([
    ['a partition', 0x40, () => device.createPartition(), 'EIO'],
    ['a VP', 0x4e, () => partition.createVp(2), 'EIO'],
    ['a VP’s pages', 0xe1, () => partition.createVp(2), 'EIO'],
    ['a run', 0x51, () => vp.run(), 'EIO'],
    ['a doorbell’s port', 0x95, () => partition.registerDoorbell({ gpa: 0x1000n }), 'EIO'],
    ['a doorbell’s connection', 0x96, () => partition.registerDoorbell({ gpa: 0x1000n }), 'EIO'],
    ['a state', 0xe3, () => vp.getState('lapic'), 'EIO'],
    ['a state’s size', 0x44, () => vp.getState('xsave'), 'EIO'],
    [
      'setting a state',
      0xe4,
      () => {
        vp.setState('lapic', new Uint8Array(4096));
      },
      'EIO',
    ],
  ])(
    'refuses the driver itself %s, and has it deposit memory for it',
    (_, hypercall, use, errno) => {
      simulator.refuse({ hypercall, status: 'HV_STATUS_ACCESS_DENIED' });
      expect(use).toThrow(code(errno));
      if (hypercall !== 0x51 && hypercall !== 0x44) {
        simulator.refuse({
          hypercall,
          status: 'HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY',
          count: 2,
        });
        use();
      }
    },
  );

  it('refuses the driver the partition’s beginning', () => {
    const other = device.createPartition();
    simulator.refuse({ hypercall: 0x41, status: 'HV_STATUS_ACCESS_DENIED' });
    expect(() => {
      other.initialize();
    }).toThrow(code('EIO'));
    other.initialize();
    simulator.refuse({ hypercall: 0x41, status: 'HV_STATUS_ACCESS_DENIED' });
    expect(Simulator.native.initializePartition(other.fd)).toBe(0);
  });

  it('refuses the driver memory, of which nothing stays', () => {
    using memory = GuestMemory.allocate(0x200_0000, { native: Simulator.native });
    simulator.refuse({ hypercall: 0x4b, status: 'HV_STATUS_ACCESS_DENIED', after: 1 });
    expect(() => partition.mapMemory(memory, { gpa: 0n })).toThrow(code('EIO'));
    expect(simulator.memory(partition)).toEqual([]);
    expect(() => simulator.readMemory(partition, 0n, 1)).toThrow(code('ENXIO'));
    partition.mapMemory(memory, { gpa: 0n });
    // The first access cannot be resolved.
    simulator.refuse({ hypercall: 0x4b, status: 'HV_STATUS_ACCESS_DENIED' });
    simulator.queueMessage(partition, 0, encodeMessage('gpa-intercept', { gpa: 0n }));
    exit('gpa-intercept');
    simulator.refuse({ hypercall: 0xc9, status: 'HV_STATUS_ACCESS_DENIED', after: 1 });
    // The driver asks for 4095 pages at a time.
    const bits = new BigUint64Array(65);
    const { native } = Simulator;
    const error = native.accessBitmap(partition.fd, 0, 0, 0n, 4096, bits);
    expect(getSystemErrorName(error)).toBe('EIO');
    expect(bits).toEqual(new BigUint64Array(65));
  });

  it('refuses interrupts of eventfds, which nobody hears of', () => {
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee0_0000n, data: 0x51 } });
    simulator.refuse({ hypercall: 'HVCALL_ASSERT_VIRTUAL_INTERRUPT', status: 5 });
    route.event.signal();
    expect(simulator.interrupts(partition)).toEqual([]);
    route.event.signal();
    expect(simulator.interrupts(partition)).toHaveLength(1);
  });
});
