import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { Vp, type MshvError } from '../../lib/index.js';
import { mappings } from '../mappings.js';
import { openDescriptors } from '../open-descriptors.js';
import { vpThreads } from '../process-threads.js';
import { vpOf } from '../vp-of.js';
import { newSeen, seenWords, VpWorker } from '../vp-work.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  isRunning,
  partition,
  partitionForEachTest,
  patience,
  untilRunning,
  vp,
} from './partition-for-tests.js';

// VPs that several threads of the process have: one runs, any may cancel, registers are there for all.

const guest = await guestSideForTests();
partitionForEachTest(guest, 2);
/** For one VP, and for a second one. */
let worker: VpWorker;
let secondWorker: VpWorker;

beforeAll(() => {
  worker = new VpWorker(guest.backend);
  secondWorker = new VpWorker(guest.backend);
});
afterAll(async () => {
  await worker.thread.terminate();
  await secondWorker.thread.terminate();
});

const halt = encodeMessage('halt', { vpIndex: 0 });
const tripleFault = encodeMessage('unrecoverable-exception', { vpIndex: 0 });

/** Blocks until the other thread has counted so far, and fails where it has counted on. */
function expectCount(seen: Int32Array, word: number, count: number): void {
  for (;;) {
    const now = Atomics.load(seen, word);
    if (now === count) return;
    if (now > count) expect.fail(`word ${word} is ${now}, not ${count}`);
    if (Atomics.wait(seen, word, now, patience) === 'timed-out') {
      expect.fail(`word ${word} is ${now}, and never ${count}`);
    }
  }
}

/** A sequence that looks random and is the same each time. */
function* numbers(seed: number): Generator<number, never, undefined> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

/** Passes some time that no clock measures. */
function spin(rounds: number, word: Int32Array): void {
  for (let i = 0; i < rounds; i++) Atomics.load(word, 0);
}

/** What this process has besides its heap. */
function belongings() {
  return {
    descriptors: openDescriptors(),
    vpThreads: vpThreads().length,
    vpMappings: mappings(/mshv(?!.*\.node)/).length,
  };
}

describe('cancel()', () => {
  const cancels = { simulator: 10_000, lab: 1_000 };

  it.each(['run', 'start'] as const)(
    'is acknowledged once each time, whenever it comes, with exits in between: %s() in a Worker',
    async (kind) => {
      const seen = newSeen();
      await worker.begin({ kind, vp: vp.share(), seen });
      const random = numbers(kind === 'run' ? 20261121 : 11);
      const total = cancels[guest.backend];
      let exits = 0;
      for (let i = 1; i <= total; i++) {
        const next = random.next().value;
        spin(next % 2 === 0 ? 0 : (next >>> 8) % 4000, seen);
        // Of an exit and a cancel at the same time either may come first; both come.
        if ((next >>> 4) % 8 === 0) {
          guest.queueMessage(partition, 0, halt);
          exits++;
          spin((next >>> 12) % 500, seen);
        }
        vp.cancel();
        expectCount(seen, seenWords.cancels, i);
        expectCount(seen, seenWords.exits, exits);
      }
      expect(exits).toBeGreaterThan(total / 16);
      guest.queueMessage(partition, 0, tripleFault);
      await worker.done();
      expect([...seen]).toEqual([total, exits + 1, 0]);
    },
  );

  it('is one for several before the run ends', async () => {
    for (let i = 0; i < 5; i++) vp.cancel();
    expect(vp.run()).toBeUndefined();
    guest.queueMessage(partition, 0, halt);
    expect(vp.run()?.type).toBe('halt');

    const seen = newSeen();
    await worker.begin({ kind: 'run', vp: vp.share(), seen });
    await untilRunning();
    guest.queueMessage(partition, 0, tripleFault);
    await worker.done();
    expect([...seen]).toEqual([0, 1, 0]);
  });

  it('works from each object that has the VP, and outlives the one that it came from', () => {
    for (const [from, to] of [
      [vp, Vp.receive(vp.share(), { native: guest.native })],
      [Vp.receive(vp.share(), { native: guest.native }), vp],
    ] as const) {
      from.cancel();
      if (from !== vp) from.close();
      expect(to.run()).toBeUndefined();
      guest.queueMessage(partition, 0, halt);
      expect(to.run()?.type).toBe('halt');
      if (to !== vp) to.close();
    }
  });

  it('comes after an exit that has been delivered', async () => {
    const exits: string[] = [];
    const run = vp.start((exit) => {
      exits.push(exit.type);
      vp.cancel();
    });
    guest.queueMessage(partition, 0, halt);
    guest.queueMessage(partition, 0, tripleFault);
    expect(await run.finished).toBe('canceled');
    expect(exits).toEqual(['halt']);
    expect(vp.run()?.type).toBe('unrecoverable-exception');
  });
});

describe('a VP that runs in a Worker', () => {
  it('has registers for everybody, and its run goes on', async () => {
    const seen = newSeen();
    await worker.begin({ kind: 'run', vp: vp.share(), seen });
    await untilRunning();
    for (let i = 1n; i <= 100n; i++) {
      vp.setRegisters({ RAX: i, R15: ~i & 0xffffn });
      expect(vp.getRegisters(['R15', 'RAX'])).toEqual({ R15: ~i & 0xffffn, RAX: i });
    }
    expect(isRunning()).toBe(true);
    expect([...seen]).toEqual([0, 0, 0]);
    guest.queueMessage(partition, 0, tripleFault);
    await worker.done();
    expect([...seen]).toEqual([0, 1, 0]);
  });

  it('has no state and no second run, and is none the worse for being asked', async () => {
    const seen = newSeen();
    await worker.begin({ kind: 'run', vp: vp.share(), seen });
    await untilRunning();
    const running = expect.objectContaining({ code: 'ERR_MSHV_VP_RUNNING' }) as MshvError;
    expect(() => vp.run()).toThrow(running);
    expect(() => {
      vp.setState('simp', new Uint8Array(4096));
    }).toThrow(running);
    await expect(vp.start(() => undefined).finished).rejects.toEqual(running);
    using other = Vp.receive(vp.share(), { native: guest.native });
    expect(() => other.run()).toThrow(running);
    expect([...seen]).toEqual([0, 0, 0]);
    vp.cancel();
    expectCount(seen, seenWords.cancels, 1);
    guest.queueMessage(partition, 0, tripleFault);
    await worker.done();
    expect([...seen]).toEqual([1, 1, 0]);
  });

  it('is run again where a signal interrupts it, and by nobody else meanwhile', async () => {
    const seen = newSeen();
    const before = guest.calls('MSHV_RUN_VP');
    await worker.begin({ kind: 'run', vp: vp.share(), seen });
    await untilRunning();
    let idle = 0;
    while (guest.calls('MSHV_RUN_VP') < before + 5) {
      for (let i = 0; i < 1000; i++) idle += isRunning() ? 0 : 1;
      await new Promise(setImmediate);
    }
    expect([idle, ...seen]).toEqual([0, 0, 0, 0]);
    guest.queueMessage(partition, 0, tripleFault);
    await worker.done();
    expect([...seen]).toEqual([0, 1, 0]);
  });

  it('runs beside another one', async () => {
    const works = [0, 1].map((index) => ({ index, seen: newSeen() }));
    const workers = [worker, secondWorker];
    for (const { index, seen } of works) {
      await workers[index]?.begin({ kind: 'run', vp: vpOf(partition, index).share(), seen });
    }
    for (let round = 1; round <= 20; round++) {
      for (const { index, seen } of works) {
        guest.queueMessage(partition, index, encodeMessage('halt', { vpIndex: index }));
        expectCount(seen, seenWords.exits, round);
      }
    }
    vpOf(partition, 1).cancel();
    const [first, second] = works;
    if (first === undefined || second === undefined) throw new Error('there are two VPs');
    expectCount(second.seen, seenWords.cancels, 1);
    for (const { index } of works) guest.queueMessage(partition, index, tripleFault);
    await Promise.all(workers.map((each) => each.done()));
    expect(works.map(({ seen }) => [...seen])).toEqual([
      [0, 21, 0],
      [1, 21, 0],
    ]);
  });

  it.each(['run', 'start'] as const)(
    'is free again once the Worker is terminated in %s(), which leaves nothing behind',
    async (kind) => {
      vp.cancel();
      expect(vp.run()).toBeUndefined();
      const before = belongings();
      for (let i = 0; i < (guest.backend === 'lab' ? 1 : 3); i++) {
        const seen = newSeen();
        const ending = new VpWorker(guest.backend);
        await ending.begin({ kind, vp: vp.share(), seen });
        await untilRunning();
        await ending.thread.terminate();
        expect(isRunning()).toBe(false);
        expect([...seen]).toEqual([0, 0, 0]);
      }
      expect(belongings()).toEqual(before);
      guest.queueMessage(partition, 0, halt);
      expect(vp.run()?.type).toBe('halt');
    },
  );

  it('outlives the partition here', async () => {
    const before = belongings();
    const own = guest.createPartition(1);
    const shared = vpOf(own, 0);
    const seen = newSeen();
    await worker.begin({ kind: 'run', vp: shared.share(), seen });
    guest.queueMessage(own, 0, halt);
    expectCount(seen, seenWords.exits, 1);
    const control = Vp.receive(shared.share(), { native: guest.native });
    own.close();
    Atomics.store(seen, seenWords.quit, 1);
    control.cancel();
    await worker.done();
    expectCount(seen, seenWords.cancels, 1);
    expect(control.getRegisters(['RIP']).RIP).toBeTypeOf('bigint');
    control.close();
    expect(belongings()).toEqual(before);
  });
});

it('a partition in a Worker has its hypercalls', async () => {
  const before = belongings();
  vp.setRegisters({ RAX: 0x1234n, RBX: 0n });
  await worker.begin({ kind: 'partition', partition: partition.share() });
  await worker.done();
  expect(vp.getRegisters(['RBX'])).toEqual({ RBX: 0x1234n });
  expect(guest.interrupts(partition)).toMatchObject([{ vector: 0x51, destination: 0 }]);
  expect(belongings()).toEqual(before);
});

describe('a VP with a thread here', () => {
  it('delivers what comes before and what comes late, one at a time', async () => {
    guest.queueMessage(partition, 0, halt);
    const exits: string[] = [];
    const run = vp.start(async (exit) => {
      exits.push(exit.type);
      if (exit.type === 'halt') guest.queueMessage(partition, 0, tripleFault);
      await new Promise(setImmediate);
      return exit.type === 'halt' ? undefined : 'stop';
    });
    expect(await run.finished).toBe('stopped');
    expect(exits).toEqual(['halt', 'unrecoverable-exception']);
  });

  it('is stopped and closed while it runs, and leaves nothing', async () => {
    vp.cancel();
    expect(vp.run()).toBeUndefined();
    const before = belongings();
    const handler = vi.fn();
    const run = vp.start(handler);
    await untilRunning();
    run.stop();
    expect(await run.finished).toBe('stopped');
    expect(isRunning()).toBe(false);
    expect(belongings()).toEqual(before);

    const again = vp.start(handler);
    expect(belongings().vpThreads).toBe(1);
    await untilRunning();
    partition.close();
    expect(await again.finished).toBe('closed');
    expect(belongings().vpThreads).toBe(0);
    expect(handler).not.toHaveBeenCalled();
  });

  it('calls no handler for an exit that stop() was faster than', async () => {
    const random = numbers(3);
    for (let i = 0; i < 50; i++) {
      const handler = vi.fn();
      const run = vp.start(handler);
      guest.queueMessage(partition, 0, halt);
      spin(random.next().value % 20_000, newSeen());
      run.stop();
      await run.finished;
      await new Promise(setImmediate);
      expect(handler).not.toHaveBeenCalled();
    }
  });

  it('runs beside another one', async () => {
    const counts = [0, 0];
    const runs = [0, 1].map((index) =>
      vpOf(partition, index).start((exit) => {
        counts[index] = (counts[index] ?? 0) + 1;
        if (exit.type !== 'halt') return 'stop';
        const more = (counts[index] ?? 0) < 30 ? halt : tripleFault;
        guest.queueMessage(partition, index, more);
        return undefined;
      }),
    );
    for (const index of [0, 1]) guest.queueMessage(partition, index, halt);
    expect(await Promise.all(runs.map(({ finished }) => finished))).toEqual(['stopped', 'stopped']);
    expect(counts).toEqual([31, 31]);
  });

  it('ends where the handler throws, and can be started again', async () => {
    const run = vp.start(() => {
      throw new Error('of the handler');
    });
    guest.queueMessage(partition, 0, halt);
    await expect(run.finished).rejects.toThrow('of the handler');
    guest.queueMessage(partition, 0, tripleFault);
    expect(await vp.start(() => 'stop').finished).toBe('stopped');
  });
});

it('a closed VP and partition leave no descriptor, thread or mapping', () => {
  const before = belongings();
  const own = guest.createPartition(3);
  for (const one of own.vps) {
    expect(one.registerPage?.dirty).toBe(0);
    expect(one.interceptPage?.current).toBeDefined();
    one.start(() => undefined).finished.catch(() => undefined);
    Vp.receive(one.share(), { native: guest.native }).close();
  }
  const meanwhile = belongings();
  expect(meanwhile.vpThreads).toBe(before.vpThreads + 3);
  // Arbiter, register page and intercept page.
  expect(meanwhile.vpMappings).toBeGreaterThanOrEqual(before.vpMappings + 9);
  own.close();
  expect(belongings()).toEqual(before);
});
