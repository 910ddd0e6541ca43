import { constants } from 'node:os';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';

import { irqfdFlags } from '../../../lib/abi/irqfd.js';
import { eventFdNumber } from '../../../lib/eventfd/eventfd.js';
import { EventFd, type IrqFd, type IrqFdRoute } from '../../../lib/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { FakeHost } from '../fake-host.js';

// What of routes is neither in the conformance suite nor a refused ioctl.

const msi = { address: 0xfee00000n, data: 0x41 };

let host: FakeHost;
let irqfd: IrqFd;

beforeEach(() => {
  const before = openDescriptors();
  host = new FakeHost();
  irqfd = host.partition.irqfd;
  return () => {
    expect(host.native.violations).toEqual([]);
    host[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  };
});

describe('partition.close() inside a batch', () => {
  it('closes everything; the batch applies nothing and throws', () => {
    const route = irqfd.newRoute({ msi });
    let created: IrqFdRoute | undefined;
    expect(() => {
      irqfd.batch(() => {
        route.mask();
        created = irqfd.newRoute({ msi });
        host.partition.close();
      });
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
    expect(host.partition.closed).toBe(true);
    for (const { closed, event } of [route, created ?? route]) {
      expect([closed, event.closed]).toEqual([true, true]);
    }
    expect(irqfd).toMatchObject({ size: 0, gsisInUse: 0 });
  });

  it('ends the batch: nothing can be recorded any more', () => {
    const route = irqfd.newRoute({ msi });
    const closed = expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }) as unknown;
    expect(() => {
      irqfd.batch(() => {
        host.device.close();
        expect(() => irqfd.newRoute()).toThrow(closed);
        expect(() => {
          irqfd.batch(() => undefined);
        }).toThrow(closed);
        expect(() => {
          route.unmask();
        }).toThrow(closed);
        throw new Error('the error of the callback');
      });
    }).toThrow('the error of the callback');
  });
});

describe('arming', () => {
  const ebusy = constants.errno.EBUSY;
  const refused = (act: () => unknown): unknown => {
    try {
      act();
    } catch (error) {
      return error;
    }
    throw new Error('nothing was refused');
  };

  it('names the resample eventfd and its flag for a resample route, none for others', () => {
    const route = irqfd.newRoute();
    const resampling = irqfd.newResampleRoute({ vector: 0x60 });
    host.native.record();
    route.setMsi(msi.address, msi.data);
    resampling.setMsi(msi.address, 0xc060);
    resampling.mask();
    const { fd } = host.partition;
    const { RESAMPLE, DEASSIGN } = irqfdFlags;
    const numbers = [resampling.event, resampling.resampleEvent].map(
      (event) => event && eventFdNumber(event),
    );
    expect(
      host.native.calls.filter(({ name }) => name === 'irqfd').map(({ args }) => args),
    ).toEqual([
      [fd, eventFdNumber(route.event), -1, 256, 0],
      [fd, ...numbers, 0x60, RESAMPLE],
      [fd, ...numbers, 0x60, DEASSIGN],
    ]);
  });

  it('says what EBUSY means, and of no other errno', () => {
    const { event } = irqfd.newRoute({ msi });
    expect(refused(() => irqfd.newRoute({ event, msi }))).toMatchObject({
      code: 'EBUSY',
      errno: -ebusy,
      message:
        'cannot arm irqfd for GSI 257: EBUSY (MSHV_IRQFD): this eventfd is already bound in the partition',
    });
    host.native.record((name) => (name === 'irqfd' ? constants.errno.EIO : undefined));
    expect(refused(() => irqfd.newRoute({ msi }))).toMatchObject({
      message: 'cannot arm irqfd for GSI 257: EIO (MSHV_IRQFD)',
    });
    host.native.record();
    expect(irqfd).toMatchObject({ size: 1, gsisInUse: 1 });
  });
});

describe('a batch', () => {
  it('is not begun on a closed partition', () => {
    host.partition.close();
    expect(() =>
      irqfd.batch(() => {
        throw new Error('the callback was called');
      }),
    ).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });

  it('shows what is recorded, and the driver as it is', () => {
    const route = irqfd.newRoute({ msi });
    const other = irqfd.newRoute({ msi });
    host.native.record();
    irqfd.batch(() => {
      route.setMsi(0xfee01000, 0x42);
      route.mask();
      other.close();
      expect(route).toMatchObject({ route: { address: 0xfee01000n, data: 0x42 }, masked: true });
      expect([route.armed, other.armed, other.closed]).toEqual([true, true, true]);
      expect(() => {
        other.mask();
      }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
      expect(host.native.calls).toEqual([]);
    });
    expect([route.armed, other.armed]).toEqual([false, false]);
    host.expectAgreement([route]);
  });

  it('makes no call for changes that cancel out', () => {
    const route = irqfd.newRoute({ msi });
    host.native.record();
    irqfd.batch(() => {
      route.mask();
      route.clearMsi();
      route.setMsi(msi.address, msi.data);
      route.unmask();
    });
    irqfd.batch(() => undefined);
    expect(host.native.calls).toEqual([]);
  });

  it('gives the GSIs of closed routes back at its end', () => {
    const route = irqfd.newRoute({ msi });
    irqfd.batch(() => {
      route.close();
      expect(irqfd.newRoute().gsi).toBe(257);
    });
    expect(irqfd.newRoute().gsi).toBe(256);
  });

  it('can follow one that failed', () => {
    expect(() =>
      irqfd.batch(() => {
        throw new Error('changed my mind');
      }),
    ).toThrow('changed my mind');
    expect(irqfd.batch(() => irqfd.newRoute({ msi })).armed).toBe(true);
  });

  it.each([
    ['null', null],
    ['an object whose then is no function', { then: 1 }],
    ['a function', () => Promise.resolve()],
  ])('returns %s', (_, value) => {
    expect(irqfd.batch(() => value)).toBe(value);
  });
});

describe('a route', () => {
  it('has a descriptor of its own for an eventfd of the caller', () => {
    const event = EventFd.create({ native: host.native });
    const route = irqfd.newRoute({ event, msi });
    expect(route.event.fd).not.toBe(event.fd);
    route.close();
    event.signal(2);
    expect(event.tryRead()).toBe(2n);
    event.close();
  });

  it('rejects who waits for its event when it is closed', async () => {
    const route = irqfd.newRoute();
    const wait = route.event.wait();
    route.close();
    await expect(wait).rejects.toMatchObject({ code: 'ERR_MSHV_CLOSED' });
  });

  it('shows pending signals only while it is not armed', () => {
    const route = irqfd.newRoute({ msi, masked: true });
    route.event.signal(3);
    expect(route.pending).toBe(true);
    // The driver leaves in the counter what it has injected for. Arming empties it.
    route.unmask();
    expect([route.pending, route.takePending()]).toEqual([false, 0n]);
    route.mask();
    expect([route.takePending(), route.takePending(), route.pending]).toEqual([0n, 0n, false]);
  });

  it('shows what it is', () => {
    const inLine = (one: object): string => inspect(one, { breakLength: Infinity });
    const unnamed = irqfd.newRoute();
    const seen = [inLine(unnamed)];
    unnamed.close();
    const route = irqfd.newRoute({ name: 'net' });
    route.setMsi(msi.address, msi.data);
    seen.push(inLine(route));
    route.mask();
    route.event.signal();
    seen.push(inLine(route));
    route.close();
    seen.push(inLine(route));
    const shown = 'msi: { address: 0xfee00000, data: 0x41 }';
    expect(seen).toEqual([
      "IrqFdRoute { gsi: 256, state: 'disarmed', pending: false, closed: false }",
      `IrqFdRoute { gsi: 256, name: 'net', ${shown}, state: 'armed', closed: false }`,
      `IrqFdRoute { gsi: 256, name: 'net', ${shown}, state: 'masked', pending: true, closed: false }`,
      "IrqFdRoute { gsi: 256, name: 'net', closed: true }",
    ]);
  });

  it('is found by its partition until it is closed, in the order of GSIs', () => {
    const [first, second] = [irqfd.newRoute({ name: 'net' }), irqfd.newRoute()];
    const resample = irqfd.newResampleRoute({ vector: 0x60, name: 'line' });
    expect(irqfd.routes.map(({ name }) => name)).toEqual(['line', 'net', undefined]);
    expect(irqfd.routes).toEqual([resample, first, second]);
    irqfd.batch(() => {
      first.close();
      expect(irqfd.routes).toEqual([resample, first, second]);
      irqfd.newRoute({ name: 'disk' });
    });
    expect(irqfd.routes.map(({ name }) => name)).toEqual(['line', undefined, 'disk']);
    expect(() => {
      irqfd.batch(() => {
        irqfd.newRoute();
        throw new Error('nothing of it');
      });
    }).toThrow('nothing of it');
    expect(irqfd.routes).toHaveLength(irqfd.size);
    host.partition.close();
    expect(irqfd.routes).toEqual([]);
  });

  it('closes harmlessly after its partition', () => {
    const route = irqfd.newRoute({ msi });
    host.partition.close();
    route.close();
    expect(route.closed).toBe(true);
  });

  it('is closed at the end of its scope', () => {
    {
      using route = irqfd.newRoute({ msi });
      expect(irqfd.size).toBe(1);
      expect(route.closed).toBe(false);
    }
    expect(irqfd).toMatchObject({ size: 0, gsisInUse: 0 });
  });

  it('takes any vector from 16 and any logical destination, and ignores what the driver ignores', () => {
    const route = irqfd.newRoute();
    for (const [address, data] of [
      [0xfee00000, 0x10],
      [0xfee03000, 0xff],
      [0xfeeff004, 0x41],
      [0xfee0000bn, 0x7841],
      [0xfee03003, 0xffff_70ff],
    ] as const) {
      route.setMsi(address, data);
      expect(route).toMatchObject({ armed: true, route: { address: BigInt(address), data } });
    }
  });

  it.each<[string, number | bigint, number]>([
    ['names a VP that is not there', 0xfee0_4000, 0x41],
    ['has an exception as its vector', 0xfee0_0000, 0x0f],
    ['has a reserved delivery mode', 0xfee0_0000, 0x341],
    ['has an upper half', 0x1_fee0_0000n, 0x41],
  ])('keeps its MSI where the guest chooses one that %s', (_, address, data) => {
    const route = irqfd.newRoute({ msi: { address: 0xfee0_0000, data: 0x51 } });
    const before = host.snapshot([route]);
    host.native.record();
    expect(() => {
      route.setMsi(address, data);
    }).toThrow(RangeError);
    expect(host.native.calls).toEqual([]);
    expect(host.snapshot([route])).toEqual(before);
  });

  it.each([
    ['NMI', 0x0400],
    ['INIT', 0x0500],
  ])('may be an %s, which has no vector', (_, data) => {
    expect(irqfd.newRoute({ msi: { address: 0xfee00000, data } }).armed).toBe(true);
  });
});
