import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  MshvError,
  Vp,
  type ExitAnswer,
  type Intercept,
  type Partition,
  type StartedRun,
} from '../../lib/index.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Random orders of everything that begins, ends or answers a run, by several objects that have the VP, at moments that
// nobody chooses: steps do not wait for the thread. In the end each exit has been told once, whatever the order of
// exits and ends was, and no exit of an earlier stop was completed.

const guest = await guestSideForTests();
const { native } = guest;
const handleCount = 3;

/** How a handler answers. */
const answers = ['at once', 'stop', 'later', 'throws', 'stops itself', 'stop in the tick'] as const;
type Answer = (typeof answers)[number];

interface Handle {
  readonly vp: Vp;
  run: StartedRun | undefined;
  /** What may be completed: nothing where undefined. */
  pending: Intercept | undefined;
  /** Another handle's thread has perhaps run the VP since: nobody sees when it begins. */
  isDoubtful: boolean;
  /** Whether the handler of its run has been called, and has not answered. */
  answer: (() => void) | undefined;
}

class World {
  readonly handles: Handle[];
  readonly partition: Partition;
  /** By their number: how often each exit was told. */
  readonly told: number[] = [];
  /** All that anybody was ever handed, and snapshots. */
  readonly exits: Intercept[] = [];
  readonly #ends: Promise<unknown>[] = [];

  constructor() {
    this.partition = guest.createPartition(1);
    const vp = vpOf(this.partition, 0);
    this.handles = Array.from({ length: handleCount }, (_, index) => ({
      vp: index === 0 ? vp : Vp.receive(vp.share(), { native }),
      run: undefined,
      pending: undefined,
      isDoubtful: false,
      answer: undefined,
    }));
  }

  queue(): void {
    const serial = this.told.push(0) - 1;
    const message = encodeMessage('sint-deliverable', { rip: serial, instructionLength: 1 });
    guest.queueMessage(this.partition, 0, message);
  }

  tell(handle: Handle, exit: Intercept): void {
    if (exit.type !== 'sint-deliverable') throw new Error(`the VP stopped with ${exit.type}`);
    const serial = Number(exit.rip);
    this.told[serial] = (this.told[serial] ?? 0) + 1;
    const others = this.handles.filter((other) => other !== handle);
    for (const other of others) other.pending = undefined;
    handle.pending = exit;
    handle.isDoubtful = others.some(({ run }) => run?.ended === false);
    this.exits.push(exit, exit.snapshot());
  }

  start(handle: Handle, answer: Answer): void {
    if (handle.run?.ended === false) return;
    const run = handle.vp.start((exit) => {
      this.tell(handle, exit);
      return this.#answer(handle, run, answer);
    });
    handle.pending = undefined;
    for (const other of this.handles) other.isDoubtful = true;
    handle.run = run;
    this.#ends.push(
      run.finished.catch((error: unknown) => {
        const expected = error instanceof MshvError ? error.code : String(error);
        expect(['ERR_MSHV_VP_RUNNING', 'Error: of the handler']).toContain(expected);
      }),
    );
  }

  #answer(handle: Handle, run: StartedRun, answer: Answer): ExitAnswer | Promise<ExitAnswer> {
    const { pending } = handle;
    // The VP runs on.
    const done = (): void => {
      if (!run.ended && handle.pending === pending) handle.pending = undefined;
    };
    switch (answer) {
      case 'stop':
        return 'stop';
      case 'throws':
        throw new Error('of the handler');
      case 'stops itself':
        run.stop();
        return undefined;
      case 'later':
        return new Promise<void>((resolve) => {
          handle.answer = () => {
            handle.answer = undefined;
            // It is heard in some microtask of this turn.
            handle.isDoubtful = true;
            setImmediate(done);
            resolve();
          };
        });
      case 'stop in the tick':
        queueMicrotask(() => {
          queueMicrotask(() => {
            run.stop();
          });
        });
        done();
        return undefined;
      case 'at once':
        done();
        return undefined;
    }
  }

  /** A run that cannot wait for ever: a cancel waits for it. */
  run(handle: Handle): void {
    handle.vp.cancel();
    for (const other of this.handles) other.isDoubtful = true;
    try {
      const exit = handle.vp.run();
      handle.pending = undefined;
      if (exit !== undefined) this.tell(handle, exit);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MSHV_VP_RUNNING' });
      // Another object's run is in the way; its own start() does not get so far.
      if (handle.run?.ended !== false) handle.pending = undefined;
    }
  }

  complete(handle: Handle, at: number): void {
    const exit = this.exits[at % this.exits.length];
    if (exit?.type !== 'sint-deliverable') return;
    // A snapshot comes behind what it is of.
    const original = this.exits[(at % this.exits.length) & ~1];
    const fresh = original === handle.pending;
    let outcome = 'fine';
    try {
      handle.vp.skipInstruction(exit);
    } catch (error) {
      outcome = error instanceof MshvError ? error.code : String(error);
    }
    const allowed = fresh ? ['fine'] : ['ERR_MSHV_STALE_EXIT'];
    if (fresh && handle.isDoubtful) allowed.push('ERR_MSHV_STALE_EXIT');
    expect(allowed).toContain(outcome);
    if (fresh) handle.pending = undefined;
  }

  async end(): Promise<void> {
    for (const { run } of this.handles) run?.stop();
    await Promise.all(this.#ends);
    const { vp } = this.handles[0] ?? {};
    if (vp === undefined) throw new Error('no handle');
    guest.queueMessage(this.partition, 0, encodeMessage('halt', {}));
    for (;;) {
      const exit = vp.run();
      if (exit?.type === 'halt') break;
      if (exit?.type === 'sint-deliverable') {
        const serial = Number(exit.rip);
        this.told[serial] = (this.told[serial] ?? 0) + 1;
      }
    }
    expect(this.told).toEqual(this.told.map(() => 1));
  }

  close(): void {
    for (const { vp } of this.handles) vp.close();
    this.partition.close();
  }
}

const at = fc.nat({ max: 1000 });
const steps = fc.oneof(
  fc.record({ kind: fc.constant('queue' as const) }),
  fc.record({ kind: fc.constant('start' as const), at, answer: fc.constantFrom(...answers) }),
  fc.record({ kind: fc.constantFrom('stop', 'run', 'answer', 'cancel', 'complete'), at }),
  fc.record({ kind: fc.constant('turn' as const) }),
  fc.record({ kind: fc.constant('microtask' as const) }),
  fc.record({ kind: fc.constant('spin' as const), at }),
);

async function perform(world: World, step: typeof steps extends fc.Arbitrary<infer S> ? S : never) {
  const handle = 'at' in step ? world.handles[step.at % handleCount] : undefined;
  switch (step.kind) {
    case 'queue':
      world.queue();
      break;
    case 'turn':
      await new Promise(setImmediate);
      break;
    case 'microtask':
      await Promise.resolve();
      break;
  }
  if (handle === undefined || !('at' in step)) return;
  switch (step.kind) {
    case 'start':
      world.start(handle, step.answer);
      break;
    case 'stop':
      handle.run?.stop();
      break;
    case 'run':
      world.run(handle);
      break;
    case 'answer':
      handle.answer?.();
      break;
    case 'cancel':
      handle.vp.cancel();
      break;
    case 'complete':
      world.complete(handle, step.at);
      break;
    case 'spin':
      for (let i = 0; i < step.at * 100; i++);
      break;
  }
}

it('each exit is told once and completed by nobody later, in any order of runs, ends and answers', async () => {
  const numRuns = guest.backend === 'lab' ? 60 : 400;
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 50, size: 'max' }), async (sequence) => {
      const world = new World();
      try {
        for (const step of sequence) await perform(world, step);
        await world.end();
      } finally {
        world.close();
      }
    }),
    { numRuns },
  );
}, 120_000);
