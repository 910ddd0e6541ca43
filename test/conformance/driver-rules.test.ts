import { constants, devNull } from 'node:os';
import { openSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';

import { irqfdFlags } from '../../lib/abi/irqfd.js';
import { partitionFlags } from '../../lib/abi/partition.js';
import { EventFd } from '../../lib/index.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// What the driver does with calls that the classes of this library never make, or make only in an
// order that avoids the consequences. The library's rules rest on these.

const { EBADF, EBUSY, EEXIST, EINVAL, EIO, ENOTTY } = constants.errno;
const { DEASSIGN, RESAMPLE } = irqfdFlags;
const address = 0xfee00000;
const level = 0x8000;

const guest = await guestSideForTests();
let event: EventFd;

partitionForEachTest(guest);
beforeEach(() => {
  event = EventFd.create({ native: guest.native });
  return () => {
    event.close();
  };
});

type Entry = readonly [gsi: number, data: number, addressLow?: number, addressHigh?: number];

const route = (...entries: Entry[]): number =>
  guest.native.setMsiRouting(
    partition.fd,
    Uint32Array.from([
      entries.length,
      0,
      ...entries.flatMap(([gsi, data, low = address, high = 0]) => [gsi, low, high, data]),
    ]),
  );
const irqfd = (gsi: number, flags = 0, resampleFd = -1, fd = event.fd): number =>
  guest.native.irqfd(partition.fd, fd, resampleFd, gsi, flags);
const vectors = () => guest.interrupts(partition).map(({ vector }) => vector);

describe('an armed irqfd', () => {
  it('consumes the counter although nothing is routed', () => {
    expect(irqfd(5)).toBe(0);
    event.signal(3);
    expect(event.pending).toBe(false);
    expect(event.tryRead()).toBeUndefined();
    expect(vectors()).toEqual([]);
  });

  it('asserts vector 0 for GSI 0 and for a hole below the highest routed GSI', () => {
    route([9, 0x41]);
    using other = EventFd.create({ native: guest.native });
    irqfd(5);
    irqfd(0, 0, -1, other.fd);
    event.signal();
    other.signal();
    expect(guest.interrupts(partition)).toEqual([
      { vector: 0, destination: 0, type: 0, level: false, logical: false },
      { vector: 0, destination: 0, type: 0, level: false, logical: false },
    ]);
  });

  it('asserts nothing past the end of the table', () => {
    route([3, 0x41]);
    irqfd(4);
    event.signal();
    expect(vectors()).toEqual([]);
    expect(event.tryRead()).toBeUndefined();
  });

  it('asserts nothing after the table was cleared', () => {
    route([3, 0x41]);
    irqfd(3);
    expect(route()).toBe(0);
    event.signal();
    expect(vectors()).toEqual([]);
  });

  it('follows the table', () => {
    route([3, 0x41]);
    irqfd(3);
    event.signal();
    route([3, 0x42]);
    event.signal();
    expect(vectors()).toEqual([0x41, 0x42]);
  });

  it('injects one for a write of many, and one per wake-up of a semaphore', () => {
    route([3, 0x41]);
    irqfd(3);
    event.signal(5);
    expect(vectors()).toEqual([0x41]);
    using semaphore = EventFd.create({ native: guest.native, semaphore: true });
    irqfd(4, 0, -1, semaphore.fd);
    route([4, 0x42]);
    semaphore.signal(5);
    expect(vectors()).toEqual([0x42]);
    expect(irqfd(4, DEASSIGN, -1, semaphore.fd)).toBe(0);
  });
});

describe('assigning', () => {
  it('injects once for a signalled eventfd and leaves the counter', () => {
    route([3, 0x41]);
    event.signal(4);
    irqfd(3);
    expect(vectors()).toEqual([0x41]);
    expect(event.pending).toBe(true);
    event.signal();
    expect(vectors()).toEqual([0x41]);
    expect(event.pending).toBe(false);
  });

  it('injects nothing for a signalled eventfd without a route, nor when the route comes', () => {
    event.signal();
    irqfd(3);
    route([3, 0x41]);
    expect(vectors()).toEqual([]);
  });

  it('refuses an eventfd that is assigned in the partition, whatever the GSI or the descriptor', () => {
    using clone = event.clone();
    expect(irqfd(3)).toBe(0);
    expect(irqfd(3)).toBe(-EBUSY);
    expect(irqfd(4)).toBe(-EBUSY);
    expect(irqfd(4, 0, -1, clone.fd)).toBe(-EBUSY);
  });

  it('takes one eventfd in two partitions, and only the first hears of it', () => {
    const other = guest.createPartition();
    route([3, 0x41]);
    irqfd(3);
    guest.native.setMsiRouting(other.fd, Uint32Array.of(1, 0, 3, address, 0, 0x42));
    expect(guest.native.irqfd(other.fd, event.fd, -1, 3, 0)).toBe(0);
    event.signal();
    expect(vectors()).toEqual([0x41]);
    expect(guest.interrupts(other)).toEqual([]);
    other.close();
  });

  it('does not check the range of the GSI', () => {
    expect(irqfd(100_000)).toBe(0);
    event.signal();
    expect(vectors()).toEqual([]);
  });

  it('refuses flags it does not know before anything else', () => {
    expect(irqfd(3, 4)).toBe(-EINVAL);
  });

  it('looks at the resample eventfd only where RESAMPLE is set', () => {
    expect(irqfd(3, 0, 12345)).toBe(0);
    expect(irqfd(3, DEASSIGN)).toBe(0);
    route([3, level | 3]);
    expect(irqfd(3, RESAMPLE, 12345)).toBe(-EBADF);
    expect(irqfd(3, RESAMPLE, partition.fd)).toBe(-EINVAL);
  });

  it('needs a level-triggered route for RESAMPLE, and says EBUSY before it says so', () => {
    using resample = EventFd.create({ native: guest.native });
    expect(irqfd(0x41, RESAMPLE, resample.fd)).toBe(-EINVAL);
    route([0x41, 0x41]);
    expect(irqfd(0x41, RESAMPLE, resample.fd)).toBe(-EINVAL);
    route([0x41, level | 0x41]);
    expect(irqfd(0x41, RESAMPLE, resample.fd)).toBe(0);
    route([0x41, level | 0x41]);
    expect(irqfd(0x42, RESAMPLE, resample.fd)).toBe(-EBUSY);
  });
});

describe('deassigning', () => {
  it('returns 0 even where nothing matches', () => {
    expect(irqfd(3, DEASSIGN)).toBe(0);
    irqfd(3);
    expect(irqfd(4, DEASSIGN)).toBe(0);
    expect(irqfd(3)).toBe(-EBUSY);
    expect(irqfd(3, DEASSIGN)).toBe(0);
    expect(irqfd(3, DEASSIGN)).toBe(0);
    expect(irqfd(3)).toBe(0);
  });

  it('empties the counter that assigning left', () => {
    route([3, 0x41]);
    event.signal();
    irqfd(3);
    expect(event.pending).toBe(true);
    irqfd(3, DEASSIGN);
    expect(event.pending).toBe(false);
  });

  it('lets later signals add up, for the next assigning to inject', () => {
    route([3, 0x41]);
    irqfd(3);
    irqfd(3, DEASSIGN);
    event.signal();
    event.signal();
    expect(vectors()).toEqual([]);
    irqfd(3);
    expect(vectors()).toEqual([0x41]);
  });

  it('accepts another descriptor of the same eventfd', () => {
    irqfd(3);
    using clone = event.clone();
    expect(irqfd(3, DEASSIGN, -1, clone.fd)).toBe(0);
    expect(irqfd(4)).toBe(0);
  });

  it('happens by itself when the last descriptor of the eventfd is closed', () => {
    route([3, 0x41]);
    const native = guest.native;
    const fd = native.eventfdCreate(0, false);
    const clone = native.dup(fd);
    irqfd(3, 0, -1, fd);
    native.close(fd);
    native.eventfdSignal(clone);
    expect(vectors()).toEqual([0x41]);
    native.close(clone);
    expect(irqfd(3)).toBe(0);
  });
});

describe('end of interrupt', () => {
  it('signals the resample eventfd whose GSI is the vector, whatever the vector of its route', () => {
    using resample = EventFd.create({ native: guest.native });
    route([0x30, level | 0x41]);
    irqfd(0x30, RESAMPLE, resample.fd);
    event.signal();
    expect(vectors()).toEqual([0x41]);
    guest.endOfInterrupt(partition, 0, 0x41);
    expect(resample.tryRead()).toBeUndefined();
    guest.endOfInterrupt(partition, 0, 0x30);
    expect(resample.tryRead()).toBe(1n);
  });
});

describe('the routing table', () => {
  it.each<[string, Entry[]]>([
    ['a GSI of 4096', [[4096, 0x41]]],
    ['an address with an upper half', [[3, 0x41, address, 1]]],
    [
      'a GSI twice',
      [
        [3, 0x41],
        [3, 0x42],
      ],
    ],
  ])('is refused with %s, and the old one stays', (_, entries) => {
    route([3, 0x50]);
    irqfd(3);
    expect(route(...entries)).toBe(-EINVAL);
    event.signal();
    expect(vectors()).toEqual([0x50]);
  });

  it('is refused with a reserved word that is not 0, or with more than 4096 entries', () => {
    const { native } = guest;
    expect(native.setMsiRouting(partition.fd, Uint32Array.of(0, 1))).toBe(-EINVAL);
    const long = new Uint32Array(2 + 4 * 4097);
    long[0] = 4097;
    expect(native.setMsiRouting(partition.fd, long)).toBe(-EINVAL);
  });

  it('is refused by the addon where the array is shorter than it says', () => {
    const before = guest.calls('MSHV_SET_MSI_ROUTING');
    expect(guest.native.setMsiRouting(partition.fd, Uint32Array.of(1, 0, 3, address, 0))).toBe(
      -EINVAL,
    );
    expect(guest.native.setMsiRouting(partition.fd, new Uint32Array(1))).toBe(-EINVAL);
    expect(guest.calls('MSHV_SET_MSI_ROUTING')).toBe(before);
  });

  it('is replaced whole', () => {
    route([3, 0x41], [4, 0x42]);
    route([4, 0x43]);
    irqfd(4);
    event.signal();
    expect(vectors()).toEqual([0x43]);
  });

  it('takes 4096 entries, GSI 0 and 4095 among them', () => {
    expect(route(...Array.from({ length: 4096 }, (_, gsi): Entry => [gsi, 16 + (gsi % 240)]))).toBe(
      0,
    );
    irqfd(4095);
    event.signal();
    expect(vectors()).toEqual([16 + (4095 % 240)]);
  });

  it('is not looked into further: any vector, any destination', () => {
    expect(route([3, 0x0003, 0x000ff000])).toBe(0);
    irqfd(3);
    event.signal();
    expect(guest.interrupts(partition)).toEqual([
      { vector: 3, destination: 0xff, type: 0, level: false, logical: false },
    ]);
  });
});

describe('partitions and VPs', () => {
  it('are created with both arguments, and refused with flags or isolation that nobody knows', () => {
    const { native } = guest;
    const device = native.open(guest.device.path);
    const v1 = native.createPartition(device, partitionFlags.LAPIC, 0n);
    expect(v1).toBeGreaterThanOrEqual(0);
    expect(native.createPartition(device, 1n << 6n, 0n)).toBe(-EINVAL);
    expect(native.createPartition(device, 0n, 1n)).toBe(-EINVAL);
    // Refused by the addon: the driver would read on behind the short argument.
    const calls = guest.calls('MSHV_CREATE_PARTITION');
    expect(native.createPartition(device, partitionFlags.CPU_AND_XSAVE_FEATURES, 0n)).toBe(-EINVAL);
    expect(guest.calls('MSHV_CREATE_PARTITION')).toBe(calls);
    expect(native.createPartitionV2(device, 1n << 6n, 0n, 0n, 0n, 0n)).toBe(-EINVAL);
    expect(native.createVp(device, 0)).toBe(-ENOTTY);
    expect(native.irqfd(device, event.fd, -1, 3, 0)).toBe(-ENOTTY);
    expect(native.createPartition(v1, 0n, 0n)).toBe(-ENOTTY);
    native.close(v1);
    native.close(device);
  });

  it('initialize twice', () => {
    expect(guest.native.initializePartition(partition.fd)).toBe(0);
  });

  it('have VPs 0 to 255, each once, only when initialized', () => {
    const { native } = guest;
    const fresh = guest.device.createPartition();
    expect(native.createVp(fresh.fd, 0)).toBe(-EIO);
    fresh.initialize();
    expect(native.createVp(fresh.fd, 256)).toBe(-EINVAL);
    const vp = native.createVp(fresh.fd, 255);
    expect(vp).toBeGreaterThanOrEqual(0);
    native.close(vp);
    expect(native.createVp(fresh.fd, 255)).toBe(-EEXIST);
    fresh.close();
  });

  it('lose their irqfds when the last partition descriptor is closed, although VPs live on', () => {
    const { native } = guest;
    const device = native.open(guest.device.path);
    const fd = native.createPartition(device, partitionFlags.LAPIC, 0n);
    native.initializePartition(fd);
    const vp = native.createVp(fd, 0);
    native.setMsiRouting(fd, Uint32Array.of(1, 0, 3, address, 0, 0x41));
    expect(native.irqfd(fd, event.fd, -1, 3, 0)).toBe(0);
    native.close(fd);
    event.signal();
    expect(event.tryRead()).toBe(1n);
    native.close(vp);
    native.close(device);
  });
});

describe('descriptors of another kind', () => {
  it('are told apart: ENOTTY from what is no device, EBADF from what is not ours', () => {
    const { native } = guest;
    const file = openSync(devNull, 'r+'); // never recorded by the addon
    expect(native.initializePartition(file)).toBe(-EBADF);
    expect(native.initializePartition(event.fd)).toBe(-ENOTTY);
    expect(native.irqfd(partition.fd, file, -1, 3, 0)).toBe(-EBADF);
    expect(irqfd(3, 0, -1, partition.fd)).toBe(-EINVAL);
  });
});
