import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { MshvError, Vp, type Intercept, type Partition, type StartedRun } from '../../lib/index.js';
import type { GuestSide } from '../guest-side.js';
import { isRunning as vpIsRunning } from '../is-running.js';
import { mappings } from '../mappings.js';
import { openDescriptors } from '../open-descriptors.js';
import { vpThreads } from '../process-threads.js';
import { newSeen, seenWords, VpWorker } from '../vp-work.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Random orders of everything that is done with VPs, by several objects that have them and by a Worker,
// against a model. After each step the real VPs have come to rest: a run that was started has ended, or is
// inside the driver with nothing to exit for. Then everything that was seen is what the model has seen.

const vpCount = 2;
const patience = 60_000;

interface ModelVp {
  /** Numbers of the messages that the VP will exit with. */
  queued: number[];
  canceled: boolean;
  /** The handle whose thread runs it, or the Worker. */
  runner: number | 'worker' | undefined;
  rbx: bigint;
}

interface ModelHandle {
  readonly vp: number;
  closed: boolean;
  /** What its handlers and runs got. */
  readonly exits: number[];
  /** How its started runs ended. */
  readonly ends: string[];
  /** Whether its last exit waits to be completed. Nobody sees whether another's thread has begun to run the VP since. */
  pending: boolean | 'perhaps';
}

class Model {
  readonly vps = Array.from({ length: vpCount }, (): ModelVp => {
    return { queued: [], canceled: false, runner: undefined, rbx: 0n };
  });
  readonly handles = Array.from({ length: vpCount }, (_, vp) => newHandle(vp));
  readonly worker = { cancels: 0, exits: 0 };
  messages = 0;

  /** Another handle, or the worker, runs the VP: nobody else's exit can be completed then. */
  overtake(vp: number, runner: ModelHandle | undefined, pending: false | 'perhaps'): void {
    for (const handle of this.handles) {
      if (handle.vp === vp && handle !== runner) handle.pending &&= pending;
    }
  }

  /** Lets a started run do what it can. */
  rest(): void {
    for (const vp of this.vps) {
      const { runner } = vp;
      if (runner === undefined) continue;
      if (runner === 'worker') {
        this.worker.cancels += vp.canceled ? 1 : 0;
        this.worker.exits += vp.queued.splice(0).length;
        vp.canceled = false;
        continue;
      }
      const handle = this.handles[runner];
      if (vp.canceled) {
        vp.canceled = false;
        vp.runner = undefined;
        handle?.ends.push('canceled');
      } else {
        handle?.exits.push(...vp.queued.splice(0));
      }
    }
  }
}

function newHandle(vp: number): ModelHandle {
  return { vp, closed: false, exits: [], ends: [], pending: false };
}

interface RealHandle {
  readonly vp: Vp;
  readonly exits: number[];
  readonly ends: string[];
  run: StartedRun | undefined;
  last: Intercept | undefined;
}

const realHandle = (vp: Vp): RealHandle => {
  return { vp, exits: [], ends: [], run: undefined, last: undefined };
};

interface Real {
  readonly guest: GuestSide;
  readonly partition: Partition;
  readonly worker: VpWorker;
  readonly handles: RealHandle[];
  seen: Int32Array;
}

/** The code of what is thrown, 'fine' where nothing is. */
function outcome(action: () => unknown): string {
  try {
    action();
    return 'fine';
  } catch (error) {
    return error instanceof MshvError ? error.code : String(error);
  }
}

const number = (exit: Intercept): number => (exit.type === 'halt' ? Number(exit.rip) : -1);

function begin(handle: RealHandle): void {
  const run = handle.vp.start((exit) => {
    handle.exits.push(number(exit));
    // As by run(): only the exit of a run that returned it can be completed later.
    handle.last = undefined;
  });
  handle.run = run;
  run.finished.then(
    (end) => handle.ends.push(end),
    (error: unknown) => handle.ends.push(error instanceof MshvError ? error.code : String(error)),
  );
}

const steps = {
  queue: (model, real, at) => {
    const vp = at % vpCount;
    const serial = ++model.messages;
    model.vps[vp]?.queued.push(serial);
    const message = encodeMessage('halt', { vpIndex: vp, rip: serial, instructionLength: 1 });
    real.guest.queueMessage(real.partition, vp, message);
  },
  run: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    const busy = vp.runner !== undefined;
    // A run that would not end is none.
    if (!handle.closed && !busy && !vp.canceled && vp.queued.length === 0) return;
    const expected = handle.closed ? 'ERR_MSHV_CLOSED' : busy ? 'ERR_MSHV_VP_RUNNING' : 'fine';
    let exit: Intercept | undefined;
    expect(
      outcome(() => {
        exit = realOne.vp.run();
      }),
    ).toBe(expected);
    if (expected !== 'fine') {
      // Another handle's run takes this one's exit away as well; its own start does not get so far.
      if (expected === 'ERR_MSHV_VP_RUNNING' && vp.runner !== indexOf(model, handle)) {
        handle.pending = false;
      }
      return;
    }
    if (vp.canceled) {
      vp.canceled = false;
      handle.pending = false;
      expect(exit).toBeUndefined();
      return;
    }
    const serial = vp.queued.shift() ?? -1;
    expect(exit && number(exit)).toBe(serial);
    handle.pending = true;
    model.overtake(handle.vp, handle, false);
    realOne.last = exit;
  },
  start: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    const index = indexOf(model, handle);
    const expected = handle.closed
      ? 'ERR_MSHV_CLOSED'
      : vp.runner === index
        ? 'ERR_MSHV_VP_RUNNING'
        : 'fine';
    expect(
      outcome(() => {
        begin(realOne);
      }),
    ).toBe(expected);
    if (expected !== 'fine') return;
    handle.pending = false;
    if (vp.runner === undefined) {
      vp.runner = index;
      model.overtake(handle.vp, handle, 'perhaps');
    } else handle.ends.push('ERR_MSHV_VP_RUNNING');
  },
  stop: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    realOne.run?.stop();
    if (vp.runner !== indexOf(model, handle)) return;
    vp.runner = undefined;
    handle.ends.push('stopped');
  },
  cancel: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    const expected = handle.closed ? 'ERR_MSHV_CLOSED' : 'fine';
    expect(
      outcome(() => {
        realOne.vp.cancel();
      }),
    ).toBe(expected);
    if (!handle.closed) vp.canceled = true;
  },
  complete: (model, real, at) => {
    const [handle, , realOne] = pick(model, real, at);
    const { last } = realOne;
    if (last?.type !== 'halt') return;
    const allowed = handle.pending === true ? [] : ['ERR_MSHV_STALE_EXIT'];
    if (handle.pending !== false) allowed.push('fine');
    expect(handle.closed ? ['ERR_MSHV_CLOSED'] : allowed).toContain(
      outcome(() => {
        realOne.vp.skipInstruction(last);
      }),
    );
    handle.pending = false;
  },
  registers: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    const expected = handle.closed ? 'ERR_MSHV_CLOSED' : 'fine';
    const value = BigInt(at);
    expect(
      outcome(() => {
        expect(realOne.vp.getRegisters(['RBX'])).toEqual({ RBX: vp.rbx });
        realOne.vp.setRegisters({ RBX: value });
      }),
    ).toBe(expected);
    if (!handle.closed) vp.rbx = value;
  },
  share: (model, real, at) => {
    const [handle, , realOne] = pick(model, real, at);
    const expected = handle.closed ? 'ERR_MSHV_CLOSED' : 'fine';
    expect(
      outcome(() => {
        const token = realOne.vp.share();
        const received = Vp.receive(token, { native: real.guest.native });
        expect(outcome(() => Vp.receive(token, { native: real.guest.native }))).toBe(
          'ERR_MSHV_TOKEN_TAKEN',
        );
        real.handles.push(realHandle(received));
      }),
    ).toBe(expected);
    if (!handle.closed) model.handles.push(newHandle(handle.vp));
  },
  close: (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    realOne.vp.close();
    if (vp.runner === indexOf(model, handle)) {
      vp.runner = undefined;
      handle.ends.push('closed');
    }
    handle.closed = true;
  },
  work: async (model, real, at) => {
    const [handle, vp, realOne] = pick(model, real, at);
    const busy = model.vps.some(({ runner }) => runner === 'worker');
    if (handle.closed || busy || vp.runner !== undefined) return;
    const token = realOne.vp.share();
    real.seen = newSeen();
    Object.assign(model.worker, { cancels: 0, exits: 0 });
    vp.runner = 'worker';
    model.overtake(handle.vp, undefined, 'perhaps');
    const kind = at % 2 === 0 ? 'run' : 'start';
    await real.worker.begin({ kind, vp: token, seen: real.seen });
  },
  endWork: async (model, real) => {
    const vp = model.vps.find(({ runner }) => runner === 'worker');
    if (vp === undefined) return;
    await endWork(model, real);
    vp.runner = undefined;
    model.worker.cancels++;
  },
} satisfies Record<string, (model: Model, real: Real, at: number) => void | Promise<void>>;

/** Ends the Worker's work by a cancel through a handle of its own. */
async function endWork(model: Model, real: Real): Promise<void> {
  const index = model.vps.findIndex(({ runner }) => runner === 'worker');
  using last = Vp.receive(vpTokens(real, index), { native: real.guest.native });
  Atomics.store(real.seen, seenWords.quit, 1);
  last.cancel();
  await real.worker.done();
}

/** A token of a VP, from a handle that is never closed. */
function vpTokens(real: Real, index: number) {
  const keeper = keepers.get(real.partition)?.[index];
  if (keeper === undefined) throw new Error('nobody keeps the VP');
  return keeper.share();
}

const keepers = new WeakMap<Partition, Vp[]>();

function pick(model: Model, real: Real, at: number): [ModelHandle, ModelVp, RealHandle] {
  const index = at % model.handles.length;
  const handle = model.handles[index];
  const vp = handle && model.vps[handle.vp];
  const realOne = real.handles[index];
  if (handle === undefined || vp === undefined || realOne === undefined) {
    throw new Error(`no handle ${index}`);
  }
  return [handle, vp, realOne];
}

const indexOf = (model: Model, handle: ModelHandle): number => model.handles.indexOf(handle);

/** Whether a thread is inside MSHV_RUN_VP. */
function isRunning(real: Real, index: number): boolean {
  const keeper = keepers.get(real.partition)?.[index];
  return keeper !== undefined && vpIsRunning(keeper);
}

async function compare(model: Model, real: Real): Promise<void> {
  model.rest();
  const modelled = model.handles.map(({ exits, ends }) => ({ exits, ends }));
  const observed = () => real.handles.map(({ exits, ends }) => ({ exits, ends }));
  await vi.waitFor(
    () => {
      expect(observed()).toEqual(modelled);
      expect([real.seen[seenWords.cancels], real.seen[seenWords.exits]]).toEqual([
        model.worker.cancels,
        model.worker.exits,
      ]);
      expect(model.vps.map((_, index) => isRunning(real, index))).toEqual(
        model.vps.map(({ runner }) => runner !== undefined),
      );
    },
    { timeout: patience, interval: 1 },
  );
  expect(real.handles.map(({ vp }) => vp.closed)).toEqual(
    model.handles.map(({ closed }) => closed),
  );
}

type StepName = keyof typeof steps;

class Step implements fc.AsyncCommand<Model, Real> {
  readonly name: StepName;
  readonly at: number;

  constructor(name: StepName, at: number) {
    this.name = name;
    this.at = at;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: Real): Promise<void> {
    await steps[this.name](model, real, this.at);
    await compare(model, real);
  }

  toString(): string {
    return `${this.name}(${this.at})`;
  }
}

const names = Object.keys(steps) as StepName[];
const often: readonly StepName[] = ['queue', 'queue', 'run', 'run', 'start', 'start', 'cancel'];
const step = fc
  .tuple(fc.constantFrom(...names, ...often), fc.nat({ max: 1000 }))
  .map(([name, at]) => new Step(name, at));

function belongings() {
  return {
    descriptors: openDescriptors(),
    vpThreads: vpThreads().length,
    vpMappings: mappings(/mshv/).filter((line) => !line.includes('.node')).length,
  };
}

const guest = await guestSideForTests();
let worker: VpWorker;
beforeAll(async () => {
  worker = new VpWorker(guest.backend);
  // A thread opens descriptors while it starts: let it.
  const partition = guest.createPartition(1);
  await worker.begin({ kind: 'partition', partition: partition.share() });
  await worker.done();
  partition.close();
});
afterAll(async () => {
  await worker.thread.terminate();
});

it('VPs do what the model does, in any order, and leave nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands([step], { maxCommands: 40, size: 'max' }), async (commands) => {
      const before = belongings();
      const partition = guest.createPartition(vpCount);
      const { native } = guest;
      const own = Array.from({ length: vpCount }, (_, index) => vpOf(partition, index));
      const kept = own.map((vp) => Vp.receive(vp.share(), { native }));
      keepers.set(partition, kept);
      for (const vp of kept) vp.setRegisters({ RBX: 0n });
      const model = new Model();
      const handles = own.map(realHandle);
      const real: Real = { guest, partition, worker, handles, seen: newSeen() };
      try {
        await fc.asyncModelRun(() => ({ model, real }), commands);
      } finally {
        try {
          if (model.vps.some(({ runner }) => runner === 'worker')) await endWork(model, real);
        } finally {
          // Or what is left would fail the sequences after this one, which is to be shrunk.
          partition.close();
          for (const { vp } of real.handles) vp.close();
          for (const vp of kept) vp.close();
        }
      }
      // What the end of the partition and of the other handles does to runs.
      model.vps.forEach(({ runner }) => {
        if (typeof runner === 'number') model.handles[runner]?.ends.push('closed');
      });
      await vi.waitFor(() => {
        expect(real.handles.map(({ ends }) => ends)).toEqual(model.handles.map(({ ends }) => ends));
      });
      expect(belongings()).toEqual(before);
    }),
    // What fails waits for its patience: a shrunk one would be told after the test's time.
    { seed: 20261121, numRuns: guest.backend === 'lab' ? 60 : 300, endOnFailure: true },
  );
});
