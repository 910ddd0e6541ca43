import { setTimeout as later } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  PartitionSynic,
  Vp,
  type ExitAnswer,
  type ExitHandler,
  type Intercept,
} from '../../lib/index.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  partition,
  partitionForEachTest,
  runInto,
  untilRunning,
  vp,
} from './partition-for-tests.js';

// An exit is one stop of one run. What has been kept of an earlier one completes nothing, though it is equal to the present
// one, or shows its bytes.

const guest = await guestSideForTests();
const { native } = guest;
partitionForEachTest(guest, 2);
beforeEach(() => {
  vp.setRegisters(before);
});

const before = { RAX: 0x1111n, RBX: 0x2222n, RCX: 0x3333n, RDX: 0x4444n, RIP: 0x1000n };
const names = ['RAX', 'RBX', 'RCX', 'RDX', 'RIP'] as const;
const at = { vpIndex: 0, rip: 0x1000, instructionLength: 2 };

interface Way {
  readonly message: Uint8Array;
  readonly complete: (exit: Intercept) => void;
}

const never = (exit: Intercept): never => {
  throw new Error(`the VP stopped with ${exit.type}`);
};

const ways: Readonly<Record<string, Way>> = {
  'completeIoPort()': {
    message: encodeMessage('io-port', { ...at, port: 0x60, size: 1, access: 'read' }),
    complete: (exit) => {
      if (exit.type === 'io-port') vp.completeIoPort(exit, 0xaa);
      else never(exit);
    },
  },
  'completeMsr()': {
    message: encodeMessage('msr', { ...at, msr: 0x10, access: 'read' }),
    complete: (exit) => {
      if (exit.type === 'msr') vp.completeMsr(exit, 0xaa);
      else never(exit);
    },
  },
  'completeCpuid()': {
    message: encodeMessage('cpuid', at),
    complete: (exit) => {
      const result = { eax: 0xaa, ebx: 0xaa, ecx: 0xaa, edx: 0xaa };
      if (exit.type === 'cpuid') vp.completeCpuid(exit, result);
      else never(exit);
    },
  },
  'completeHypercall()': {
    message: encodeMessage('hypercall', at),
    complete: (exit) => {
      if (exit.type === 'hypercall') vp.completeHypercall(exit, { status: 0xaa });
      else never(exit);
    },
  },
  'completeHypercall() with a function': {
    message: encodeMessage('hypercall', at),
    complete: (exit) => {
      if (exit.type === 'hypercall') vp.completeHypercall(exit, never.bind(undefined, exit));
      else never(exit);
    },
  },
  'skipInstruction()': {
    message: encodeMessage('halt', at),
    complete: (exit) => {
      if (exit.type === 'halt') vp.skipInstruction(exit);
      else never(exit);
    },
  },
  'checkExit()': {
    message: encodeMessage('unmapped-gpa', at),
    complete: (exit) => {
      vp.checkExit(exit);
    },
  },
  'handleExit() of a hypercall': {
    message: encodeMessage('hypercall', at),
    complete: (exit) => {
      new PartitionSynic(partition, { native }).handleExit(vp, exit);
    },
  },
  'handleExit() of free slots': {
    message: encodeMessage('sint-deliverable', { ...at, deliverableSints: 4 }),
    complete: (exit) => {
      new PartitionSynic(partition, { native }).handleExit(vp, exit);
    },
  },
};

/** Starts the VP with a handler that stops it, and returns the exit, which waits to be completed. */
async function stopWith(message: Uint8Array, handle: ExitHandler = () => 'stop') {
  let stopped: Intercept | undefined;
  guest.queueMessage(partition, 0, message);
  const run = vp.start((exit) => {
    stopped = exit;
    return handle(exit);
  });
  await run.finished;
  if (stopped === undefined) throw new Error('the VP has not stopped');
  return stopped;
}

/** Ways to have kept an exit. */
const kept: Readonly<Record<string, (message: Uint8Array) => Promise<Intercept> | Intercept>> = {
  'an exit of run()': runInto,
  'a snapshot of an exit of run()': (message) => runInto(message).snapshot(),
  'an exit of start()': (message) => stopWith(message),
  'a snapshot of an exit of start()': async (message) => (await stopWith(message)).snapshot(),
  'a snapshot of a snapshot': (message) => runInto(message).snapshot().snapshot(),
  'an exit whose asynchronous handler never answers': async (message) => {
    let stopped: Intercept | undefined;
    guest.queueMessage(partition, 0, message);
    const run = vp.start((exit) => {
      stopped = exit;
      run.stop();
      return new Promise(() => undefined);
    });
    await run.finished;
    if (stopped === undefined) throw new Error('the VP has not stopped');
    return stopped;
  },
  'an exit of a run of another object that has the VP': (message) => {
    using other = Vp.receive(vp.share(), { native });
    return runInto(message, other);
  },
  'an exit of another VP': (message) => runInto(message, vpOf(partition, 1)),
  'the intercept page': (message) => {
    const exit = runInto(message);
    return vp.interceptPage?.current ?? exit;
  },
};

/** Ways in which the VP comes to its present stop. */
const present: Readonly<Record<string, (message: Uint8Array) => Promise<Intercept> | Intercept>> = {
  'run()': runInto,
  'start()': (message) => stopWith(message),
};

describe.each(Object.entries(ways))('%s', (_, { message, complete }) => {
  describe.each(Object.entries(kept))('refuses %s', (__, keep) => {
    it.each(Object.entries(present))('where the VP has stopped by %s since', async (___, stop) => {
      const old = await keep(message);
      const exit = await stop(message);
      const stale = expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }) as Error;
      for (const one of [old, old.snapshot()]) {
        expect(() => {
          complete(one);
        }).toThrow(stale);
      }
      expect(vp.getRegisters(names)).toEqual(before);
      // The present one is none the worse for that.
      vp.checkExit(exit);
      vp.checkExit(exit.snapshot());
    });
  });
});

describe.each(Object.entries(ways))('%s', (_, { message, complete }) => {
  const stale = expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }) as Error;

  it('refuses an exit of run() once another object has run the VP', () => {
    using other = Vp.receive(vp.share(), { native });
    const exit = runInto(message);
    guest.queueMessage(partition, 0, message);
    const later = other.run();
    for (const one of [exit, exit.snapshot()]) {
      expect(() => {
        complete(one);
      }).toThrow(stale);
    }
    expect(vp.getRegisters(names)).toEqual(before);
    if (later !== undefined) other.checkExit(later);
  });

  it('refuses it while another object runs the VP, and after', async () => {
    using other = Vp.receive(vp.share(), { native });
    const exit = runInto(message);
    const run = other.start(() => 'stop');
    await untilRunning();
    expect(() => {
      complete(exit);
    }).toThrow(stale);
    run.stop();
    await run.finished;
    expect(() => {
      complete(exit);
    }).toThrow(stale);
    expect(vp.getRegisters(names)).toEqual(before);
  });
});

it('an exit is none the staler for a run that was canceled before it began', () => {
  using other = Vp.receive(vp.share(), { native });
  const exit = runInto(io(0x60));
  other.cancel();
  expect(other.run()).toBeUndefined();
  vp.checkExit(exit);
});

const io = (port: number): Uint8Array =>
  encodeMessage('io-port', { ...at, port, size: 1, access: 'read' });

it('an object that a slow handler keeps is no later exit’s, however many there are', async () => {
  const objects = new Set<Intercept>();
  const slow: Intercept[] = [];
  for (let i = 0; i < 200; i++) {
    const exit = await stopWith(io(i), async (): Promise<ExitAnswer> => {
      await Promise.resolve();
      return 'stop';
    });
    slow.push(exit);
    objects.add(exit);
  }
  for (let i = 0; i < 200; i++) {
    const exit = runInto(io(i));
    slow.push(exit);
    objects.add(exit);
    await Promise.resolve();
  }
  expect(objects.size).toBe(slow.length);
});

it('a late device completes nothing, and its handler is not an error of anybody', async () => {
  const completed: number[] = [];
  const handler =
    (value: number, delay: number): ExitHandler =>
    async (exit): Promise<ExitAnswer> => {
      await later(delay);
      if (exit.type === 'io-port') vp.completeIoPort(exit, value);
      completed.push(value);
      return 'stop';
    };
  guest.queueMessage(partition, 0, io(0x60));
  let called: () => void = () => undefined;
  const call = new Promise<void>((resolve) => (called = resolve));
  const first = vp.start((exit) => {
    called();
    return handler(0xaa, 20)(exit);
  });
  await call;
  first.stop();
  guest.queueMessage(partition, 0, io(0x61));
  const second = vp.start(handler(0x02, 60));
  expect([await first.finished, await second.finished]).toEqual(['stopped', 'stopped']);
  expect(completed).toEqual([0x02]);
  expect(runInto(io(0x62)).type).toBe('io-port');
  expect(vp.getRegisters(['RAX', 'RIP'])).toEqual({ RAX: 0x02n, RIP: 0x1002n });
});
