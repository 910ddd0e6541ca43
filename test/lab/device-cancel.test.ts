import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { DeviceGuest } from './device-guest.js';
import { loadAddress } from './device-guest-memory.js';
import { describeWays, some, sum, until } from './vmm-ways.js';
import type { GuestRunEnd } from './vmm.js';

// A VP whose guest never leaves is canceled, and loses nothing by it.

describeWays((boot) => {
  it('reads and writes registers of a VP that spins', async () => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    vmm.order({ command: 'spin' });
    const run = vmm.run();
    for (let i = 0; i < 100; i++) {
      const before = guest.view.progress(0);
      await until(() => guest.view.progress(0) > before);
      vmm.vp.setRegisters({ R15: BigInt(i) });
      const { R15, RIP } = vmm.vp.getRegisters(['R15', 'RIP']);
      expect(R15).toBe(BigInt(i));
      expect(RIP).toBeGreaterThan(BigInt(loadAddress));
    }
    guest.view.stop(0);
    expect(await run).toBe('work');
  });

  it(`cancels a spinning VP ${some} times; it goes on where it was`, async () => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    vmm.order({ command: 'spin' });
    let stopped = 0;
    for (let i = 0; i < some; i++) {
      // Before the run, at once, or when the guest counts again.
      const moment = i % 4;
      if (moment === 0) vmm.vp.cancel();
      const run = vmm.run();
      if (moment >= 2) await until(() => guest.view.progress(0) > stopped);
      if (moment !== 0) vmm.vp.cancel();
      expect(await run).toBe('canceled');
      stopped = guest.view.progress(0);
      if (i % 50 === 0) await setTimeout(2);
      expect(guest.view.progress(0)).toBe(stopped);
    }
    guest.view.stop(0);
    expect(await vmm.run()).toBe('work');
    expect(guest.view.report(0)).toMatchObject({ sum: 0n, wrong: 0 });
    expect(vmm.exits).toBe(1);
  });

  it(`loses no exit of ${3 * some} to cancels`, async () => {
    using guest = new DeviceGuest();
    await using vmm = await boot(guest);
    vmm.order({ command: 'out32', count: 3 * some, address: 0x510, value: 1 });
    let canceled = 0;
    for (let end: GuestRunEnd | undefined; end !== 'work';) {
      end = undefined;
      const before = vmm.exits;
      const run = vmm.run().then((how) => (end = how));
      if (canceled < some) {
        await until(() => end !== undefined || vmm.exits > before + (canceled % 8));
        vmm.vp.cancel();
      }
      if ((await run) === 'canceled') canceled++;
    }
    const expected = sum(3 * some, (n) => BigInt(n + 1));
    expect(vmm.report).toEqual({ progress: 3 * some, sum: expected, wrong: 0 });
    expect([vmm.exits, vmm.sum]).toEqual([3 * some + 1, expected]);
    expect(canceled).toBeGreaterThan(10);
  });
});
