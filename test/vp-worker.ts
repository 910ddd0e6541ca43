import { parentPort, workerData } from 'node:worker_threads';

import { type PartitionToken, SharedPartition, Vp } from '../lib/index.js';
import { linuxNative } from '../lib/native.js';
import { simNative } from '../lib/sim/sim-native.js';
import { seenWords, type VpWork, type VpWorkerData } from './vp-work.js';

// Does one VpWork after another: answers each with 'ready' when it begins, and 'done'.

const { backend } = workerData as VpWorkerData;
const options = { native: backend === 'simulator' ? simNative() : linuxNative() };
const say = (word: 'ready' | 'done'): void => {
  parentPort?.postMessage(word);
};

function count(seen: Int32Array, word: number): void {
  Atomics.add(seen, word, 1);
  Atomics.notify(seen, word);
}

/** Whether the VP is to be run no more after a cancel. */
const quits = (seen: Int32Array): boolean => Atomics.load(seen, seenWords.quit) !== 0;

function run(vp: Vp, seen: Int32Array): void {
  for (;;) {
    const quit = quits(seen);
    const exit = vp.run();
    count(seen, exit === undefined ? seenWords.cancels : seenWords.exits);
    if (exit === undefined ? quit || quits(seen) : exit.type === 'unrecoverable-exception') return;
  }
}

async function start(vp: Vp, seen: Int32Array): Promise<void> {
  for (;;) {
    const end = await vp.start((exit) => {
      count(seen, seenWords.exits);
      return exit.type === 'unrecoverable-exception' ? 'stop' : undefined;
    }).finished;
    if (end !== 'canceled') return;
    count(seen, seenWords.cancels);
    if (quits(seen)) return;
  }
}

function tally(vp: Vp, seen: Int32Array, how: 'run' | 'start'): void {
  // Not by Atomics: where a function begins, a Worker may be terminated, and nobody else counts.
  const exits = seenWords.exits;
  if (how === 'start') {
    vp.start(() => {
      seen[exits] = (seen[exits] ?? 0) + 1;
    });
    return;
  }
  for (;;) {
    vp.run();
    seen[exits] = (seen[exits] ?? 0) + 1;
  }
}

function callPartition(token: PartitionToken): void {
  using partition = SharedPartition.receive(token, options);
  const [RAX, RBX] = [0x20000, 0x20003];
  const words = partition.getRegisters(0, Uint32Array.of(RAX));
  partition.setRegisters(0, Uint32Array.of(RBX), words);
  partition.requestInterrupt({ vector: 0x51 });
}

async function perform(work: VpWork): Promise<void> {
  if (work.kind === 'partition') {
    callPartition(work.partition);
    say('ready');
  } else if (work.kind === 'tally') {
    const vp = Vp.receive(work.vp, options);
    say('ready');
    tally(vp, work.seen, work.how);
    return;
  } else if (work.kind === 'run, then start') {
    const vp = Vp.receive(work.vp, options);
    vp.run();
    vp.start(() => {
      count(work.seen, seenWords.exits);
      for (;;);
    });
    say('ready');
    return;
  } else if (work.kind === 'busy') {
    Vp.receive(work.vp, options).start(() => {
      throw new Error('an event loop that does not turn calls no handler');
    });
    say('ready');
    for (;;);
  } else {
    using vp = Vp.receive(work.vp, options);
    say('ready');
    if (work.kind === 'run') run(vp, work.seen);
    else await start(vp, work.seen);
  }
  say('done');
}

parentPort?.on('message', (work: VpWork) => {
  void perform(work);
});
