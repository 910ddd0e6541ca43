import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { type MshvError, type Vp } from '../../../lib/index.js';
import { openGuestSide } from '../../guest-side.js';
import { isRunning } from '../../is-running.js';
import { vpOf } from '../../vp-of.js';
import { newSeen, seenWords, VpWorker } from '../../vp-work.js';

// Interrupts a run of a VP where somebody else uses real-time signals, for kicks.test.ts, and tells what came of it:
//
//   kicked-runs.ts LIBRARY MOMENT WAY TAKES WHEN
//
// The library (signal_taker.c) is loaded, or takes its signals, at that moment.

const [library = '', moment = '', way = '', takes = '', when = ''] = process.argv.slice(2);
process.env['MSHV_TEST_TAKES'] = takes;
process.env['MSHV_TEST_WHEN'] = when;
const guest = await openGuestSide();
const partition = guest.createPartition(1);
const vp = vpOf(partition, 0);

/** It is no addon, but its constructor runs. */
function load(): void {
  try {
    process.dlopen({ exports: {} }, library);
  } catch {
    // So it says.
  }
}

/** How many real-time signals have somebody's handler (`SigCgt`), or are ignored (`SigIgn`). */
function count(kind: 'SigCgt' | 'SigIgn'): number {
  const status = readFileSync('/proc/self/status', 'latin1');
  const bits = BigInt(`0x${new RegExp(`^${kind}:\\s*(\\w+)$`, 'm').exec(status)?.[1] ?? ''}`);
  return Array.from({ length: 31 }, (_, i) => 64 - i).filter(
    (signal) => (bits >> BigInt(signal - 1)) & 1n,
  ).length;
}

const ways: Record<string, (one: Vp) => Promise<unknown>> = {
  cancel: async (one) => {
    const run = one.start(() => undefined);
    while (!isRunning(one)) await turn();
    taken();
    one.cancel();
    return run.finished;
  },
  stop: async (one) => {
    const run = one.start(() => undefined);
    while (!isRunning(one)) await turn();
    taken();
    run.stop();
    return run.finished;
  },
  close: async (one) => {
    const run = one.start(() => undefined);
    while (!isRunning(one)) await turn();
    taken();
    one.close();
    return run.finished;
  },
  'cancel from outside': async (one) => {
    const { worker, seen } = await workerThatRuns(one, 'run');
    taken();
    Atomics.store(seen, seenWords.quit, 1);
    one.cancel();
    await worker.done();
    await worker.thread.terminate();
    return seen[seenWords.cancels] === 1 ? 'canceled' : 'lost';
  },
  terminate: async (one) => {
    const { worker } = await workerThatRuns(one, 'run');
    taken();
    await worker.thread.terminate();
    return isRunning(one) ? 'running' : 'ended';
  },
  // A thread that nobody can interrupt.
  'terminate with an exit later': async (one) => {
    await abandon(one);
    process.kill(process.pid, 'SIGUSR2');
    for (const type of ['timer-expired', 'halt'] as const) {
      guest.queueMessage(partition, 0, encodeMessage(type));
    }
    for (;;) {
      try {
        return one.run()?.type;
      } catch (error) {
        if ((error as MshvError).code !== 'ERR_MSHV_VP_RUNNING') throw error;
        await turn();
      }
    }
  },
  'terminate without an exit': async (one) => {
    await abandon(one);
    return isRunning(one) ? 'running' : 'ended';
  },
};

async function workerThatRuns(one: Vp, kind: 'run' | 'start') {
  const worker = new VpWorker(guest.backend);
  const seen = newSeen();
  await worker.begin({ kind, vp: one.share(), seen });
  while (!isRunning(one)) await turn();
  return { worker, seen };
}

/** Ends an environment whose thread goes on running the VP. */
async function abandon(one: Vp): Promise<void> {
  const { worker } = await workerThatRuns(one, 'start');
  taken();
  await worker.thread.terminate();
}

function taken(): void {
  if (moment === 'during') process.kill(process.pid, 'SIGUSR1');
}

if (moment === 'between') {
  vp.cancel();
  const run = vp.start(() => undefined);
  await run.finished;
}
load();
let told: object;
try {
  told = { result: await ways[way]?.(vp) };
} catch (error) {
  const { code, syscall } = error as MshvError;
  told = { code, syscall, closed: vp.closed, running: isRunning(vp) };
}
console.log(JSON.stringify({ ...told, caught: count('SigCgt'), ignored: count('SigIgn') }));
process.exit(0);
