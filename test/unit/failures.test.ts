import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { FailureReports, GuestMessages, MshvError, SynicPortMap } from '../../lib/index.js';
import { Failures } from '../../lib/failures.js';

// Reports of what a guest can make fail as often as it likes: no more than a listener can take.

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const failure = (message: string) => () => new MshvError(message, { code: 'EIO' });

/** A listener that writes down what it is told. */
function listening() {
  const told: MshvError[] = [];
  const failures = new Failures('onError', (error) => told.push(error));
  return { told, failures };
}

const suppressedBy = ({ code, suppressed, cause }: MshvError): unknown => [
  code,
  suppressed,
  (cause as MshvError | undefined)?.message,
];

describe('a listener', () => {
  it('is told of 8 failures of one thing in a second, then how many more there were', () => {
    const { told, failures } = listening();
    const thing = {};
    for (let i = 1; i <= 1_000_000; i++) failures.report(thing, failure(`no. ${i}`));
    expect(told.map(({ message }) => message)).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `no. ${i}`),
    );
    vi.advanceTimersByTime(999);
    expect(told).toHaveLength(8);
    vi.advanceTimersByTime(1);
    expect(told).toHaveLength(9);
    expect(told.slice(8).map(suppressedBy)).toEqual([
      ['ERR_MSHV_SUPPRESSED', 999_992, 'no. 1000000'],
    ]);
    expect(told[8]?.message).toBe('999992 failures were not reported, the last: no. 1000000');
    // And from the beginning.
    failures.report(thing, failure('again'));
    expect(told.slice(9).map(({ message }) => message)).toEqual(['again']);
    vi.advanceTimersByTime(10_000);
    expect(told).toHaveLength(10);
  });

  it('is told of things each for itself', () => {
    const { told, failures } = listening();
    const [loud, quiet] = [{}, {}];
    for (let i = 0; i < 100; i++) failures.report(loud, failure('loud'));
    failures.report(quiet, failure('quiet'));
    expect(told.map(({ message }) => message)).toEqual([...Array<string>(8).fill('loud'), 'quiet']);
  });

  it('is told of 64 failures in all, however many things there are', () => {
    const { told, failures } = listening();
    for (let i = 0; i < 10_000; i++) failures.report({}, failure('one of many'));
    expect(told).toHaveLength(64);
    vi.advanceTimersByTime(1000);
    expect(told.slice(64).map(suppressedBy)).toEqual([
      ['ERR_MSHV_SUPPRESSED', 10_000 - 64, 'one of many'],
    ]);
  });

  it('makes no error that it does not report, but the last', () => {
    const { failures } = listening();
    const thing = {};
    const make = vi.fn(failure('no'));
    for (let i = 0; i < 1000; i++) failures.report(thing, make);
    vi.advanceTimersByTime(1000);
    expect(make).toHaveBeenCalledTimes(9);
  });

  it('is told by the next failure where the event loop was blocked for a second', () => {
    const { told, failures } = listening();
    const thing = {};
    const now = vi.spyOn(performance, 'now').mockReturnValue(5000);
    for (let i = 1; i <= 10; i++) failures.report(thing, failure(`no. ${i}`));
    now.mockReturnValue(5999);
    failures.report(thing, failure('no. 11'));
    expect(told).toHaveLength(8);
    now.mockReturnValue(6000);
    failures.report(thing, failure('no. 12'));
    expect(told.slice(8).map(({ message }) => message)).toEqual([
      '3 failures were not reported, the last: no. 11',
      'no. 12',
    ]);
    // The timer has nothing left to tell.
    vi.advanceTimersByTime(10_000);
    expect(told).toHaveLength(10);
  });

  it('is told of each object’s failures by themselves', () => {
    const told: MshvError[] = [];
    const onError = (error: MshvError): void => void told.push(error);
    const [loud, quiet] = [new Failures('onError', onError), new Failures('onError', onError)];
    for (let i = 0; i < 100; i++) loud.report({}, failure('loud'));
    quiet.report({}, failure('quiet'));
    expect(told).toHaveLength(65);
  });

  it('may make things fail itself', () => {
    const told: string[] = [];
    const thing = {};
    const failures = new Failures('onError', ({ message }) => {
      told.push(message);
      failures.report(thing, failure('from the listener'));
    });
    failures.report(thing, failure('first'));
    expect(told).toEqual(['first', ...Array<string>(7).fill('from the listener')]);
    vi.advanceTimersByTime(1000);
    // What it is told of at the end of the second begins the next.
    expect(told).toHaveLength(8 + 9);
  });

  it('does not hold the process', () => {
    vi.useRealTimers();
    const unref = vi.fn().mockReturnThis();
    const set = vi.spyOn(globalThis, 'setTimeout').mockReturnValue({ unref } as never);
    const { failures } = listening();
    const thing = {};
    for (let i = 0; i < 100; i++) failures.report(thing, failure('no'));
    expect([set.mock.calls.length, unref.mock.calls.length]).toEqual([1, 1]);
  });
});

it('FailureReports are of all objects that have them as their onError', () => {
  const told: MshvError[] = [];
  const onError = new FailureReports((error) => told.push(error));
  const portMap = new SynicPortMap({ onError });
  const handleEvent = (): never => {
    throw new Error('no');
  };
  for (let id = 0; id < 100; id++) {
    portMap.addEventPort(id, 0, { handleEvent });
    portMap.handleSignalEvent(0, id, 0);
  }
  const messages = new GuestMessages({ hasVp: () => true, postMessage: () => 5 }, { onError });
  expect(messages.postMessage(0, 0, 2, 1, new Uint8Array())).toBe(true);
  onError.report({}, failure('of a device of the VMM’s'));
  expect(told).toHaveLength(64);
  vi.advanceTimersByTime(1000);
  expect(told.slice(64).map(suppressedBy)).toEqual([
    ['ERR_MSHV_SUPPRESSED', 38, 'of a device of the VMM’s'],
  ]);
});

it('is one warning for each thing where nobody listens, and makes no other error', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
  const failures = new Failures('onError', undefined);
  const make = vi.fn(failure('no'));
  const things = [{}, {}];
  for (let i = 0; i < 100; i++) for (const thing of things) failures.report(thing, make);
  expect([warn.mock.calls.length, make.mock.calls.length]).toEqual([2, 2]);
});
