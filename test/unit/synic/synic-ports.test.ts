import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { EventFd, MshvError } from '../../../lib/index.js';
import type { GuestEventPort } from '../../../lib/synic/guest-ports.js';
import { Interrupt } from '../../../lib/irq/interrupt.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import type { SynicPortAccess } from '../../../lib/synic/synic-port-access.js';
import { SynicPorts } from '../../../lib/synic/synic-ports.js';
import type { Synic, SynicMonitor } from '../../../lib/synic/synic.js';

/** What a partition is asked for, in order. */
let calls: unknown[][];

beforeEach(() => {
  calls = [];
});

const disposable = (name: string): Disposable => ({
  [Symbol.dispose]: () => calls.push([`dispose ${name}`]),
});

const guestEventPort = (): GuestEventPort => ({
  signal: () => calls.push(['signal']) > 0,
  interrupt: () => Interrupt.null,
  set: (...args) => calls.push(['set', ...args]),
  clear: () => calls.push(['clear']),
  setTargetVp: (vp) => calls.push(['setTargetVp', vp]),
  closed: false,
  close: () => calls.push(['close guest event port']),
  [Symbol.dispose]: () => calls.push(['dispose guest event port']),
});

/** A partition with nothing that it need not have. */
function plainSynic(): Synic & { portMap: SynicPortMap } {
  return {
    portMap: new SynicPortMap(),
    postMessage: (vtl, vp, sint, type, payload) => {
      calls.push(['postMessage', vtl, vp, sint, type, [...payload]]);
      return true;
    },
    newGuestEventPort: guestEventPort,
    preferOsEvents: false,
  };
}

const monitor: SynicMonitor = {
  registerMonitor: (monitorId, connectionId, latency) => {
    calls.push(['registerMonitor', monitorId, connectionId, latency]);
    return disposable('monitor');
  },
  setMonitorPage: (vtl, gpa) => calls.push(['setMonitorPage', vtl, gpa]),
  allocateMonitorPage: (vtl) => {
    calls.push(['allocateMonitorPage', vtl]);
    return 0x5000n;
  },
};

/** A partition with everything. */
function fullSynic(): Synic & { portMap: SynicPortMap } {
  return {
    ...plainSynic(),
    preferOsEvents: true,
    newHostEventPort: (connectionId, minimumVtl, event) => {
      calls.push(['newHostEventPort', connectionId, minimumVtl, event]);
      return disposable('doorbell');
    },
    newGuestMessagePort: (vtl, vp, sint) => {
      calls.push(['newGuestMessagePort', vtl, vp, sint]);
      return {
        post: () => false,
        setTargetVp: () => undefined,
        closed: false,
        close: () => undefined,
        [Symbol.dispose]: () => undefined,
      };
    },
    monitorSupport: monitor,
  };
}

const handleMessage = (): undefined => undefined;
const handleEvent = (): undefined => undefined;

describe('over a partition with three methods', () => {
  it('adds and removes host ports', () => {
    const synic = plainSynic();
    const ports: SynicPortAccess = new SynicPorts(synic);
    const message = ports.addMessagePort(1, 0, { handleMessage });
    const event = ports.addEventPort(2, 0, { handleEvent });
    expect([synic.portMap.kind(1), synic.portMap.kind(2)]).toEqual(['message', 'event']);
    expect(inspect(ports)).toBe('SynicPorts { ports: 2 }');
    for (const handle of [message, event, message, event]) handle[Symbol.dispose]();
    expect(synic.portMap.size).toBe(0);
    expect(calls).toEqual([]);
  });

  it('signals an OS event from the dispatcher, and takes no notice of monitors', () => {
    using osEvent = EventFd.create();
    const synic = plainSynic();
    const ports = new SynicPorts(synic);
    ports.addEventPort(2, 0, { osEvent }, { monitorId: 5, latency: 100 });
    expect(synic.portMap.handleSignalEvent(0, 2, 0)).toBe(0);
    expect(osEvent.tryRead()).toBe(1n);
    expect([ports.preferOsEvents, ports.monitorSupport]).toEqual([false, undefined]);
  });

  it('posts messages without a port', () => {
    const ports = new SynicPorts(plainSynic());
    expect(ports.postMessage(0, 3, 2, 1, Uint8Array.of(7))).toBe(true);
    expect(calls).toEqual([['postMessage', 0, 3, 2, 1, [7]]]);
  });

  it('makes message ports of it', () => {
    const port = new SynicPorts(plainSynic()).newGuestMessagePort(1, 3, 2);
    expect(port.post(1, Uint8Array.of(7))).toBe(true);
    port.setTargetVp(4);
    expect(port.post(2, new Uint8Array())).toBe(true);
    expect(calls).toEqual([
      ['postMessage', 1, 3, 2, 1, [7]],
      ['postMessage', 1, 4, 2, 2, []],
    ]);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    const closed = expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }) as Error;
    expect(() => port.post(1, new Uint8Array())).toThrow(closed);
    expect(() => {
      port.setTargetVp(0);
    }).toThrow(closed);
    expect(calls).toHaveLength(2);
  });

  it('makes event ports of either generation', () => {
    const ports = new SynicPorts(plainSynic());
    const older = ports.newGuestEventPort();
    expect(calls).toEqual([]);
    older.set(0, 1, 2, 3);
    older.clear();
    ports.newGuestEventPort(77, 0, 4, 5, 2047, { monitorId: 1, latency: 0 });
    expect(calls).toEqual([['set', 0, 1, 2, 3], ['clear'], ['set', 0, 4, 5, 2047]]);
  });

  it('leaves no event port behind that cannot be set', () => {
    const noVp = new MshvError('no VP 9', { code: 'ERR_MSHV_NO_VP' });
    const ports = new SynicPorts({
      ...plainSynic(),
      newGuestEventPort: () => ({
        ...guestEventPort(),
        set: () => {
          throw noVp;
        },
      }),
    });
    expect(() => ports.newGuestEventPort(0, 0, 9, 2, 0)).toThrow(noVp);
    expect(calls).toEqual([['close guest event port']]);
  });
});

describe('over a partition with everything', () => {
  it('binds an OS event and registers a monitor, and undoes both', () => {
    using osEvent = EventFd.create();
    const synic = fullSynic();
    const ports = new SynicPorts(synic);
    expect(ports.preferOsEvents).toBe(true);
    const port = ports.addEventPort(2, 1, { osEvent }, { monitorId: 127, latency: 30_000 });
    expect(calls).toEqual([
      ['newHostEventPort', 2, 1, osEvent],
      ['registerMonitor', 127, 2, 30_000],
    ]);
    calls = [];
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect(calls).toEqual([['dispose monitor'], ['dispose doorbell']]);
    expect(synic.portMap.size).toBe(0);
  });

  it('binds nothing for a function, and registers no monitor that was not asked for', () => {
    new SynicPorts(fullSynic()).addEventPort(2, 1, { handleEvent });
    expect(calls).toEqual([]);
  });

  it('lets the partition have message ports of its own', () => {
    expect(new SynicPorts(fullSynic()).newGuestMessagePort(0, 1, 2).post(1, new Uint8Array())).toBe(
      false,
    );
    expect(calls).toEqual([['newGuestMessagePort', 0, 1, 2]]);
  });

  it('hands monitor pages through', () => {
    const support = new SynicPorts(fullSynic()).monitorSupport;
    expect(support?.allocateMonitorPage(2)).toEqual({ parentToChild: 0n, childToParent: 0x5000n });
    support?.setMonitorPage(1, { parentToChild: 0x1000n, childToParent: 0x2000n });
    support?.setMonitorPage(1, undefined);
    expect(calls).toEqual([
      ['allocateMonitorPage', 2],
      ['setMonitorPage', 1, 0x2000n],
      ['setMonitorPage', 1, undefined],
    ]);
  });

  it('says so where monitor pages cannot be allocated', () => {
    const monitorSupport: SynicMonitor = {
      registerMonitor: () => disposable('monitor'),
      setMonitorPage: () => undefined,
    };
    const ports = new SynicPorts({ ...fullSynic(), monitorSupport });
    expect(ports.monitorSupport?.allocateMonitorPage(0)).toBeUndefined();
  });
});

describe('a port that cannot be added leaves nothing behind', () => {
  it('where its connection id is in use', () => {
    using osEvent = EventFd.create();
    const synic = fullSynic();
    const ports = new SynicPorts(synic);
    ports.addMessagePort(2, 0, { handleMessage });
    const inUse = expect.objectContaining({ code: 'ERR_MSHV_CONNECTION_ID_IN_USE' }) as Error;
    expect(() => ports.addEventPort(2, 0, { osEvent }, { monitorId: 1, latency: 0 })).toThrow(
      inUse,
    );
    expect(() => ports.addMessagePort(2, 0, { handleMessage })).toThrow(inUse);
    expect(calls).toEqual([]);
    expect([synic.portMap.size, synic.portMap.kind(2)]).toEqual([1, 'message']);
  });

  it('where its event cannot be bound', () => {
    using osEvent = EventFd.create();
    const refused = new Error('EEXIST');
    const synic: Synic = {
      ...fullSynic(),
      newHostEventPort: () => {
        throw refused;
      },
    };
    const ports = new SynicPorts(synic);
    expect(() => ports.addEventPort(2, 0, { osEvent }, { monitorId: 1, latency: 0 })).toThrow(
      refused,
    );
    expect(calls).toEqual([]);
    expect(synic.portMap.size).toBe(0);
  });

  it.each([
    ['', () => disposable('doorbell')],
    [
      ', even where that cannot be undone',
      () => ({
        [Symbol.dispose]: () => {
          throw new Error('ENOENT');
        },
      }),
    ],
  ])('where its monitor id is in use%s', (title, newHostEventPort) => {
    using osEvent = EventFd.create();
    const inUse = new MshvError('monitor id 1 is in use', { code: 'ERR_MSHV_MONITOR_ID_IN_USE' });
    const registerMonitor = vi.fn(() => {
      throw inUse;
    });
    const synic: Synic = {
      ...fullSynic(),
      newHostEventPort,
      monitorSupport: { ...monitor, registerMonitor },
    };
    const ports = new SynicPorts(synic);
    const add = () => ports.addEventPort(2, 0, { osEvent }, { monitorId: 1, latency: 0 });
    if (title === '') {
      expect(add).toThrow(inUse);
      expect(calls).toEqual([['dispose doorbell']]);
    } else {
      expect(add).toThrow(
        expect.objectContaining({
          code: 'ERR_MSHV_UNDO',
          message:
            'cannot add an event port: monitor id 1 is in use; nor undo what was done: ENOENT',
          cause: expect.objectContaining({ errors: [inUse, new Error('ENOENT')] }) as unknown,
        }),
      );
    }
    expect(synic.portMap.size).toBe(0);
  });
});

describe('disposing of a port', () => {
  it('after the partition was closed is harmless', () => {
    using osEvent = EventFd.create();
    const synic = {
      ...fullSynic(),
      newHostEventPort: () => ({
        [Symbol.dispose]: () => {
          throw new MshvError('Partition is closed', { code: 'ERR_MSHV_CLOSED' });
        },
      }),
    };
    const port = new SynicPorts(synic).addEventPort(2, 0, { osEvent });
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect(synic.portMap.size).toBe(0);
  });

  it('goes as far as it goes where a step fails, tells, and tries that step again', () => {
    using osEvent = EventFd.create();
    const failed = new Error('EIO');
    let attempts = 0;
    const synic = {
      ...fullSynic(),
      newHostEventPort: () => ({
        [Symbol.dispose]: () => {
          if (++attempts < 3) throw failed;
        },
      }),
    };
    const port = new SynicPorts(synic).addEventPort(2, 0, { osEvent });
    expect(() => {
      port[Symbol.dispose]();
    }).toThrow(failed);
    expect(synic.portMap.size).toBe(0);
    // Its connection may have another port by now, which is none of this one's.
    const other = synic.portMap.addEventPort(2, 0, { handleEvent: () => undefined });
    expect(() => {
      port[Symbol.dispose]();
    }).toThrow(failed);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect([attempts, synic.portMap.size]).toEqual([3, 1]);
    other[Symbol.dispose]();
  });
});
