import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// Where simulator and driver once differed, each found by `npm run differential` and shrunk by it.

const { EAGAIN, EINVAL } = constants.errno;

const guest = await guestSideForTests();

partitionForEachTest(guest, 1);

describe('the driver, and the simulator like it,', () => {
  it('lets its descriptors be neither read nor written', () => {
    const { native } = guest;
    const vp = native.createVp(partition.fd, 7);
    for (const fd of [partition.fd, vp]) {
      expect(native.eventfdRead(fd)).toBe(-EINVAL);
      expect(native.eventfdSignal(fd, 1n)).toBe(-EINVAL);
      expect(native.eventfdPoll(fd)).toBe(1);
    }
    native.close(vp);
  });

  it('injects for a doorbell whose eventfd has no room left', () => {
    const { native } = guest;
    const event = native.eventfdCreate(0, false);
    const gpa = 0xd000_0000n;
    expect(native.ioeventfd(partition.fd, event, gpa, 4, 0n, 0)).toBe(0);
    expect(native.eventfdSignal(event, 2n ** 64n - 2n)).toBe(0);
    expect(native.setMsiRouting(partition.fd, Uint32Array.of(1, 0, 5, 0xfee00000, 0, 0x41))).toBe(
      0,
    );
    expect(native.irqfd(partition.fd, event, -1, 5, 0)).toBe(0);
    expect(native.eventfdSignal(event, 1n)).toBe(-EAGAIN);
    expect(guest.interrupts(partition)).toHaveLength(1);
    expect(guest.writeMmio(partition, gpa, 4, 0n)).toBe(true);
    expect(guest.interrupts(partition)).toHaveLength(1);
    expect(native.eventfdPoll(event)).toBe(0);
    native.close(event);
  });
});
