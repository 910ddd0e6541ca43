import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { Partition, Vp } from '../../../lib/index.js';
import { encodeMessage, Simulator } from '../../../lib/sim/index.js';
import { isRunning } from '../../is-running.js';
import { processThreads } from '../../process-threads.js';
import { slowness } from '../../slowness.js';

// A thread that waits is not woken. Each turn here takes a millisecond or more: a thread that looks for something ten times a
// second has looked several times in all of them.

const turns = 200;

let simulator: Simulator;
let partition: Partition;
let vp: Vp;

beforeEach(() => {
  simulator = new Simulator();
  partition = simulator.open().createPartition();
  partition.initialize();
  vp = partition.createVp(0);
  return () => {
    partition.close();
  };
});

/** The one thread of that name. */
function threadOf(name: string): string {
  const threads = [...processThreads()].filter(([, one]) => one === name);
  expect(threads).toHaveLength(1);
  return threads[0]?.[0] ?? '';
}

/** How often it has gone to sleep. */
function sleeps(thread: string): number {
  const status = readFileSync(`/proc/self/task/${thread}/status`, 'latin1');
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1]);
}

/** Resolves once the thread, which may have been on its way to sleep, has slept all the time. */
async function sleepsOn(thread: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const before = sleeps(thread);
      for (let turn = 0; turn < turns; turn++) await pause(1);
      expect(sleeps(thread)).toBe(before);
    },
    { timeout: slowness * 10_000, interval: 0 },
  );
}

describe('is not woken:', () => {
  it('what has run() come back now and then, where no run is under way', async () => {
    simulator.queueMessage(partition, 0, encodeMessage('halt', { vpIndex: 0 }));
    expect(vp.run()?.type).toBe('halt');
    const pacer = threadOf('mshv-pacer');
    await sleepsOn(pacer);
    const before = sleeps(pacer);
    simulator.queueMessage(partition, 0, encodeMessage('halt', { vpIndex: 0 }));
    expect(vp.run()?.type).toBe('halt');
    await vi.waitFor(() => {
      expect(sleeps(pacer)).toBeGreaterThan(before);
    });
    await sleepsOn(pacer);
  });

  it('a started VP that does not exit', async () => {
    const run = vp.start(() => undefined);
    await vi.waitFor(() => {
      expect(isRunning(vp)).toBe(true);
    });
    await sleepsOn(threadOf('mshv-vp'));
    expect(isRunning(vp)).toBe(true);
    run.stop();
    expect(await run.finished).toBe('stopped');
  });

  it('the thread of a VP whose exit is not answered yet', async () => {
    simulator.queueMessage(partition, 0, encodeMessage('halt', { vpIndex: 0 }));
    const answers: ((answer: 'stop') => void)[] = [];
    const run = vp.start(() => new Promise((resolve) => answers.push(resolve)));
    await vi.waitFor(() => {
      expect(answers).toHaveLength(1);
    });
    await sleepsOn(threadOf('mshv-vp'));
    answers[0]?.('stop');
    expect(await run.finished).toBe('stopped');
  });
});
