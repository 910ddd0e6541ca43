import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { MshvError } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import { DirectGuestEventPort, type EventPartition } from '../../../lib/synic/guest-event-port.js';
import { openDescriptors } from '../../open-descriptors.js';
import { call, rangeOf, row, typeOf } from './refusals.js';

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
    for (const [method, ...args] of [
      ['signal'],
      ['set', 0, 1, 2, 3],
      ['clear'],
      ['setTargetVp', 0],
    ] as const) {
      expect(() => call(port, method, args)).toThrow(closed);
    }
  });

  it('shows its flag', () => {
    expect(inspect(port)).toBe('GuestEventPort { no flag }');
    port.set(0, 1, 2, 3);
    expect(inspect(port)).toBe('GuestEventPort { vtl: 0, vp: 1, sint: 2, flag: 3 }');
    port[Symbol.dispose]();
    expect(inspect(port)).toBe('GuestEventPort { closed }');
  });

  it.each([
    row('set', [16, 0, 0, 0], rangeOf('vtl')),
    row('set', [0, 256, 0, 0], rangeOf('vp')),
    row('set', [0, 4, 0, 0], withCode('ERR_MSHV_NO_VP')),
    row('set', [0, 0, 16, 0], rangeOf('sint')),
    row('set', [0, 0, 0, 2048], rangeOf('flag')),
    row('set', [0, 0, 0, '1'], typeOf('flag')),
    row('setTargetVp', [4], withCode('ERR_MSHV_NO_VP')),
    row('setTargetVp', [256], rangeOf('vp')),
    row('setTargetVp', [undefined], typeOf('vp')),
  ])('%s changes nothing', (_, method, args, error) => {
    port.set(0, 1, 2, 3);
    expect(() => call(port, method, args)).toThrow(error);
    port.signal();
    expect([...flags]).toEqual(['0.1.2.3']);
  });

  it.each([
    ['no partition', [undefined], typeOf('partition')],
    ['a partition without signals', [{ hasVp: () => true }], typeOf('partition.signalEvent')],
    ['other options', [0, { addon: linuxNative() }], rangeOf('options')],
    ['another addon', [0, { native: {} }], typeOf('options.native')],
    ['another listener', [0, { onError: 1 }], typeOf('options.onError')],
  ])('is not made of %s', (_, args, error) => {
    const given = args.map((arg) => (arg === 0 ? partition : arg));
    expect(() => Reflect.construct(DirectGuestEventPort, given) as unknown).toThrow(error);
  });
});
