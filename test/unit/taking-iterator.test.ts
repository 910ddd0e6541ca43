import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EventFd, type IrqFdRoute, type Partition } from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';

// What iterators promise: the counts of an eventfd and the interrupts of a simulated partition. The sources differ, the
// promises do not.

const done = { done: true, value: undefined };

interface Source extends Disposable {
  iterate(): AsyncGenerator<unknown, void, undefined>;
  /** Makes one more value. */
  make(): void;
  /** How many values were made that nobody has got. */
  left(): number;
  /** How many of them a value of an iterator stands for. */
  sizeOf(value: unknown): number;
  /** Ends it, in whatever way its users notice. */
  end(): void;
}

function eventFd(): Source {
  const event = EventFd.create();
  return {
    iterate: () => event[Symbol.asyncIterator](),
    make: () => {
      event.signal();
    },
    left: () => Number(event.tryRead() ?? 0n),
    sizeOf: Number,
    end: () => {
      event.close();
    },
    [Symbol.dispose]: () => {
      event.close();
    },
  };
}

function simulatedRoute(): [Simulator, Partition, IrqFdRoute] {
  const simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  partition.createVp(0);
  const msi = { address: 0xfee00000, data: 0x41 };
  return [simulator, partition, partition.irqfd.newRoute({ msi })];
}

function interrupts(): Source {
  const [simulator, partition, route] = simulatedRoute();
  return {
    iterate: () => simulator.watchInterrupts(partition),
    make: () => {
      route.event.signal();
    },
    left: () => simulator.interrupts(partition).length,
    sizeOf: () => 1,
    end: () => {
      partition.close();
    },
    [Symbol.dispose]: () => {
      simulator.close();
    },
  };
}

describe.each<[string, () => Source]>([
  ['an EventFd', eventFd],
  ['Simulator.watchInterrupts()', interrupts],
])('the iterator of %s', (_, open) => {
  let source: Source;
  let iterator: ReturnType<Source['iterate']>;
  beforeEach(() => {
    source = open();
    iterator = source.iterate();
  });
  afterEach(() => {
    source[Symbol.dispose]();
  });

  /** How much came with the values of `results`. */
  const sum = (results: readonly IteratorResult<unknown, void>[]): number =>
    results.reduce(
      (total, result) => total + (result.done === true ? 0 : source.sizeOf(result.value)),
      0,
    );

  it('gives each value to one of several next(), in their order', async () => {
    const order: number[] = [];
    const nexts = [0, 1, 2].map(async (i) => {
      const result = await iterator.next();
      order.push(i);
      return result;
    });
    for (const next of nexts) {
      source.make();
      await next;
    }
    expect(sum(await Promise.all(nexts))).toBe(3);
    expect(order).toEqual([0, 1, 2]);
    expect(source.left()).toBe(0);
  });

  it('ends with return(), and every next() that waits has settled then', async () => {
    const settled: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      void iterator.next().then((result) => settled.push(result));
    }
    expect(await iterator.return()).toEqual(done);
    expect(settled).toEqual([done, done, done]);
    source.make();
    expect(await iterator.next()).toEqual(done);
    expect(source.left()).toBe(1);
  });

  it('ends with throw(), which rejects with its error, and every next() that waits has settled then', async () => {
    const settled: unknown[] = [];
    void iterator.next().then((result) => settled.push(result));
    const error = new Error('enough');
    await expect(iterator.throw(error)).rejects.toBe(error);
    expect(settled).toEqual([done]);
    expect(await iterator.next()).toEqual(done);
  });

  it('ends with Symbol.asyncDispose', async () => {
    const next = iterator.next();
    await iterator[Symbol.asyncDispose]();
    expect(await next).toEqual(done);
    expect(await iterator.next()).toEqual(done);
  });

  it('is its own iterator', () => {
    expect(iterator[Symbol.asyncIterator]()).toBe(iterator);
  });

  it('ends all next() that wait, and those that come, at the end of what it is of', async () => {
    const nexts = [iterator.next(), iterator.next()];
    source.end();
    expect(await Promise.all(nexts)).toEqual([done, done]);
    expect(await iterator.next()).toEqual(done);
    expect(await iterator.return()).toEqual(done);
  });

  it('leaves what it has not given to who leaves the loop', async () => {
    for (let i = 0; i < 5; i++) source.make();
    let got = 0;
    for await (const value of iterator) {
      got += source.sizeOf(value);
      source.make();
      break;
    }
    expect(await iterator.next()).toEqual(done);
    expect(got + source.left()).toBe(6);
  });

  it('gives a value that it has taken though return() comes before its next() hears of it', async () => {
    source.make();
    const next = iterator.next(); // takes it at once
    const returned = iterator.return();
    expect(sum([await next]) + source.left()).toBe(1);
    expect(await returned).toEqual(done);
  });

  it('loses and doubles nothing, whatever several of them are asked for', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constantFrom('next' as const, 'return' as const, 'throw' as const),
        which: fc.nat(2),
      }),
      fc.record({ kind: fc.constantFrom('make' as const, 'turn' as const), which: fc.nat(2) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        using own = open();
        const iterators = Array.from({ length: 3 }, () => own.iterate());
        const ended = [false, false, false];
        const asked: { which: number; result: Promise<IteratorResult<unknown, void>> }[] = [];
        const settled: { which: number; n: number; isDone: boolean }[] = [];
        let made = 0;
        let got = 0;
        for (const { kind, which } of steps) {
          const one = iterators[which];
          if (kind === 'make') {
            own.make();
            made++;
          } else if (kind === 'turn') {
            await new Promise(setImmediate);
          } else if (kind === 'next') {
            const n = asked.length;
            const result = one?.next() ?? Promise.reject(new Error('no such iterator'));
            asked.push({ which, result });
            void result.then((value) => {
              settled.push({ which, n, isDone: value.done === true });
              if (value.done !== true) got += own.sizeOf(value.value);
            });
          } else if (kind === 'return') {
            await one?.return();
            ended[which] = true;
          } else {
            await one?.throw(new Error('thrown')).catch(() => undefined);
            ended[which] = true;
          }
        }
        for (const [which, one] of iterators.entries()) {
          await one.return();
          // Each settled in its turn, and after the first that was done there was no value.
          const own = settled.filter((entry) => entry.which === which);
          expect(own.map(({ n }) => n)).toEqual(own.map(({ n }) => n).sort((a, b) => a - b));
          const end = own.findIndex(({ isDone }) => isDone);
          expect(end < 0 || own.slice(end).every(({ isDone }) => isDone)).toBe(true);
          expect(own.length).toBe(asked.filter((entry) => entry.which === which).length);
        }
        expect(got + own.left()).toBe(made);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the signal of watchInterrupts()', () => {
  let simulator: Simulator;
  let partition: Partition;
  let route: IrqFdRoute;
  beforeEach(() => {
    [simulator, partition, route] = simulatedRoute();
  });
  afterEach(() => {
    simulator.close();
  });

  it('rejects the first next() that waits with its reason, and the others are done', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const iterator = simulator.watchInterrupts(partition, { signal });
    const nexts = [iterator.next(), iterator.next()];
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await Promise.allSettled(nexts)).toEqual([
      { status: 'rejected', reason },
      { status: 'fulfilled', value: done },
    ]);
    expect(await iterator.next()).toEqual(done);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('rejects the next next() where none waits: with an AbortError where nobody chose a reason', async () => {
    const controller = new AbortController();
    const iterator = simulator.watchInterrupts(partition, { signal: controller.signal });
    route.event.signal();
    await iterator.next();
    route.event.signal();
    controller.abort();
    await expect(iterator.next()).rejects.toMatchObject({ name: 'AbortError' });
    expect(await iterator.next()).toEqual(done);
    expect(simulator.interrupts(partition)).toHaveLength(1);
  });

  it('rejects the first next() where it had aborted before', async () => {
    route.event.signal();
    const iterator = simulator.watchInterrupts(partition, { signal: AbortSignal.abort('late') });
    await expect(iterator.next()).rejects.toBe('late');
    expect(await iterator.next()).toEqual(done);
    expect(simulator.interrupts(partition)).toHaveLength(1);
  });

  it('ends a loop with an error, and leaves what was not delivered', async () => {
    const controller = new AbortController();
    for (let i = 0; i < 5; i++) route.event.signal();
    const loop = async (): Promise<void> => {
      for await (const { sequence } of simulator.watchInterrupts(partition, {
        signal: controller.signal,
      })) {
        if (sequence === 2n) controller.abort();
      }
    };
    await expect(loop()).rejects.toMatchObject({ name: 'AbortError' });
    expect(simulator.interrupts(partition).map(({ sequence }) => sequence)).toEqual([3n, 4n, 5n]);
  });

  it('is left alone when the iteration has ended', async () => {
    const { signal } = new AbortController();
    const iterator = simulator.watchInterrupts(partition, { signal });
    const next = iterator.next();
    await iterator.return();
    await next;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
