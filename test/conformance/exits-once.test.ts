import { describe, expect, it } from 'vitest';

import { encodeMessage, type EncodableType } from '../../lib/sim/encode-message.js';
import { commonMessages, x64Messages } from '../../lib/abi/messages/table.js';
import { Vp } from '../../lib/index.js';
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

// What comes once is told once: it is not lost where nobody could be told of it, and does not come again where
// somebody was. A message that is queued last ends each run that would wait for what is lost.

const guest = await guestSideForTests();
const { native } = guest;
partitionForEachTest(guest, 2);

/** No instruction of the guest makes these: nothing repeats them. */
const comeOnce: readonly EncodableType[] = [
  'apic-eoi',
  'async-call-completion',
  'interruption-deliverable',
  'opaque',
  'scheduler-vp-signal-bitset',
  'scheduler-vp-signal-pair',
  // The guest's instruction is over when it exits.
  'sev-vmgexit',
  'sint-deliverable',
  'sint-intercept',
  'timer-expired',
];

/** The guest executes the instruction again, or is still what it was. */
const comeAgain: readonly EncodableType[] = [
  'cpuid',
  'exception',
  'gpa-attribute',
  'gpa-intercept',
  'halt',
  'hypercall',
  'invalid-vp-register-value',
  'io-port',
  'msr',
  'sipi',
  'unaccepted-gpa',
  'unmapped-gpa',
  'unrecoverable-exception',
  'unsupported-feature',
];

/** A code that this library has no name for. */
const unknown = Uint8Array.of(0x34, 0x12, 0x00, 0x80, 1, ...new Uint8Array(12), 7);

const last = encodeMessage('halt', { vpIndex: 0, rip: 0x1a57 });
const isLast = (exit: unknown): boolean =>
  exit !== null && typeof exit === 'object' && 'rip' in exit && exit.rip === 0x1a57n;

/** What the next runs return before the message that ends them. */
function told(by = vp): string[] {
  guest.queueMessage(partition, 0, last);
  const types: string[] = [];
  for (;;) {
    const exit = by.run();
    if (isLast(exit)) return types;
    types.push(exit?.type ?? 'canceled');
  }
}

/** Waits for another thread, and lets this one's event loop not turn. */
function waitUntil(condition: () => boolean): void {
  for (const begin = Date.now(); !condition();) {
    if (Date.now() - begin > patience) expect.fail('the other thread does not get there');
  }
}

/** Has whatever runs the VP stop with a message. */
function stopWith(message: Uint8Array): void {
  waitUntil(isRunning);
  guest.queueMessage(partition, 0, message);
  waitUntil(() => !isRunning());
}

const untold = (): never => {
  throw new Error('nobody can be told of this exit');
};

it('each type of message is in one of the lists', () => {
  expect([...comeOnce, ...comeAgain].sort()).toEqual(
    Object.keys({ ...commonMessages, ...x64Messages }).sort(),
  );
});

describe('an exit on its way to the handler of a run that is stopped', () => {
  const messages = (types: readonly EncodableType[]): [string, Uint8Array][] =>
    types.map((type) => [type, encodeMessage(type, {})]);

  it.each([...messages(comeOnce), ['unknown', unknown] as const])(
    'is the next run’s: %s',
    async (type, message) => {
      const run = vp.start(untold);
      stopWith(message);
      run.stop();
      expect(await run.finished).toBe('stopped');
      // Whoever runs it.
      using other = Vp.receive(vp.share(), { native });
      expect(told(other)).toEqual([type]);
    },
  );

  it.each(messages(comeAgain))(
    'is dropped, as the guest makes it again: %s',
    async (_, message) => {
      const run = vp.start(untold);
      stopWith(message);
      run.stop();
      expect(await run.finished).toBe('stopped');
      expect(told()).toEqual([]);
    },
  );

  it('waits through runs that are stopped or canceled before they tell of it', async () => {
    const run = vp.start(untold);
    stopWith(encodeMessage('sint-deliverable', {}));
    run.stop();
    for (let i = 0; i < 20; i++) {
      const again = vp.start(untold);
      for (let turn = 0; turn < i * 1000; turn++);
      again.stop();
      expect(await again.finished).toBe('stopped');
      vp.cancel();
      expect(vp.run()).toBeUndefined();
    }
    expect(told()).toEqual(['sint-deliverable']);
  });

  it('is nobody else’s before', async () => {
    using other = Vp.receive(vp.share(), { native });
    const run = vp.start(untold);
    stopWith(encodeMessage('sint-deliverable', {}));
    expect(() => other.run()).toThrow(expect.objectContaining({ code: 'ERR_MSHV_VP_RUNNING' }));
    run.stop();
    await run.finished;
    expect(told(other)).toEqual(['sint-deliverable']);
  });
});

it('a cancel that nobody was told of is the next run’s, and one that somebody was told of is not', async () => {
  const run = vp.start(untold);
  waitUntil(isRunning);
  vp.cancel();
  waitUntil(() => !isRunning());
  run.stop();
  expect(await run.finished).toBe('stopped');
  expect(told()).toEqual(['canceled']);
  const canceled = vp.start(untold);
  vp.cancel();
  expect(await canceled.finished).toBe('canceled');
  expect(told()).toEqual([]);
});

describe('an exit that somebody was told of does not come again where the run is stopped', () => {
  const rounds = guest.backend === 'lab' ? 20 : 100;
  const sint = encodeMessage('sint-deliverable', {});

  it.each<[string, (stop: () => void) => undefined | Promise<void>]>([
    [
      'in the tick of its answer',
      (stop) => {
        queueMicrotask(() => {
          queueMicrotask(stop);
        });
        return undefined;
      },
    ],
    [
      'in the tick of a later answer',
      (stop) => {
        const answer = Promise.resolve();
        void answer.then().then().then().then(stop);
        return answer;
      },
    ],
    [
      'by its handler',
      (stop) => {
        stop();
        return undefined;
      },
    ],
    [
      'before its answer',
      (stop) => {
        setImmediate(stop);
        return new Promise(() => undefined);
      },
    ],
  ])('%s', async (_, handle) => {
    for (let i = 0; i < rounds; i++) {
      guest.queueMessage(partition, 0, sint);
      let stopped = false;
      const run = vp.start(() =>
        handle(() => {
          stopped = true;
          run.stop();
        }),
      );
      expect(await run.finished).toBe('stopped');
      expect(stopped).toBe(true);
      expect(told()).toEqual([]);
    }
  });
});

it('a VP is nobody else’s until its handler has answered, and until the run has ended', async () => {
  using other = Vp.receive(vp.share(), { native });
  const running = expect.objectContaining({ code: 'ERR_MSHV_VP_RUNNING' }) as Error;
  const sint = encodeMessage('sint-deliverable', {});
  let called: () => void = () => undefined;
  const call = new Promise<void>((resolve) => (called = resolve));
  let answer: () => void = () => undefined;
  const run = vp.start(() => {
    called();
    return new Promise<void>((resolve) => (answer = resolve));
  });
  guest.queueMessage(partition, 0, sint);
  await call;
  expect(isRunning()).toBe(false);
  expect(() => other.run()).toThrow(running);
  await expect(other.start(untold).finished).rejects.toThrow(running);
  // The one that was refused holds nothing.
  expect(() => other.run()).toThrow(running);
  answer();
  await untilRunning();
  expect(() => other.run()).toThrow(running);
  run.stop();
  expect(await run.finished).toBe('stopped');
  expect(told(other)).toEqual([]);
});

describe('a Worker that is terminated', () => {
  it('before its handler could be called leaves an exit to the next run', async () => {
    const { thread, begin } = newWorker();
    await begin({ kind: 'busy', vp: vp.share() });
    stopWith(encodeMessage('sint-deliverable', {}));
    await thread.terminate();
    expect(told()).toEqual(['sint-deliverable']);
  });

  it('before its handler could be called leaves a cancel to the next run', async () => {
    const { thread, begin } = newWorker();
    await begin({ kind: 'busy', vp: vp.share() });
    waitUntil(isRunning);
    vp.cancel();
    waitUntil(() => !isRunning());
    await thread.terminate();
    expect(told()).toEqual(['canceled']);
  });

  it('in a handler leaves that exit to the next run, and none that run() has returned before', async () => {
    const seen = newSeen();
    const { thread, begin } = newWorker();
    guest.queueMessage(partition, 0, encodeMessage('sint-deliverable', {}));
    await begin({ kind: 'run, then start', vp: vp.share(), seen });
    stopWith(encodeMessage('timer-expired', {}));
    waitUntil(() => Atomics.load(seen, seenWords.exits) === 1);
    await thread.terminate();
    expect(told()).toEqual(['timer-expired']);
  });

  it.each(['run', 'start'] as const)(
    'while exits come to its %s() was told of each that the next run is not',
    async (how) => {
      const rounds = guest.backend === 'lab' ? 3 : 12;
      for (let round = 0; round < rounds; round++) {
        const seen = newSeen();
        const { thread, begin } = newWorker();
        await begin({ kind: 'tally', how, vp: vp.share(), seen });
        const exits = 200;
        let terminated: Promise<unknown> = Promise.resolve();
        for (let i = 0; i < exits; i++) {
          guest.queueMessage(partition, 0, encodeMessage('sint-deliverable', {}));
          if (i === 10 * round) terminated = thread.terminate();
        }
        await terminated;
        const rest = told();
        expect(rest).toEqual(rest.map(() => 'sint-deliverable'));
        expect(Atomics.load(seen, seenWords.exits) + rest.length).toBe(exits);
      }
    },
    2 * patience,
  );

  function newWorker() {
    const worker = new VpWorker(guest.backend);
    return {
      thread: worker.thread,
      begin: (work: Parameters<VpWorker['begin']>[0]) => worker.begin(work),
    };
  }
});
