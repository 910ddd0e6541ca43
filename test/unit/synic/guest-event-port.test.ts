import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { MshvError } from '../../../lib/index.js';
import { DirectGuestEventPort, type EventPartition } from '../../../lib/synic/guest-event-port.js';
import { openDescriptors } from '../../open-descriptors.js';

let flags: Set<string>;
let partition: EventPartition;
let errors: MshvError[];
let port: DirectGuestEventPort;

beforeEach(() => {
  flags = new Set();
  errors = [];
  partition = {
    hasVp: (index) => index < 4,
    signalEvent: (vtl, vp, sint, flag) => {
      const key = `${vtl}.${vp}.${sint}.${flag}`;
      const isNew = !flags.has(key);
      flags.add(key);
      return isNew;
    },
  };
  port = new DirectGuestEventPort(partition, { onError: (error) => errors.push(error) });
});

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('a guest event port', () => {
  it('signals its flag, and says whether it was clear', () => {
    port.set(1, 2, 3, 2047);
    expect([port.signal(), port.signal()]).toEqual([true, false]);
    flags.clear();
    expect(port.signal()).toBe(true);
    expect([...flags]).toEqual(['1.2.3.2047']);
  });

  it('has an interrupt that follows set, setTargetVp and clear', () => {
    const interrupt = port.interrupt();
    expect(port.interrupt()).toBe(interrupt);
    interrupt.deliver();
    expect(port.signal()).toBe(false);
    port.setTargetVp(3);
    interrupt.deliver();
    expect([...flags]).toEqual([]);
    port.set(0, 0, 2, 5);
    interrupt.deliver();
    port.setTargetVp(1);
    interrupt.deliver();
    port.clear();
    interrupt.deliver();
    port.set(0, 3, 2, 6);
    interrupt.deliver();
    expect([...flags]).toEqual(['0.0.2.5', '0.1.2.5', '0.3.2.6']);
  });

  it('reports an event that comes before it has a flag, and makes no exception of it', () => {
    port.interrupt().deliver();
    port.setTargetVp(1);
    port.interrupt().deliver();
    // Who asks is told.
    expect(port.signal()).toBe(false);
    expect(errors.map(({ code, cause }) => [code, cause])).toEqual([
      ['ERR_MSHV_EVENT_REFUSED', undefined],
      ['ERR_MSHV_EVENT_REFUSED', undefined],
    ]);
    expect(errors[0]?.message).toBe(
      'cannot signal an event of the guest: no flag has been set yet, so that the event is lost',
    );
    expect([...flags]).toEqual([]);
  });

  it.each<[string, () => void]>([
    [
      'its flag was cleared',
      () => {
        port.set(0, 0, 2, 5);
        port.clear();
      },
    ],
    [
      'it was cleared without one',
      () => {
        port.clear();
      },
    ],
    [
      'it is disposed of',
      () => {
        port[Symbol.dispose]();
      },
    ],
  ])('reports nothing of an event that comes after %s', (_, end) => {
    const interrupt = port.interrupt();
    end();
    interrupt.deliver();
    expect([errors, [...flags]]).toEqual([[], []]);
  });

  it('has an event that signals it', async () => {
    const before = openDescriptors();
    const signalled = new Promise<void>((resolve) => {
      vi.spyOn(partition, 'signalEvent').mockImplementationOnce((...args) => {
        resolve();
        return partition.signalEvent(...args);
      });
    });
    port.set(0, 1, 2, 3);
    // The interrupt's event does not hold the loop.
    const hold = setInterval(() => undefined, 1000);
    port.interrupt().event.signal();
    await signalled;
    clearInterval(hold);
    expect([...flags]).toEqual(['0.1.2.3']);
    port[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  });

  it('reports what its interrupt is refused, and throws what it is refused itself', () => {
    const refused = new MshvError('SynIC off', { code: 'EIO' });
    partition.signalEvent = () => {
      throw refused;
    };
    port.set(0, 1, 2, 3);
    port.interrupt().deliver();
    expect(errors).toMatchObject([
      {
        code: 'ERR_MSHV_EVENT_REFUSED',
        message: 'cannot signal an event of the guest: SynIC off',
        cause: refused,
      },
    ]);
    expect(() => port.signal()).toThrow(refused);
  });

  it('warns once where nobody listens', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const quiet = new DirectGuestEventPort({
      ...partition,
      signalEvent: () => {
        throw new Error('SynIC off');
      },
    });
    quiet.set(0, 1, 2, 3);
    for (let i = 0; i < 3; i++) quiet.interrupt().deliver();
    expect(warn).toHaveBeenCalledTimes(1);
    warn.mockRestore();
  });

  it('does nothing once it is disposed of', () => {
    port.set(0, 1, 2, 3);
    const interrupt = port.interrupt();
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    interrupt.deliver();
    expect([...flags]).toEqual([]);
    const closed = withCode('ERR_MSHV_CLOSED');
    const uses: (() => unknown)[] = [
      () => port.signal(),
      () => {
        port.set(0, 1, 2, 3);
      },
      () => {
        port.clear();
      },
      () => {
        port.setTargetVp(0);
      },
    ];
    for (const use of uses) expect(use).toThrow(closed);
  });

  it('shows its flag', () => {
    expect(inspect(port)).toBe("GuestEventPort { flag: 'none', closed: false }");
    port.set(0, 1, 2, 3);
    expect(inspect(port)).toBe('GuestEventPort { vtl: 0, vp: 1, sint: 2, flag: 3, closed: false }');
    port[Symbol.dispose]();
    expect(inspect(port)).toBe('GuestEventPort { closed: true }');
  });

  it('keeps its flag where it is given a VP that is not there', () => {
    port.set(0, 1, 2, 3);
    expect(() => {
      port.set(0, 4, 0, 0);
    }).toThrow(withCode('ERR_MSHV_NO_VP'));
    expect(() => {
      port.setTargetVp(4);
    }).toThrow(withCode('ERR_MSHV_NO_VP'));
    port.signal();
    expect([...flags]).toEqual(['0.1.2.3']);
  });
});
