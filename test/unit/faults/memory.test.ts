import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { describe, expect, it } from 'vitest';

import { EventFd, GuestMemory } from '../../../lib/index.js';
import type { Fault } from '../../fake-native.js';
import { FakeHost } from '../fake-host.js';

// Where nothing can be taken away, what is closed is closed all the same.

const { EBADF, EINTR, EINVAL, EIO, ENOMEM } = constants.errno;
const errnos = [EBADF, EINTR, EINVAL, EIO, ENOMEM];

describe('partition.close()', () => {
  const close = (fault?: Fault) => {
    using host = new FakeHost();
    const { native, partition } = host;
    using memory = GuestMemory.allocate(0x8000, { native });
    using event = EventFd.create({ native });
    const orphan = GuestMemory.allocate(0x1000, { native, shared: true });
    const mappings = [
      partition.mapMemory(memory, { gpa: 0x10000, size: 0x4000 }),
      partition.mapMemory(memory, { gpa: 0x14000, offset: 0x4000 }),
      partition.mapMemory(orphan, { gpa: 0x100000 }),
    ];
    orphan.close();
    const doorbells = [
      partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 1 }),
      partition.registerDoorbell({ gpa: 0xfe000000, event }),
    ];
    const { calls, error } = host.attempt(() => {
      partition.close();
    }, fault);
    expect(native.partitions.size).toBe(0);
    expect(native.violations).toEqual([]);
    expect(mappings.map(({ mapped }) => mapped)).toEqual([false, false, false]);
    expect([partition.mappings, partition.doorbells]).toEqual([[], []]);
    expect(doorbells.map((one) => one.closed && one.event.closed)).toEqual([true, true]);
    // The caller's own stay; what was closed before is gone.
    expect([event.closed, memory.closed, memory.mappings]).toEqual([false, false, 0]);
    expect(native.memories.size).toBe(1);
    return { calls, error };
  };

  it('takes the doorbells away, and lets go of the memory without another call', () => {
    const { calls, error } = close();
    expect(error).toBeUndefined();
    expect(calls.map(({ name }) => name)).toEqual(['ioeventfd', 'ioeventfd']);
  });

  it.each(errnos.map((errno) => [getSystemErrorName(-errno), errno] as const))(
    'closes all the same where doorbells cannot be taken away: %s',
    (code, errno) => {
      const { error } = close((name) => (name === 'ioeventfd' ? errno : undefined));
      const one = { code, ioctl: 'MSHV_IOEVENTFD' };
      expect(error).toMatchObject({
        code: 'ERR_MSHV_UNCLEAN_CLOSE',
        cause: { errors: [one, one] },
      });
    },
  );
});
