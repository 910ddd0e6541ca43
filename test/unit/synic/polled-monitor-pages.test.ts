import { beforeEach, describe, expect, it, vi } from 'vitest';

import { PolledMonitorPages, SynicPortMap } from '../../../lib/index.js';

// When a page is looked at. What is made of what is there is in monitor-pages.test.ts.

const gpa = 0x5000n;
const millisecond = 10_000;

let portMap: SynicPortMap;
/** The monitor ids that were signalled. */
let signalled: number[];
/** How often the pages were looked at. */
let looks: number;
let bytes: Uint8Array | undefined;
let free: bigint[];
let monitors: PolledMonitorPages;

beforeEach(() => {
  vi.useFakeTimers();
  portMap = new SynicPortMap();
  signalled = [];
  looks = 0;
  bytes = new Uint8Array(4096);
  bytes[0] = 0b1111;
  free = [gpa];
  monitors = new PolledMonitorPages(portMap, {
    memory: {
      page: () => {
        looks++;
        return bytes;
      },
      allocatePage: () => free.shift(),
      freePage: (page) => {
        free.push(page);
      },
    },
  });
  return () => {
    vi.useRealTimers();
  };
});

/** Sets a trigger of the first group. */
function set(id: number): void {
  if (bytes !== undefined) bytes[8 + (id >> 3)] = (bytes[8 + (id >> 3)] ?? 0) | (1 << (id & 7));
}

/** Connection id = monitor id. */
function register(id: number, latency: number, action: () => void = () => undefined): Disposable {
  portMap.addEventPort(id, 0, {
    handleEvent: () => {
      signalled.push(id);
      action();
    },
  });
  return monitors.registerMonitor(id, id, latency);
}

/** Lets milliseconds pass, and says how often the pages were looked at. */
function looksIn(milliseconds: number): number {
  looks = 0;
  vi.advanceTimersByTime(milliseconds);
  return looks;
}

describe('the timer', () => {
  it('runs while there are a page and a monitor', () => {
    expect(vi.getTimerCount()).toBe(0);
    monitors.setMonitorPage(0, gpa);
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(0);
    const registered = register(1, 0);
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(1);
    registered[Symbol.dispose]();
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(0);
    register(2, 0);
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(1);
    monitors.setMonitorPage(0, undefined);
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(0);
    expect(monitors.allocateMonitorPage(1)).toBe(gpa);
    set(2);
    vi.advanceTimersByTime(5);
    expect([vi.getTimerCount(), signalled]).toEqual([1, [2]]);
    monitors[Symbol.dispose]();
    monitors[Symbol.dispose]();
    expect([vi.getTimerCount(), free]).toEqual([0, [gpa]]);
  });

  it('does not hold the process', () => {
    vi.useRealTimers();
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    monitors.setMonitorPage(0, gpa);
    register(1, 0);
    expect(timers()).toBe(before);
    monitors[Symbol.dispose]();
  });

  it('goes on holding nothing', () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    monitors.setMonitorPage(0, gpa);
    register(1, 0);
    vi.advanceTimersByTime(5);
    expect(setTimer.mock.results.length).toBeGreaterThan(3);
    for (const { value } of setTimer.mock.results) {
      expect((value as NodeJS.Timeout).hasRef()).toBe(false);
    }
    setTimer.mockRestore();
  });

  it('is there again where memory is, once the page is set again', () => {
    const present = bytes;
    bytes = undefined;
    monitors.setMonitorPage(0, gpa);
    register(1, 0);
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(0);
    bytes = present;
    set(1);
    vi.advanceTimersByTime(5);
    expect(signalled).toEqual([]);
    monitors.setMonitorPage(0, gpa);
    vi.advanceTimersByTime(5);
    expect(signalled).toEqual([1]);
  });
});

describe('memory that comes later', () => {
  let listeners: Set<() => void>;

  beforeEach(() => {
    listeners = new Set();
    monitors = new PolledMonitorPages(portMap, {
      memory: {
        page: () => bytes,
        onMapped: (listener) => {
          listeners.add(listener);
          return { [Symbol.dispose]: () => void listeners.delete(listener) };
        },
      },
    });
  });
  const arrive = (): void => {
    for (const listener of listeners) listener();
  };

  it('is found when it is said to be there, and no timer runs before', () => {
    const present = bytes;
    bytes = undefined;
    monitors.setMonitorPage(0, gpa);
    register(1, 0);
    vi.advanceTimersByTime(5);
    arrive();
    vi.advanceTimersByTime(5);
    expect(vi.getTimerCount()).toBe(0);
    bytes = present;
    set(1);
    arrive();
    vi.advanceTimersByTime(1);
    expect([signalled, vi.getTimerCount()]).toEqual([[1], 1]);
  });

  it('puts nothing off, however often it comes', () => {
    monitors.setMonitorPage(0, gpa);
    register(1, 2 * millisecond);
    vi.advanceTimersByTime(1);
    for (let i = 0; i < 4; i++) {
      arrive();
      set(1);
      vi.advanceTimersByTime(1);
    }
    expect(signalled).toEqual([1, 1]);
  });

  it('is listened for exactly while there is a page', () => {
    expect(listeners.size).toBe(0);
    monitors.setMonitorPage(0, gpa);
    monitors.setMonitorPage(1, 0x6000n);
    expect(listeners.size).toBe(1);
    monitors.setMonitorPage(0, undefined);
    expect(listeners.size).toBe(1);
    monitors.setMonitorPage(1, undefined);
    expect(listeners.size).toBe(0);
    monitors.setMonitorPage(0, gpa);
    monitors[Symbol.dispose]();
    expect(listeners.size).toBe(0);
  });
});

describe('a page is looked at', () => {
  it('as often as the latency says', () => {
    monitors.setMonitorPage(0, gpa);
    register(1, 5 * millisecond);
    vi.advanceTimersByTime(1);
    expect(looksIn(50)).toBe(10);
  });

  it('every millisecond where that is less', () => {
    monitors.setMonitorPage(0, gpa);
    register(1, 0);
    register(2, 1);
    vi.advanceTimersByTime(1);
    expect(looksIn(50)).toBe(50);
  });

  it('for each monitor as often as its own latency says', () => {
    monitors.setMonitorPage(0, gpa);
    register(1, 2 * millisecond);
    register(2, 6 * millisecond);
    vi.advanceTimersByTime(1);
    for (let i = 0; i < 12; i++) {
      set(1);
      set(2);
      vi.advanceTimersByTime(1);
    }
    expect(signalled.filter((id) => id === 1)).toHaveLength(6);
    expect(signalled.filter((id) => id === 2)).toHaveLength(2);
  });

  it('soon after a monitor is registered, however long others may wait', () => {
    monitors.setMonitorPage(0, gpa);
    register(9, 6 * millisecond);
    vi.advanceTimersByTime(1);
    register(1, 0);
    set(1);
    vi.advanceTimersByTime(1);
    expect(signalled).toEqual([1]);
  });

  it('soon after a handler has registered one', () => {
    monitors.setMonitorPage(0, gpa);
    register(9, 6 * millisecond, () => {
      register(1, 0);
      set(1);
    });
    set(9);
    vi.advanceTimersByTime(1);
    expect(signalled).toEqual([9]);
    vi.advanceTimersByTime(1);
    expect(signalled).toEqual([9, 1]);
  });

  it('no more where a handler ends it', () => {
    monitors.setMonitorPage(0, gpa);
    register(1, 0, () => {
      monitors[Symbol.dispose]();
    });
    register(2, 0);
    set(1);
    set(2);
    vi.advanceTimersByTime(1);
    expect([signalled, vi.getTimerCount()]).toEqual([[1], 0]);
  });
});
