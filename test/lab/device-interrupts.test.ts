import { describe, expect, it } from 'vitest';

import { DeviceGuest } from './device-guest.js';
import { vectors } from './device-guest-memory.js';
import { describeWays, executesGuests, many, mmio, some, until, why } from './vmm-ways.js';
import { StartedVmm } from './vmm.js';

// A guest that has halted wakes up for each interrupt, wherever it comes from.

describeWays((boot) => {
  it(`wakes the guest from HLT with an irqfd ${many} times`, async () => {
    using guest = new DeviceGuest();
    const vector = 0x61;
    const { event } = guest.partition.irqfd.newRoute({
      msi: { address: 0xfee00000n, data: vector },
    });
    await using vmm = await boot(guest, 0, event);
    await vmm.perform({ command: 'interrupts' });
    const report = await vmm.perform({ command: 'halt', count: many, value: vector });
    expect(report).toEqual({ progress: many, sum: 0n, wrong: 0 });
    expect(guest.view.interrupts(0, vector)).toBe(many);
    expect(vmm.exits).toBe(many + 1);
  });

  it(`answers ${some} doorbells with interrupts, without an exit`, async () => {
    using guest = new DeviceGuest();
    const vector = 0x62;
    const route = guest.partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: vector } });
    using doorbell = guest.partition.registerDoorbell({ gpa: mmio, size: 4 });
    let rung = 0n;
    doorbell.event.watch((count) => {
      rung += count;
      route.event.signal();
    });
    await using vmm = await boot(guest);
    await vmm.perform({ command: 'interrupts' });
    const report = await vmm.perform({
      command: 'doorbell',
      count: some,
      address: mmio,
      value: vector,
    });
    expect(report).toEqual({ progress: some, sum: 0n, wrong: 0 });
    expect([rung, guest.view.interrupts(0, vector), vmm.exits]).toEqual([BigInt(some), some, 1]);
  });

  it(`runs two VPs that wake each other ${some} times`, async () => {
    using guest = new DeviceGuest(2);
    const second = guest.partition.irqfd.newRoute({
      msi: { address: 0xfee01000n, data: 0x63 },
    });
    await using one = await boot(guest, 0);
    await using other = await boot(guest, 1);
    await Promise.all([
      one.perform({ command: 'interrupts' }),
      other.perform({ command: 'interrupts' }),
    ]);
    other.order({ command: 'wait' });
    const waiting = other.run();
    const report = await one.perform({ command: 'ping', count: some, address: 1 });
    expect(report).toEqual({ progress: some, sum: 0n, wrong: 0 });
    expect(guest.view.interrupts(1, vectors.ping)).toBe(some);
    expect(guest.view.interrupts(0, vectors.pong)).toBe(some);
    guest.view.stop(1);
    second.event.signal();
    expect(await waiting).toBe('work');
    expect(guest.view.interrupts(1, 0x63)).toBe(1);
    await Promise.all([
      one.perform({ command: 'share', count: many }),
      other.perform({ command: 'share', count: many }),
    ]);
    expect(guest.view.shared).toBe(2 * many);
  });
});

describe.skipIf(!executesGuests)(`a guest that waits${why}`, () => {
  it('wakes the guest with requested interrupts and MSIs', async () => {
    using guest = new DeviceGuest();
    await using vmm = new StartedVmm(guest, 0);
    expect(await vmm.run()).toBe('work');
    await vmm.perform({ command: 'interrupts' });
    vmm.order({ command: 'wait' });
    const run = vmm.run();
    for (let i = 1; i <= some; i++) {
      guest.partition.requestInterrupt({ vector: 0x51 });
      await until(() => guest.view.interrupts(0, 0x51) === i);
      guest.partition.requestMsi(0xfee00000n, 0x52);
      await until(() => guest.view.interrupts(0, 0x52) === i);
    }
    guest.view.stop(0);
    guest.partition.requestInterrupt({ vector: 0x53 });
    expect(await run).toBe('work');
    expect([0x51, 0x52, 0x53].map((vector) => guest.view.interrupts(0, vector))).toEqual([
      some,
      some,
      1,
    ]);
  });
});
