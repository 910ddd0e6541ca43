import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createContext, runInContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { EventFd } from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';
import { simulatedMachine, type SimulatedMachine } from '../simulated-machine.js';

interface Controller {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/** The classes of another realm, as far as AbortSignal goes in it. */
const foreign = runInContext(
  `({
    AbortController: class {
      constructor() {
        const listeners = new Set();
        this.signal = {
          aborted: false,
          addEventListener: (type, listener) => listeners.add(listener),
          removeEventListener: (type, listener) => listeners.delete(listener),
          get [Symbol.toStringTag]() { return 'AbortSignal'; },
          listeners,
        };
      }
      abort(reason) {
        this.signal.aborted = true;
        this.signal.reason = reason;
        for (const listener of [...this.signal.listeners]) listener({ type: 'abort' });
      }
    },
  })`,
  createContext(),
) as { AbortController: new () => Controller };

const realms = {
  'this realm': () => new AbortController(),
  'another realm': () => new foreign.AbortController(),
};

let machine: SimulatedMachine;
let event: EventFd;

beforeEach(() => {
  machine = simulatedMachine(1);
  event = EventFd.create({ native: Simulator.native });
});

afterEach(() => {
  event.close();
  machine.simulator.close();
});

/** How many listeners a signal has. */
function listenersOf(signal: AbortSignal): number {
  const own: unknown = Reflect.get(signal, 'listeners');
  return typeof own === 'object' && own !== null && 'size' in own
    ? Number(own.size)
    : getEventListeners(signal, 'abort').length;
}

/** What waits, as a promise of its end. */
const waiting: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  'event.wait()': (signal) => event.wait({ signal }),
  'event.counts()': (signal) => event.counts({ signal }).next(),
  'vp.start()': async (signal) => machine.vp.start(() => 'stop', { signal }).finished,
  'simulator.watchInterrupts()': (signal) =>
    machine.simulator.watchInterrupts(machine.partition, { signal }).next(),
};

describe.each(Object.entries(realms))('a signal of %s', (_, controllerOf) => {
  describe.each(Object.entries(waiting))('ends %s', (_, wait) => {
    test('with its reason, and leaves nothing', async () => {
      const controller = controllerOf();
      const reason = { why: 'enough' };
      const result = wait(controller.signal);
      expect(listenersOf(controller.signal)).toBe(1);
      controller.abort(reason);
      await expect(result).rejects.toBe(reason);
      expect(listenersOf(controller.signal)).toBe(0);
    });

    test('before it begins', async () => {
      const controller = controllerOf();
      controller.abort('too late');
      await expect(wait(controller.signal)).rejects.toBe('too late');
      expect(listenersOf(controller.signal)).toBe(0);
      // Nothing has begun.
      machine.vp.start(() => 'stop').stop();
    });
  });

  test('ends a watch', () => {
    const controller = controllerOf();
    const { signal } = controller;
    const [watch, closed] = [1, 2].map(() => event.watch(() => undefined, { signal }));
    closed?.close();
    expect([watch?.closed, closed?.closed, listenersOf(signal)]).toEqual([false, true, 1]);
    controller.abort('enough');
    expect([watch?.closed, listenersOf(signal)]).toEqual([true, 0]);
    expect(() => event.watch(() => undefined, { signal })).toThrow('enough');
    expect(listenersOf(signal)).toBe(0);
  });

  test('is left alone by what has ended in another way', async () => {
    const { signal } = controllerOf();
    const watch = event.watch(() => undefined, { signal });
    const iterator = event.counts({ signal });
    const next = iterator.next();
    const wait = event.wait({ signal });
    machine.guest.out(0xf4, 1, 0);
    const run = machine.vp.start(() => 'stop', { signal });
    // Never begun.
    event.counts({ signal });
    machine.simulator.watchInterrupts(machine.partition, { signal });
    expect(await run.finished).toBe('stopped');
    watch.close();
    const closing = EventFd.create({ native: Simulator.native });
    closing.watch(() => undefined, { signal });
    const closed = closing.wait({ signal });
    closing.close();
    await expect(closed).rejects.toMatchObject({ code: 'ERR_MSHV_CLOSED' });
    await iterator.return();
    event.signal();
    expect(await Promise.all([next, wait])).toEqual([{ done: true, value: undefined }, 1n]);
    expect(listenersOf(signal)).toBe(0);
  });
});

test('10 000 that wait at once, and 10 000 one after the other, make no warning and leave nothing', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  try {
    const controller = new AbortController();
    const { signal } = controller;
    for (let i = 0; i < 10_000; i++) {
      const wait = event.wait({ signal });
      event.signal();
      await wait;
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const waits = Array.from({ length: 10_000 }, () => event.wait({ signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort('all of you');
    const results = await Promise.allSettled(waits);
    expect(new Set(results.map((result): unknown => 'reason' in result && result.reason))).toEqual(
      new Set(['all of you']),
    );
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    // Nobody takes what comes now.
    event.signal();
    expect(event.tryRead()).toBe(1n);
    await delay(0);
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', onWarning);
  }
});

test('no listener of the program keeps a signal from ending what waits', async () => {
  const controller = new AbortController();
  controller.signal.addEventListener('abort', (abort) => {
    abort.stopImmediatePropagation();
  });
  const wait = event.wait({ signal: controller.signal });
  controller.abort('enough');
  await expect(wait).rejects.toBe('enough');
});

test('a signal without a reason has an AbortError', async () => {
  const controller = new foreign.AbortController();
  const wait = event.wait({ signal: controller.signal });
  controller.abort();
  await expect(wait).rejects.toMatchObject({ name: 'AbortError' });
});

test('what only looks like a signal is none', async () => {
  const { signal } = new AbortController();
  const alike = {
    aborted: false,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  };
  const { proxy, revoke } = Proxy.revocable(signal, {});
  revoke();
  const throwing = {
    get [Symbol.toStringTag](): string {
      throw new Error('not yours to see');
    },
  };
  const tagged = { [Symbol.toStringTag]: 'AbortSignal', aborted: false };
  for (const wrong of [alike, proxy, throwing, tagged, AbortSignal, null, 'x']) {
    await expect(event.wait({ signal: wrong as AbortSignal })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringMatching(
        /^The "options.signal" argument must be an instance of AbortSignal/,
      ) as string,
    });
  }
});

describe('a run that a signal ends', () => {
  test('is over, while its handler waits for the same signal, in its own way', async () => {
    const uncaught: unknown[] = [];
    const onUncaught = (error: unknown): number => uncaught.push(error);
    process.on('uncaughtException', onUncaught);
    try {
      for (const wait of [
        (signal: AbortSignal) => delay(60_000, undefined, { signal }),
        (signal: AbortSignal) => event.wait({ signal }),
        () => Promise.reject(new Error('for another reason')),
      ]) {
        const controller = new AbortController();
        const { signal } = controller;
        machine.guest.out(0xf4, 1, 0);
        let handling: Promise<unknown> | undefined;
        const run = machine.vp.start(
          async () => {
            controller.abort(new Error('enough'));
            handling = wait(signal);
            await handling;
          },
          { signal },
        );
        await expect(run.finished).rejects.toThrow('enough');
        await expect(handling).rejects.toThrow();
        expect([run.ended, getEventListeners(signal, 'abort')]).toEqual([true, []]);
        await delay(0);
      }
      expect(uncaught).toEqual([new Error('for another reason')]);
    } finally {
      process.off('uncaughtException', onUncaught);
    }
  });

  test('can be followed by another one', async () => {
    const controller = new AbortController();
    const first = machine.vp.start(() => undefined, { signal: controller.signal });
    controller.abort('enough');
    await expect(first.finished).rejects.toBe('enough');
    machine.guest.out(0xf4, 1, 0);
    const seen: string[] = [];
    const second = machine.vp.start((exit) => {
      seen.push(exit.type);
      return 'stop';
    });
    expect(await second.finished).toBe('stopped');
    expect(seen).toHaveLength(1);
  });
});
