import { setTimeout as later } from 'node:timers/promises';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import type { ExitHandler, StartedRun } from '../../../lib/index.js';
import { openGuestSide } from '../../guest-side.js';
import { newSeen, VpWorker } from '../../vp-work.js';
import { vpOf } from '../../vp-of.js';

// Processes that end while a VP runs, for vp-ends.test.ts. They say on stdout what they see.

const say = (...words: unknown[]): void => {
  process.stdout.write(`${words.join(' ')}\n`);
};

const guest = await openGuestSide();
const partition = guest.createPartition(2);
const vp = vpOf(partition, 0);
const halt = encodeMessage('halt', {});

/** Starts the VP, which has something to exit with. */
function startWith(handler: ExitHandler): StartedRun {
  guest.queueMessage(partition, 0, halt);
  return vp.start(handler);
}

const runInWorker = async (kind: 'run' | 'start'): Promise<void> => {
  const worker = new VpWorker(guest.backend);
  await worker.begin({ kind, vp: vpOf(partition, 1).share(), seen: newSeen() });
};

const scenarios: Record<string, () => void | Promise<void>> = {
  'exits in a handler': () => {
    startWith(() => process.exit(7));
  },
  'exits in an asynchronous handler': () => {
    startWith(async () => {
      await later(1);
      process.exit(7);
    });
  },
  'exits while a thread runs a VP': () => {
    vp.start(() => undefined);
    process.exit(7);
  },
  'exits while a Worker is in run()': async () => {
    await runInWorker('run');
    process.exit(7);
  },
  'exits while a Worker has started a VP': async () => {
    await runInWorker('start');
    process.exit(7);
  },
  'dies of what a handler throws': () => {
    startWith(() => {
      throw new Error('nobody catches this');
    });
  },
  'dies of what a handler rejects with': () => {
    startWith(() => Promise.reject(new Error('nobody catches this')));
  },
  'goes on after what a handler throws is caught': async () => {
    const run = startWith(() => {
      throw new Error('somebody catches this');
    });
    await run.finished.catch((error: unknown) => {
      say('caught', String(error));
    });
    guest.queueMessage(partition, 0, halt);
    say('finished', await vp.start(() => 'stop').finished);
    guest[Symbol.dispose]();
    process.exitCode = 7;
  },
  'stays while a VP runs': async () => {
    const run = vp.start((exit) => {
      say('exit', exit.type);
      return 'stop';
    });
    run.unref().ref();
    // This timer holds nothing: it only fires where the run does.
    setTimeout(() => {
      guest.queueMessage(partition, 0, halt);
    }, 20).unref();
    say('finished', await run.finished);
    process.exitCode = 7;
  },
  'ends although a VP runs after unref()': () => {
    vp.start(() => undefined).unref();
    process.exitCode = 7;
  },
};

const scenario = scenarios[process.argv[2] ?? ''];
if (scenario === undefined) throw new Error(`no scenario ${process.argv[2] ?? ''}`);
await scenario();
