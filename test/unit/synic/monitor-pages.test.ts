import * as fc from 'fast-check';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { MshvError } from '../../../lib/index.js';
import { MonitorPages, type MonitorMemory } from '../../../lib/synic/monitor-pages.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import { SynicPorts } from '../../../lib/synic/synic-ports.js';

const gpa = 0x12_3000n;
const groups = 8;

let portMap: SynicPortMap;
/** The connections that were signalled. */
let signalled: number[];
let monitors: MonitorPages;
let errors: MshvError[];

/** A page of guest memory, and what its owner was asked for. */
class PageMemory implements MonitorMemory {
  readonly bytes = new Uint8Array(4096);
  readonly view = new DataView(this.bytes.buffer);
  readonly calls: unknown[][] = [];
  free = [0x5000n, 0x6000n];

  page(at: bigint): Uint8Array | undefined {
    return at === gpa ? this.bytes : undefined;
  }

  allocatePage(vtl: number): bigint | undefined {
    this.calls.push(['allocatePage', vtl]);
    return this.free.shift();
  }

  freePage(at: bigint): void {
    this.calls.push(['freePage', at]);
  }

  enable(mask: number): void {
    this.view.setUint32(0, mask, true);
  }

  set(id: number): void {
    const at = groups + 8 * (id >> 5);
    this.view.setUint32(at, this.view.getUint32(at, true) | (1 << (id & 31)), true);
  }

  isSet(id: number): boolean {
    return ((this.view.getUint32(groups + 8 * (id >> 5), true) >>> (id & 31)) & 1) !== 0;
  }
}

let memory: PageMemory;

/** Connection 1000 + n for monitor id n. */
function register(id: number, latency = 0): Disposable {
  portMap.addEventPort(1000 + id, 0, { handleEvent: () => signalled.push(id) });
  return monitors.registerMonitor(id, 1000 + id, latency);
}

beforeEach(() => {
  errors = [];
  portMap = new SynicPortMap();
  signalled = [];
  memory = new PageMemory();
  monitors = new MonitorPages(portMap, { memory });
});

const withCode = (code: string, message?: string): Error =>
  expect.objectContaining({ code, ...(message !== undefined && { message }) }) as Error;

function words(...pending: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(40));
  pending.forEach((word, group) => {
    view.setUint32(groups + 8 * group, word, true);
  });
  return new Uint8Array(view.buffer);
}

describe('two pages side by side', () => {
  it('are both triggered by a write over their border', () => {
    const beside = new MonitorPages(portMap);
    for (const [id, connection] of [
      [0, 0x21],
      [1, 0x22],
    ] as const) {
      portMap.addEventPort(connection, 0, {
        handleEvent: () => signalled.push(connection),
      });
      beside.registerMonitor(id, connection, 0);
    }
    beside.setMonitorPage(0, 0x5000n);
    beside.setMonitorPage(1, 0x6000n);
    const bytes = new Uint8Array(32);
    bytes[16 + groups] = 0b11;
    signalled = [];
    expect(beside.handleWrite(0x5ff0n, bytes)).toBe(true);
    expect(signalled).toEqual([0x21, 0x22]);
    bytes.fill(0xff);
    expect(beside.handleRead(0x5ff0n, bytes)).toBe(true);
    // Of the second one the trigger state, in which the first group is enabled.
    expect([...bytes]).toEqual(Array.from({ length: 32 }, (_, i) => (i === 16 ? 1 : 0)));
  });

  it('are looked at again in a second where one cannot be seen', () => {
    let fails = true;
    const bytes = new Uint8Array(4096);
    const seen = new MonitorPages(portMap, {
      memory: {
        page: (at) => {
          if (fails && at === 0x6000n && seen.monitorPage(1) !== undefined)
            throw new Error('not now');
          return at === 0x6000n ? bytes : undefined;
        },
      },
      onError: (error) => errors.push(error),
    });
    portMap.addEventPort(0x23, 0, { handleEvent: () => signalled.push(0x23) });
    seen.registerMonitor(0, 0x23, 5);
    seen.setMonitorPage(1, 0x6000n);
    expect(seen.poll(100n)).toBe(10_000_100n);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_MONITOR_PAGE' }]);
    fails = false;
    bytes[0] = 1;
    bytes[groups] = 1;
    signalled = [];
    expect(seen.poll(10_000_100n)).toBe(10_000_105n);
    expect(signalled).toEqual([0x23]);
  });
});

describe('a trapped write', () => {
  beforeEach(() => {
    monitors.setMonitorPage(0, gpa);
    [5, 7, 9, 31, 32, 127].forEach((id) => register(id));
  });

  it('signals every trigger that it sets, in order', () => {
    const bytes = words((1 << 31) | (1 << 9) | (1 << 5), 1, 0, 1 << 31);
    expect(monitors.handleWrite(gpa, bytes)).toBe(true);
    expect(signalled).toEqual([5, 9, 31, 32, 127]);
  });

  it('of a part of a group signals what that part sets', () => {
    expect(monitors.handleWrite(gpa + 8n, Uint8Array.of(1 << 5))).toBe(true);
    expect(monitors.handleWrite(gpa + 9n, Uint8Array.of(1 << 1, 0))).toBe(true);
    expect(monitors.handleWrite(Number(gpa) + 8 + 24 + 3, Uint8Array.of(0x80))).toBe(true);
    expect(signalled).toEqual([5, 9, 127]);
  });

  it('of the trigger state, the armed bits and the rest signals nothing', () => {
    const armed = words();
    [12, 20, 28, 36].forEach((at) => armed.fill(0xff, at, at + 4));
    armed.fill(0xff, 0, 8);
    expect(monitors.handleWrite(gpa, armed)).toBe(true);
    expect(monitors.handleWrite(gpa + 40n, new Uint8Array(4056).fill(0xff))).toBe(true);
    expect([signalled, monitors.unclaimed]).toEqual([[], 0]);
  });

  it('that begins before the page or ends behind it counts for what is in it', () => {
    const before = new Uint8Array(16).fill(0xff, 0, 4);
    before[12] = 1 << 5;
    expect(monitors.handleWrite(gpa - 4n, before)).toBe(true);
    expect(signalled).toEqual([5]);
    expect(monitors.handleWrite(gpa + 4092n, new Uint8Array(8).fill(0xff))).toBe(true);
    expect(signalled).toEqual([5]);
  });

  it.each([
    ['before', gpa - 64n, 64],
    ['behind', gpa + 4096n, 64],
    ['far away', 0xffff_ffff_ffff_fff0n, 64],
    ['nowhere', gpa, 0],
  ])('%s the page is none', (_, at, length) => {
    expect(monitors.handleWrite(at, new Uint8Array(length).fill(0xff))).toBe(false);
    expect(signalled).toEqual([]);
  });

  it('of an id that nobody has registered is counted', () => {
    expect(monitors.handleWrite(gpa, words((1 << 5) | (1 << 6)))).toBe(true);
    expect([signalled, monitors.unclaimed]).toEqual([[5], 1]);
  });

  it('signals with the VTL of the page', () => {
    const handleEvent = vi.fn();
    portMap.addEventPort(1, 2, { handleEvent });
    monitors.registerMonitor(0, 1, 0);
    monitors.handleWrite(gpa, words(1));
    expect(handleEvent).not.toHaveBeenCalled();
    monitors.setMonitorPage(2, 0x8000n);
    monitors.handleWrite(0x8000n, words(1));
    expect(handleEvent.mock.calls).toEqual([[0]]);
  });

  it('goes on where a handler takes monitors away', () => {
    portMap.addEventPort(1, 0, {
      handleEvent: () => {
        signalled.push(0);
        later[Symbol.dispose]();
      },
    });
    monitors.registerMonitor(0, 1, 0);
    const later = register(6);
    monitors.handleWrite(gpa, words((1 << 7) | (1 << 6) | 1));
    expect([signalled, monitors.unclaimed]).toEqual([[0, 7], 1]);
  });

  it.each<[string, () => void]>([
    [
      'clears the page',
      () => {
        monitors.setMonitorPage(0, undefined);
      },
    ],
    [
      'sets another one',
      () => {
        monitors.setMonitorPage(0, 0x9000n);
      },
    ],
    [
      'ends it all',
      () => {
        monitors[Symbol.dispose]();
      },
    ],
  ])('signals nothing more where a handler %s', (_, action) => {
    portMap.addEventPort(1, 0, { handleEvent: action });
    monitors.registerMonitor(0, 1, 0);
    expect(monitors.handleWrite(gpa, words((1 << 7) | 1))).toBe(true);
    expect(signalled).toEqual([]);
  });

  it('sets what a page of bits says, wherever it begins and ends', () => {
    for (let id = 0; id < 128; id++) {
      if (![5, 7, 9, 31, 32, 127].includes(id)) register(id);
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 80 }),
        fc.integer({ min: -50, max: 60 }),
        (bytes, start) => {
          signalled = [];
          monitors.handleWrite(gpa + BigInt(start), bytes);
          const page = new Uint8Array(4096 + 200);
          page.set(bytes, 100 + start);
          const view = new DataView(page.buffer, 100);
          const expected = Array.from({ length: 128 }, (_, id) => id).filter(
            (id) => ((view.getUint32(groups + 8 * (id >> 5), true) >>> (id & 31)) & 1) !== 0,
          );
          expect(signalled).toEqual(expected);
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });
});

it('a trapped read shows the groups that have a monitor, and no pending bits', () => {
  monitors.setMonitorPage(0, gpa);
  register(33);
  const last = register(127);
  monitors.handleWrite(gpa, new Uint8Array(4096).fill(0xff));
  const read = (at: bigint, length: number): number[] => {
    const bytes = new Uint8Array(length).fill(0xff);
    monitors.handleRead(at, bytes);
    return [...bytes];
  };
  expect(read(gpa - 1n, 4098)).toEqual([0xff, 0b1010, ...new Array<number>(4095).fill(0), 0xff]);
  last[Symbol.dispose]();
  expect([read(gpa, 2), read(gpa + 1n, 2)]).toEqual([
    [0b10, 0],
    [0, 0],
  ]);
});

it('a trapped read is of zeros, as far as it is in the page', () => {
  monitors.setMonitorPage(0, gpa);
  const read = (at: bigint, length: number): [boolean, number[]] => {
    const bytes = new Uint8Array(length).fill(0xff);
    return [monitors.handleRead(at, bytes), [...bytes]];
  };
  expect(read(gpa + 8n, 4)).toEqual([true, [0, 0, 0, 0]]);
  expect(read(gpa - 2n, 4)).toEqual([true, [0xff, 0xff, 0, 0]]);
  expect(read(gpa + 4094n, 4)).toEqual([true, [0, 0, 0xff, 0xff]]);
  expect(read(gpa + 4096n, 2)).toEqual([false, [0xff, 0xff]]);
});

describe('a polled page', () => {
  it('has each trigger looked at as often as its latency says', () => {
    monitors.setMonitorPage(0, gpa);
    memory.enable(0xf);
    register(3, 100);
    register(64, 250);
    memory.set(3);
    memory.set(64);
    expect(monitors.poll(1000n)).toBe(1100n);
    expect([signalled, memory.isSet(3), memory.isSet(64)]).toEqual([[3, 64], false, false]);
    memory.set(3);
    memory.set(64);
    expect(monitors.poll(1099n)).toBe(1100n);
    expect(signalled).toHaveLength(2);
    expect(monitors.poll(1100n)).toBe(1200n);
    expect(signalled).toEqual([3, 64, 3]);
    expect(monitors.poll(1249n)).toBe(1250n);
    expect(monitors.poll(1250n)).toBe(1349n);
    expect(signalled).toEqual([3, 64, 3, 64]);
    expect(memory.view.getUint32(groups, true)).toBe(0);
  });

  it('makes many settings within the latency one signal', () => {
    monitors.setMonitorPage(0, gpa);
    memory.enable(1);
    register(3, 100);
    for (let now = 0n; now < 1000n; now += 10n) {
      memory.set(3);
      monitors.poll(now);
    }
    expect(signalled).toHaveLength(10);
  });

  const state = (): number => memory.view.getUint32(0, true);

  it('has the groups enabled that have a monitor: a guest sets pending bits only, as Linux does', () => {
    monitors.setMonitorPage(0, gpa);
    register(5, 100);
    register(64, 100);
    memory.set(5);
    memory.set(64);
    memory.set(96);
    expect(monitors.poll(0n)).toBe(100n);
    expect([signalled, state(), memory.isSet(96)]).toEqual([[5, 64], 0b101, true]);
    register(96, 100);
    monitors.poll(100n);
    expect([signalled, state()]).toEqual([[5, 64, 96], 0b1101]);
  });

  it('has them enabled whatever the guest makes of them, and the rest of the word left alone', () => {
    monitors.setMonitorPage(0, gpa);
    register(5);
    memory.enable(0xabcd_0008);
    monitors.poll(0n);
    expect(state()).toBe(0xabcd_0009);
    memory.enable(0);
    memory.set(5);
    monitors.poll(1n);
    expect([signalled, state()]).toEqual([[5], 1]);
  });

  it('has them enabled in other memory too, if that comes instead', () => {
    monitors.setMonitorPage(0, gpa);
    register(5, 100);
    monitors.poll(0n);
    const other = new PageMemory();
    vi.spyOn(memory, 'page').mockReturnValue(other.bytes);
    other.set(5);
    monitors.poll(100n);
    expect([signalled, other.view.getUint32(0, true)]).toEqual([[5], 1]);
  });

  it('is looked at where it is, when a handler has other memory put there', () => {
    monitors.setMonitorPage(0, gpa);
    const other = new PageMemory();
    portMap.addEventPort(1, 0, {
      handleEvent: () => {
        vi.spyOn(memory, 'page').mockReturnValue(other.bytes);
      },
    });
    monitors.registerMonitor(0, 1, 0);
    register(1);
    memory.set(0);
    memory.set(1);
    other.set(1);
    monitors.poll(0n);
    // The old memory may be another guest's by now.
    expect([signalled, memory.isSet(1), other.isSet(1)]).toEqual([[1], true, false]);
  });

  it('keeps the bits that are nobody’s, and those that are set while it signals', () => {
    monitors.setMonitorPage(0, gpa);
    memory.enable(1);
    portMap.addEventPort(1, 0, {
      handleEvent: () => {
        if (signalled.push(0) === 1) memory.set(0);
      },
    });
    monitors.registerMonitor(0, 1, 0);
    memory.set(0);
    memory.set(1);
    memory.view.setUint32(groups + 4, 0xabcd, true);
    expect(monitors.poll(5n)).toBe(6n);
    expect([signalled.length, memory.isSet(0)]).toEqual([1, true]);
    monitors.poll(6n);
    expect([signalled.length, memory.isSet(0), memory.isSet(1)]).toEqual([2, false, true]);
    expect(memory.view.getUint32(groups + 4, true)).toBe(0xabcd);
    register(1);
    monitors.poll(7n);
    expect(signalled).toEqual([0, 0, 1]);
  });

  it('is left where a handler clears it', () => {
    monitors.setMonitorPage(0, gpa);
    memory.enable(1);
    portMap.addEventPort(1, 0, {
      handleEvent: () => {
        monitors.setMonitorPage(0, undefined);
      },
    });
    monitors.registerMonitor(0, 1, 0);
    register(1);
    memory.set(0);
    memory.set(1);
    monitors.poll(5n);
    expect([signalled, memory.isSet(1)]).toEqual([[], true]);
    expect(monitors.poll(6n)).toBeUndefined();
  });

  it('asks for no other turn where there is nothing to look at', () => {
    expect(monitors.poll(0n)).toBeUndefined();
    const handle = register(3, 10);
    expect(monitors.poll(0n)).toBeUndefined();
    monitors.setMonitorPage(0, 0x9000n);
    expect(monitors.poll(0n)).toBeUndefined();
    monitors.setMonitorPage(0, gpa);
    expect(monitors.poll(0n)).toBe(10n);
    handle[Symbol.dispose]();
    expect(monitors.poll(0n)).toBeUndefined();
    const withoutMemory = new MonitorPages(portMap);
    withoutMemory.setMonitorPage(0, gpa);
    withoutMemory.registerMonitor(1, 1, 1);
    expect(withoutMemory.poll(0n)).toBeUndefined();
  });

  it('is none where its memory has been closed', () => {
    const onError = vi.fn();
    monitors = new MonitorPages(portMap, { memory, onError });
    monitors.setMonitorPage(0, gpa);
    register(3, 10);
    vi.spyOn(memory, 'page').mockReturnValue(new Uint8Array());
    expect(monitors.poll(0n)).toBeUndefined();
    expect(onError).not.toHaveBeenCalled();
  });

  it('is looked at for a new monitor at once, whatever the last one of that id could wait for', () => {
    monitors.setMonitorPage(0, gpa);
    memory.enable(1);
    const first = monitors.registerMonitor(3, 1003, 60_000);
    expect(monitors.poll(0n)).toBe(60_000n);
    first[Symbol.dispose]();
    register(3, 10);
    memory.set(3);
    expect(monitors.poll(1n)).toBe(11n);
    expect(signalled).toEqual([3]);
  });

  it('that cannot be looked at is reported, and the others are looked at', () => {
    monitors = new MonitorPages(portMap, { memory, onError: (error) => errors.push(error) });
    monitors.setMonitorPage(1, 0x9000n);
    monitors.setMonitorPage(0, gpa);
    register(3, 10);
    memory.enable(1);
    memory.set(3);
    const cause = new Error('no');
    vi.spyOn(memory, 'page').mockImplementation((at) => {
      if (at === gpa) return memory.bytes;
      throw cause;
    });
    expect(monitors.poll(0n)).toBe(10n);
    expect(signalled).toEqual([3]);
    expect(errors).toMatchObject([
      {
        code: 'ERR_MSHV_MONITOR_PAGE',
        message: 'cannot look at the monitor page 0x9000: no',
        cause,
      },
    ]);
  });

  it('that cannot be looked at is one warning where nobody listens', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    monitors.setMonitorPage(0, gpa);
    register(3, 10);
    // No buffer of words begins there.
    const odd = new Uint8Array(new ArrayBuffer(4100), 1, 4096);
    vi.spyOn(memory, 'page').mockReturnValue(odd);
    expect([monitors.poll(0n), monitors.poll(20n)]).toEqual([10_000_000n, 10_000_020n]);
    expect(warn).toHaveBeenCalledTimes(1);
    warn.mockRestore();
  });
});

describe('a monitor id', () => {
  it('is one connection’s', () => {
    const first = monitors.registerMonitor(127, 0x2a, 0);
    expect(() => monitors.registerMonitor(127, 2, 0)).toThrow(
      withCode('ERR_MSHV_MONITOR_ID_IN_USE', 'monitor id 127 is in use by connection 0x2a'),
    );
    first[Symbol.dispose]();
    const second = monitors.registerMonitor(127, 2, 0);
    first[Symbol.dispose]();
    expect(inspect(monitors)).toBe('MonitorPages { monitors: 1, pages: 0 }');
    second[Symbol.dispose]();
    expect(inspect(monitors)).toBe('MonitorPages { monitors: 0, pages: 0 }');
  });

  it('in use leaves no event port behind', () => {
    const ports = new SynicPorts({
      portMap,
      postMessage: () => true,
      newGuestEventPort: () => {
        throw new Error('not here');
      },
      preferOsEvents: false,
      monitorSupport: monitors,
    });
    const handleEvent = (): undefined => undefined;
    const info = { monitorId: 4, latency: 1 };
    const port = ports.addEventPort(1, 0, { handleEvent }, info);
    expect(() => ports.addEventPort(2, 0, { handleEvent }, info)).toThrow(
      withCode('ERR_MSHV_MONITOR_ID_IN_USE'),
    );
    expect(portMap.size).toBe(1);
    port[Symbol.dispose]();
    ports.addEventPort(2, 0, { handleEvent }, info);
  });
});

describe('the page of a VTL', () => {
  it('is set and cleared', () => {
    monitors.setMonitorPage(0, gpa);
    monitors.setMonitorPage(0, gpa);
    expect([monitors.monitorPage(0), monitors.monitorPage(1)]).toEqual([gpa, undefined]);
    expect(() => {
      monitors.setMonitorPage(1, gpa);
    }).toThrow(
      withCode(
        'ERR_MSHV_MONITOR_PAGE_IN_USE',
        'page 0x123000 is the monitor page of VTL 0 already',
      ),
    );
    monitors.setMonitorPage(0, undefined);
    monitors.setMonitorPage(0, undefined);
    monitors.setMonitorPage(1, gpa);
    expect([monitors.monitorPage(0), monitors.monitorPage(1)]).toEqual([undefined, gpa]);
  });

  it('can be allocated, and is freed when it is changed or cleared', () => {
    expect(monitors.allocateMonitorPage(0)).toBe(0x5000n);
    expect(monitors.monitorPage(0)).toBe(0x5000n);
    monitors.setMonitorPage(0, 0x5000n);
    expect(memory.calls).toEqual([['allocatePage', 0]]);
    expect(monitors.allocateMonitorPage(0)).toBe(0x6000n);
    expect(memory.calls.slice(1)).toEqual([
      ['allocatePage', 0],
      ['freePage', 0x5000n],
    ]);
    expect(monitors.allocateMonitorPage(1)).toBeUndefined();
    expect([monitors.monitorPage(0), monitors.monitorPage(1)]).toEqual([0x6000n, undefined]);
    monitors[Symbol.dispose]();
    monitors[Symbol.dispose]();
    expect(memory.calls.slice(4)).toEqual([['freePage', 0x6000n]]);
    expect(new MonitorPages(portMap).allocateMonitorPage(0)).toBeUndefined();
  });

  it('is freed too where it was set before it was allocated', () => {
    monitors.setMonitorPage(0, 0x5000n);
    expect(monitors.allocateMonitorPage(0)).toBe(0x5000n);
    monitors.setMonitorPage(0, undefined);
    expect(memory.calls).toEqual([
      ['allocatePage', 0],
      ['freePage', 0x5000n],
    ]);
  });

  it('is what the owner of the memory has set meanwhile, where it is asked for its pages', () => {
    const inner = vi.spyOn(memory, 'page').mockImplementationOnce(() => {
      monitors.setMonitorPage(1, 0x9000n);
      return undefined;
    });
    expect(() => {
      monitors.setMonitorPage(0, 0x9000n);
    }).toThrow(withCode('ERR_MSHV_MONITOR_PAGE_IN_USE'));
    expect([monitors.monitorPage(0), monitors.monitorPage(1)]).toEqual([undefined, 0x9000n]);
    inner.mockRestore();
    const freePage = vi.spyOn(memory, 'freePage').mockImplementation(() => {
      monitors.setMonitorPage(0, 0xa000n);
    });
    monitors.allocateMonitorPage(0);
    monitors.setMonitorPage(0, undefined);
    expect([freePage.mock.calls, monitors.monitorPage(0)]).toEqual([[[0x5000n]], 0xa000n]);
  });

  it('is given back where it cannot be set', () => {
    monitors.setMonitorPage(1, 0x5000n);
    expect(() => monitors.allocateMonitorPage(0)).toThrow(withCode('ERR_MSHV_MONITOR_PAGE_IN_USE'));
    expect(memory.calls).toEqual([
      ['allocatePage', 0],
      ['freePage', 0x5000n],
    ]);
    expect(monitors.monitorPage(0)).toBeUndefined();
  });
});
