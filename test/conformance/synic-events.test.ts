import { describe, expect, it, vi } from 'vitest';

import { type MshvError } from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import { insideLab } from '../inside-lab.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { messagesForEachTest, sint } from './messages-for-tests.js';
import { partition, patience } from './partition-for-tests.js';
import { errors, ports } from './synic-for-tests.js';

// Events on their way to the guest.

const guest = await guestSideForTests();
messagesForEachTest(guest);

describe('an event', () => {
  it('is the flag that was chosen', () => {
    const flags = [
      [0, 0, 0],
      [0, 2, 2047],
      [1, 15, 77],
    ] as const;
    for (const [index, to, flag] of flags) {
      const port = ports.newGuestEventPort(1, 0, index, to, flag);
      expect(port.signal()).toBe(true);
      port[Symbol.dispose]();
    }
    expect(guest.takeEvents(partition, 0)).toEqual([
      { sint: 0, flag: 0 },
      { sint: 2, flag: 2047 },
    ]);
    expect(guest.takeEvents(partition, 1)).toEqual([{ sint: 15, flag: 77 }]);
    expect(guest.takeEvents(partition, 0)).toEqual([]);
  });

  // The lab's scripted hypervisor calls every signal new.
  it.runIf(!insideLab)('is new where the guest has seen the last one', () => {
    using port = ports.newGuestEventPort(1, 0, 0, sint, 5);
    expect([port.signal(), port.signal()]).toEqual([true, false]);
    guest.takeEvents(partition, 0);
    expect(port.signal()).toBe(true);
  });

  it('follows set, setTargetVp and clear', () => {
    using port = ports.newGuestEventPort();
    expect(port.signal()).toBe(false);
    port.setTargetVp(1);
    port.set(0, 0, sint, 1);
    port.signal();
    port.setTargetVp(1);
    port.signal();
    port.set(0, 1, 3, 9);
    port.interrupt().deliver();
    port.clear();
    expect(port.signal()).toBe(false);
    port.interrupt().deliver();
    expect(guest.takeEvents(partition, 0)).toEqual([{ sint, flag: 1 }]);
    expect(guest.takeEvents(partition, 1)).toEqual([
      { sint, flag: 1 },
      { sint: 3, flag: 9 },
    ]);
  });

  it('can be signalled by an OS event, without a call', async () => {
    using port = ports.newGuestEventPort(1, 0, 0, sint, 6);
    port.interrupt().event.signal();
    const seen = () => {
      const [event] = guest.takeEvents(partition, 0);
      return event;
    };
    expect(await vi.waitUntil(seen, { timeout: patience, interval: 1 })).toEqual({ sint, flag: 6 });
  });

  it('is refused by a SynIC that is off: who signals is told, else the listener', () => {
    const hvStatus = { name: 'HV_STATUS_INVALID_SYNIC_STATE' };
    using port = ports.newGuestEventPort(1, 0, 2, sint, 6);
    expect(() => port.signal()).toThrow(
      expect.objectContaining({ hvStatus: expect.objectContaining(hvStatus) as unknown }),
    );
    expect(errors).toEqual([]);
    port.interrupt().deliver();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_EVENT_REFUSED', cause: { hvStatus } }]);
    enableSynic(partition, 2);
    expect(port.signal()).toBe(true);
    expect(guest.takeEvents(partition, 2)).toEqual([{ sint, flag: 6 }]);
  });

  it('of a VP that is not there is none', () => {
    const noVp = expect.objectContaining({ code: 'ERR_MSHV_NO_VP' }) as MshvError;
    expect(() => ports.newGuestEventPort(1, 0, 3, sint, 0)).toThrow(noVp);
  });

  it('of a closed partition is refused; its port can be disposed of', () => {
    const port = ports.newGuestEventPort(1, 0, 0, sint, 0);
    partition.close();
    expect(() => port.signal()).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
    port.interrupt().deliver();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_EVENT_REFUSED' }]);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    port.interrupt().deliver();
    expect(errors).toHaveLength(1);
  });
});
