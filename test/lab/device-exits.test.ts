import { describe, expect, it } from 'vitest';

import { GuestMemory } from '../../lib/index.js';
import { DeviceGuest } from './device-guest.js';
import { answer, edited } from './device-guest-exits.js';
import {
  stringBuffer,
  stringElementsPerExit,
  type GuestCommand,
  type GuestOrder,
} from './device-guest-memory.js';
import {
  describeWays,
  executesGuests,
  few,
  many,
  mmio,
  some,
  sum,
  until,
  why,
} from './vmm-ways.js';
import { StartedVmm, type Vmm } from './vmm.js';

// A guest makes every kind of exit, and its VMM completes them.

describeWays((boot) => {
  /** Lets the guest do something `count` times, each of them an exit, and compares all accounts of it. */
  const expectExits = async (vmm: Vmm, order: GuestOrder, term: (n: number) => bigint) => {
    const { count = 1 } = order;
    const expected = sum(count, term);
    expect(await vmm.perform(order)).toEqual({ progress: count, sum: expected, wrong: 0 });
    expect([vmm.exits, vmm.sum]).toEqual([count + 1, expected]);
  };

  it.each([
    ['out8', 8, some],
    ['out16', 16, some],
    ['out32', 32, many],
  ] as const)('sees each value of %s', async (command, bits, count) => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    const value = 0xff00;
    await expectExits(vmm, { command, count, address: 0x510, value }, (n) =>
      BigInt.asUintN(bits, BigInt(value + n)),
    );
  });

  it.each([
    ['in8', 8, some],
    ['in16', 16, some],
    ['in32', 32, some],
  ] as const)('answers each %s', async (command, bits, count) => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    await expectExits(vmm, { command, count, address: 0x510 }, (n) =>
      BigInt.asUintN(bits, answer(n)),
    );
  });

  it.each([
    ['rep out8', 1],
    ['rep out16', 2],
    ['rep out32', 4],
    ['rep in8', 1],
    ['rep in16', 2],
    ['rep in32', 4],
  ] as const)('moves the elements of %s by hand, some at each exit', async (command, size) => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    const written = Uint8Array.from({ length: size * some }, (_, i) => (i * 7) & 0xff);
    const buffer = guest.view.bytes.subarray(stringBuffer, stringBuffer + size * some + 1);
    buffer.set(written);
    const report = await vmm.perform({
      command,
      count: some,
      address: 0x510,
      value: stringBuffer,
    });
    // The guest's sum is how far its pointer has gone.
    expect(report).toEqual({ progress: some, sum: BigInt(size * some), wrong: 0 });
    expect(vmm.exits).toBe(Math.ceil(some / stringElementsPerExit) + 1);
    expect(vmm.sum).toBe(sum(size * some, (n) => BigInt(buffer[n] ?? 0)));
    if (command.startsWith('rep in')) {
      const answers = Array.from(written, (_, n) => Number(BigInt.asUintN(8, answer(n))));
      expect([...buffer]).toEqual([...answers, 0]);
    } else {
      expect([...buffer]).toEqual([...written, 0]);
    }
  });

  it.each([
    ['write8', 8],
    ['write16', 16],
    ['write32', 32],
    ['write64', 64],
  ] as const)(`sees each of ${some} MMIO writes with %s`, async (command, bits) => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    const value = 0xffff_ff00;
    await expectExits(vmm, { command, count: some, address: mmio, value }, (n) =>
      BigInt.asUintN(bits, BigInt(value + n)),
    );
  });

  it.each([
    ['read8', 8],
    ['read16', 16],
    ['read32', 32],
    ['read64', 64],
  ] as const)(`answers each of ${some} MMIO reads with %s`, async (command, bits) => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    await expectExits(vmm, { command, count: some, address: mmio }, (n) =>
      BigInt.asUintN(bits, answer(n)),
    );
  });

  it(`sees ${some} MSRs written and answers ${some} MSRs read`, async () => {
    using guest = new DeviceGuest();
    guest.partition.installIntercept({ type: 'msr' });
    await using vmm = await boot(guest);
    const value = 0xffff_fff0n;
    const written = { command: 'wrmsr', count: some, address: 0x12345, value } as const;
    expect(await vmm.perform(written)).toEqual({
      progress: some,
      sum: sum(some, (n) => value + BigInt(n)),
      wrong: 0,
    });
    expect([vmm.exits, vmm.sum]).toEqual([
      some + 1,
      sum(some, (n) => {
        const low = BigInt.asUintN(32, value + BigInt(n));
        return ((low ^ 0xffff_ffffn) << 32n) | low;
      }),
    ]);
    await expectExits(vmm, { command: 'rdmsr', count: some, address: 0x12345 }, (n) => {
      return (answer(n) >> 32n) + BigInt.asUintN(32, answer(n));
    });
  });

  it(`answers ${some} CPUIDs`, async () => {
    using guest = new DeviceGuest();
    const leaf = 0x40000090;
    guest.partition.installIntercept({ type: 'cpuid', leaf });
    await using vmm = await boot(guest);
    const register = (n: number): bigint => BigInt.asUintN(32, answer(n));
    await expectExits(
      vmm,
      { command: 'cpuid', count: some, address: leaf },
      (n) => register(4 * n) + register(4 * n + 1) + register(4 * n + 2) + register(4 * n + 3),
    );
  });

  it(`answers ${some} hypercalls that the guest makes through its hypercall page`, async () => {
    using guest = new DeviceGuest();
    guest.partition.installIntercept({ type: 'hypercall' });
    await using vmm = await boot(guest);
    const reps = 5;
    const control = (BigInt(reps) << 32n) | 0x1005dn;
    await expectExits(
      vmm,
      { command: 'hypercall', count: some, address: control, value: 17 },
      (n) => (BigInt(reps) << 32n) | BigInt.asUintN(16, answer(n)),
    );
  });

  it(`sees ${some} HLTs of a guest without an APIC`, async () => {
    using guest = new DeviceGuest(1, { lapic: false });
    await using vmm = await boot(guest);
    await expectExits(vmm, { command: 'halts', count: some }, () => 0n);
  });

  it('takes each write that its doorbells are for from the guest, and no other', async () => {
    using guest = new DeviceGuest();
    const { partition } = guest;
    using any = partition.registerDoorbell({ gpa: mmio });
    using word = partition.registerDoorbell({ gpa: mmio + 0x100, size: 4 });
    using exact = partition.registerDoorbell({ gpa: mmio + 0x200, size: 8, match: 2n ** 40n });
    await using vmm = await boot(guest);
    const exitsOf = async (command: GuestCommand, at: number, value: bigint, count = few) => {
      await vmm.perform({ command, count, address: mmio + at, value });
      return vmm.exits - 1;
    };
    expect(await exitsOf('write8', 0, 0n)).toBe(0);
    expect(await exitsOf('write16', 0, 0n)).toBe(0);
    expect(await exitsOf('write64', 0, 0n)).toBe(0);
    expect(any.event.tryRead()).toBe(BigInt(3 * few));
    expect(await exitsOf('write32', 0x100, 0n, many)).toBe(0);
    expect(await exitsOf('write8', 0x100, 0n)).toBe(few);
    expect(await exitsOf('read32', 0x100, 0n)).toBe(few);
    expect(word.event.tryRead()).toBe(BigInt(many));
    // a hundred values, one of them the right one
    expect(await exitsOf('write64', 0x200, 2n ** 40n - 50n)).toBe(few - 1);
    expect(await exitsOf('write32', 0x200, 2n ** 40n)).toBe(few);
    expect(exact.event.tryRead()).toBe(1n);
    word.close();
    expect(await exitsOf('write32', 0x100, 0n)).toBe(few);
  });

  it(`edits the guest's registers ${some} times, and reads what the guest has in them`, async () => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    const registers = Array.from({ length: 28 }, (_, n) => answer(n));
    guest.view.setRegistersIn(registers);
    const report = await vmm.perform({ command: 'registers', count: some });
    expect(report).toEqual({ progress: some, sum: 0n, wrong: 0 });
    expect(vmm.sum).toBe(
      BigInt.asUintN(64, BigInt(some) * registers.reduce((total, value) => total + value, 0n)),
    );
    expect(guest.view.registersOut()).toEqual(registers.map(edited));
    expect(guest.view.carry(0)).toBe(1);
    expect(guest.view.fsWord(0)).toBe(registers[0]);
  });

  it('takes memory away from under the guest and gives it back, 100 times', async () => {
    using guest = new DeviceGuest();
    const pages = 16;
    using memory = GuestMemory.allocate(pages * 4096);
    const gpa = 0x800000;
    let mapped = guest.partition.mapMemory(memory, { gpa });
    await using vmm = await boot(guest);
    vmm.order({ command: 'touch', count: pages, address: gpa });
    for (let i = 0; i < 100; i++) {
      const run = vmm.run();
      const before = guest.view.progress(0);
      await until(() => guest.view.progress(0) > before);
      mapped.unmap();
      // Not completed: the guest does it again once the memory is back.
      await expect(run).rejects.toThrow(`the guest touches`);
      mapped = guest.partition.mapMemory(memory, { gpa });
    }
    guest.view.stop(0);
    expect(await vmm.run()).toBe('work');
    const words = new DataView(memory.buffer);
    const counted = Array.from({ length: pages }, (_, i) => words.getBigUint64(4096 * i, true));
    expect(counted.reduce((total, each) => total + each)).toBe(
      BigInt(guest.view.report(0).progress),
    );
  });

  it('finds the pages that the guest has written, and those alone', async () => {
    using guest = new DeviceGuest();
    using memory = GuestMemory.allocate(64 * 4096);
    const gpa = 0x800000;
    guest.partition.mapMemory(memory, { gpa });
    await using vmm = await boot(guest);
    const dirty = (): number[] => {
      const pages = guest.partition.dirtyPages({ gpa, size: 64 * 4096, clear: true });
      return Array.from(pages, (page) => Number(page - BigInt(gpa)) / 4096);
    };
    dirty();
    await vmm.perform({ command: 'write8', count: 3, address: gpa + 7 * 4096 });
    await vmm.perform({ command: 'write64', count: 1, address: gpa + 40 * 4096 });
    await vmm.perform({ command: 'read64', count: 1, address: gpa + 50 * 4096 });
    expect(dirty()).toEqual([7, 40]);
    expect(dirty()).toEqual([]);
    await vmm.perform({ command: 'write8', count: 1, address: gpa + 40 * 4096 });
    expect(dirty()).toEqual([40]);
  });

  it('sees a triple fault, and starts the VP anew', async () => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    for (let i = 0; i < 10; i++) {
      vmm.order({ command: 'fault' });
      await expect(vmm.run()).rejects.toThrow('the guest left with unrecoverable-exception');
      guest.enterLongMode(vmm.vp);
      expect(await vmm.run()).toBe('work');
      const report = await vmm.perform({ command: 'out8', count: 10, value: 0 });
      expect(report).toEqual({ progress: 10, sum: 45n, wrong: 0 });
    }
  });

  it('runs two VPs that make exits at the same time', async () => {
    using guest = new DeviceGuest(2);
    await using one = await boot(guest, 0);
    await using other = await boot(guest, 1);
    const reports = await Promise.all([
      one.perform({ command: 'out32', count: some, address: 0x510, value: 0 }),
      other.perform({ command: 'in32', count: some, address: 0x510 }),
    ]);
    expect(reports).toEqual([
      { progress: some, sum: sum(some, BigInt), wrong: 0 },
      { progress: some, sum: sum(some, (n) => BigInt.asUintN(32, answer(n))), wrong: 0 },
    ]);
  });
});

describe.skipIf(!executesGuests)(`the tables of a guest${why}`, () => {
  it('translates addresses with the tables that the guest uses', async () => {
    using guest = new DeviceGuest();
    const { partition } = guest;
    await using vmm = new StartedVmm(guest, 0);
    expect(await vmm.run()).toBe('work');
    expect(partition.translateGva({ vp: 0, gva: 0x100123 })).toMatchObject({
      result: 'success',
      gpa: 0x100123n,
    });
    guest.view.unmapLargePage(5);
    expect(partition.translateGva({ vp: 0, gva: 0xa00000 })).toMatchObject({
      result: 'page-not-present',
      gpa: undefined,
    });
  });
});
