import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { adopt } from '../../adopt.js';
import { ioctls } from '../../../lib/abi/ioctls.js';
import { descriptorKinds, linuxNative, type Native } from '../../../lib/native.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { giveBlock } from '../../give-block.js';
import { mappings } from '../../mappings.js';
import { openDescriptors } from '../../open-descriptors.js';
import { vpThreads } from '../../process-threads.js';

const { EBADF, EBUSY, ECANCELED, EINTR, EINVAL, ENOENT, ENOTTY, ESTALE } = constants.errno;

/** SIGRTMAX: nobody else of this process has it. */
const kickSignal = 64;
const runVp = ioctls.MSHV_RUN_VP;

const program = (name: string): string =>
  fileURLToPath(new URL(`../programs/${name}`, import.meta.url));

/** A VP's exits, as vpStart hands them over, and the promise of the next one. */
class Exits {
  readonly message: Uint8Array;
  readonly taken: (readonly [number, number])[] = [];
  #waiting: ((exit: readonly [number, number]) => void) | undefined;

  /** @param block - the VP's */
  constructor(block: Uint8Array) {
    this.message = block.subarray(0, 256);
  }

  readonly onExit = (result: number): void => {
    const exit = [result, this.message[0] ?? -1] as const;
    this.taken.push(exit);
    this.#waiting?.(exit);
    this.#waiting = undefined;
  };

  next(): Promise<readonly [number, number]> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

/** An intercept message that is told from others by its type's lowest byte. */
function message(number: number): Uint8Array {
  const bytes = new Uint8Array(256);
  new DataView(bytes.buffer).setUint32(0, 0x80010000 + number, true);
  return bytes;
}

/** Runs until something but the Worker's tick ends it. */
function run(native: Native, vp: number): number {
  for (;;) {
    const result = native.vpRun(vp);
    if (result !== -EINTR) return result;
  }
}

describe.each([
  ['hypervisor', 3],
  ['root', 4],
])("a VP of the simulator with the %s's scheduler", (_, scheduler) => {
  const native = simNative();
  let before: { descriptors: number; mappings: number };
  let sim: number;
  let device: number;
  let partition: number;
  let vp: number;
  let arbiter: number;
  let exits: Exits;

  beforeEach(() => {
    before = { descriptors: openDescriptors(), mappings: mappings(/memfd:mshv/).length };
    sim = native.simCreate(scheduler, false, false);
    device = native.open(`sim:${sim}`);
    partition = native.createPartition(device, 1n, 0n);
    native.initializePartition(partition);
    vp = native.createVp(partition, 0);
    arbiter = native.vpAttach(vp, -1);
    exits = new Exits(giveBlock(native, vp));
  });

  afterEach(() => {
    for (const fd of [vp, arbiter, partition, device]) native.close(fd);
    native.simDestroy(sim);
    expect(vpThreads()).toEqual([]);
    expect({ descriptors: openDescriptors(), mappings: mappings(/memfd:mshv/).length }).toEqual(
      before,
    );
  });

  const queue = (number: number): void => {
    expect(native.simQueueMessage(partition, 0, message(number))).toBe(0);
  };
  const state = new Uint8Array(4096);
  const lapic = (): number => native.vpGetState(vp, 0, state);

  describe('on the caller’s thread', () => {
    it('returns its exits in order', () => {
      queue(1);
      queue(2);
      expect([run(native, vp), exits.message[0]]).toEqual([0, 1]);
      expect([run(native, vp), exits.message[0]]).toEqual([0, 2]);
    });

    it('completes the exit of the last run, and writes nothing where there was another since or one goes on', () => {
      const other = native.dup(vp);
      native.vpAttach(other, arbiter);
      giveBlock(native, other);
      const { buffer } = exits.message;
      const [words, places] = [new BigUint64Array(buffer, 264), new Uint32Array(buffer, 344)];
      const page = native.vpPage(vp, 0);
      if (typeof page === 'number') expect.fail(`vpPage(): ${page}`);
      const rax = new BigUint64Array(page, 8, 1);
      const complete = (runNumber: number, value: bigint): number => {
        [words[0], places[0]] = [value, 8];
        return native.vpCompleteExit(vp, runNumber, 1, 1);
      };
      queue(1);
      expect(run(native, vp)).toBe(0);
      const first = native.vpLastRun(vp);
      expect([complete(first, 0x55n), rax[0]]).toEqual([1, 0x55n]);
      expect(native.vpRun(other)).toBe(-EINTR);
      const second = native.vpLastRun(vp);
      expect([first, second].map((number) => complete(number, 0x66n))).toEqual([-ESTALE, -ESTALE]);
      queue(2);
      expect(run(native, other)).toBe(0);
      expect(complete(first, 0x66n)).toBe(-ESTALE);
      expect(rax[0]).not.toBe(0x66n);
      native.close(other);
    });

    it('lets the caller go again and again without an exit', () => {
      const results = [1, 2, 3].map(() => native.vpRun(vp));
      expect(results).toEqual([-EINTR, -EINTR, -EINTR]);
    });

    describe('that it let go for a moment', () => {
      let other: number;
      beforeEach(() => {
        other = native.dup(vp);
        native.vpAttach(other, arbiter);
        exits = new Exits(giveBlock(native, other));
        expect(native.vpRun(vp)).toBe(-EINTR);
      });
      afterEach(() => {
        native.close(other);
      });
      const startOther = async () => {
        expect(native.vpStart(other, exits.onExit)).toBe(0);
        const [result] = await exits.next();
        expect(native.vpStop(other)).toBe(0);
        return result;
      };

      it('runs for nobody else, and keeps its state', async () => {
        queue(1);
        expect([await startOther(), lapic()]).toEqual([-EBUSY, -EBUSY]);
        expect(run(native, vp)).toBe(0);
        expect(lapic()).toBeGreaterThan(0);
        queue(2);
        expect(await startOther()).toBe(0);
      });

      it('runs for others after a cancel', async () => {
        native.vpCancel(other);
        expect(run(native, vp)).toBe(-ECANCELED);
        queue(1);
        expect(await startOther()).toBe(0);
      });

      it('runs for others after a refusal', async () => {
        native.simFailNext(sim, runVp, constants.errno.EIO, 0, 1);
        expect(run(native, vp)).toBe(-constants.errno.EIO);
        queue(1);
        expect(await startOther()).toBe(0);
      });

      it('runs for others once the caller has closed it', async () => {
        native.close(vp);
        queue(1);
        expect(await startOther()).toBe(0);
      });

      it('keeps a cancel for others once the caller has closed it', async () => {
        native.vpCancel(vp);
        native.close(vp);
        expect(await startOther()).toBe(-ECANCELED);
      });
    });

    it('does not enter where a cancel waits, once for all that wait', () => {
      queue(1);
      for (let i = 0; i < 3; i++) expect(native.vpCancel(vp)).toBe(0);
      const calls = native.simCalls(sim, runVp);
      expect(run(native, vp)).toBe(-ECANCELED);
      expect(native.simCalls(sim, runVp)).toBe(calls);
      expect(run(native, vp)).toBe(0);
    });

    it('says what the driver refused, and keeps the cancel', () => {
      native.simFailNext(sim, runVp, constants.errno.EIO, 0, 1);
      expect(run(native, vp)).toBe(-constants.errno.EIO);
      native.vpCancel(vp);
      expect(run(native, vp)).toBe(-ECANCELED);
    });
  });

  describe('on a thread of its own', () => {
    const start = (): void => {
      expect(native.vpStart(vp, exits.onExit)).toBe(0);
    };
    const resume = (): void => {
      expect(native.vpResume(vp)).toBe(0);
    };

    it('hands over each exit and waits to be resumed', async () => {
      queue(1);
      queue(2);
      const first = exits.next();
      start();
      expect(await first).toEqual([0, 1]);
      for (let i = 0; i < 10; i++) await setImmediate();
      expect(exits.taken).toHaveLength(1);
      const second = exits.next();
      resume();
      expect(await second).toEqual([0, 2]);
    });

    it('has one thread, which lets no signal but the kick in', async () => {
      start();
      const [thread = '', ...more] = vpThreads();
      expect(more).toEqual([]);
      const status = readFileSync(`/proc/self/task/${thread}/status`, 'latin1');
      const blocked = BigInt(`0x${/^SigBlk:\s*(\w+)$/m.exec(status)?.[1] ?? ''}`);
      const isBlocked = (signal: number): boolean => ((blocked >> BigInt(signal - 1)) & 1n) === 1n;
      const { SIGINT, SIGTERM, SIGCHLD, SIGWINCH } = constants.signals;
      expect([SIGINT, SIGTERM, SIGCHLD, SIGWINCH].map(isBlocked)).not.toContain(false);
      expect(isBlocked(kickSignal)).toBe(false);
      const exit = exits.next();
      native.vpCancel(vp);
      await exit;
    });

    it('is in nobody else’s hands while it runs', async () => {
      start();
      const exit = exits.next();
      expect(native.vpStart(vp, exits.onExit)).toBe(-EBUSY);
      expect(native.vpRun(vp)).toBe(-EBUSY);
      expect(native.vpResume(vp)).toBe(-EBUSY);
      await running();
      expect([lapic(), native.vpSetState(vp, 0, state)]).toEqual([-EBUSY, -EBUSY]);
      const result = new Uint32Array(2);
      const input = new Uint8Array(16);
      expect(native.hypercall(vp, 0x44, 0, input, new Uint8Array(8), result)).toBe(-EBUSY);
      native.vpCancel(vp);
      expect(await exit).toEqual([-ECANCELED, 0]);
      expect([lapic(), native.vpSetState(vp, 0, state)]).toEqual([4096, 4096]);
      expect(native.vpRun(vp)).toBe(-EBUSY);
      const next = exits.next();
      resume();
      native.vpCancel(vp);
      expect(await next).toEqual([-ECANCELED, 0]);
    });

    it('ends wherever it is, and is started again', async () => {
      expect([native.vpStop(vp), native.vpResume(vp)]).toEqual([-ENOENT, -ENOENT]);
      expect(native.vpHoldLoop(vp, true)).toBe(-ENOENT);
      // Perhaps before it runs, while it runs, with an exit on its way, handed over, and resumed.
      const moments: (() => Promise<void>)[] = [
        () => Promise.resolve(),
        running,
        () => {
          queue(1);
          return Promise.resolve();
        },
        async () => {
          const exit = exits.next();
          queue(2);
          await exit;
        },
        async () => {
          const exit = exits.next();
          queue(3);
          await exit;
          resume();
        },
      ];
      for (const moment of moments) {
        start();
        await moment();
        expect(native.vpStop(vp)).toBe(0);
        expect(vpThreads()).toEqual([]);
        const taken = exits.taken.length;
        for (let i = 0; i < 5; i++) await setImmediate();
        expect(exits.taken).toHaveLength(taken);
      }
    });

    it.each<[string, (vp: number) => number]>([
      ['stopped', (fd) => native.vpStop(fd)],
      ['closed', (fd) => native.close(fd)],
      ['released', (fd) => adopt(native, native.release(fd), descriptorKinds.vp)],
    ])('is %s from inside the call for its exit', async (_, end) => {
      const results: number[] = [];
      const ended = new Promise<void>((resolve) => {
        native.vpStart(vp, () => {
          results.push(end(vp), vpThreads().length, native.vpResume(vp));
          resolve();
        });
      });
      queue(1);
      await ended;
      expect(results.slice(1, 2)).toEqual([0]);
      expect([-ENOENT, -EBADF]).toContain(results[2]);
    });

    it('loses its pages and its thread with its descriptor', async () => {
      const mapped = mappings(/memfd:mshv_vp/).length;
      const pages = [0, 1].map((page) => native.vpPage(vp, page));
      expect(pages.map((page) => typeof page !== 'number' && page.byteLength)).toEqual([
        4096, 4096,
      ]);
      expect([0, 1].map((page) => native.vpPage(vp, page) === pages[page])).toEqual([true, true]);
      expect(mappings(/memfd:mshv_vp/).length).toBe(mapped + 2);
      start();
      await running();
      expect(native.close(vp)).toBe(0);
      expect(pages.map((page) => typeof page !== 'number' && page.byteLength)).toEqual([0, 0]);
      expect(mappings(/memfd:mshv_vp/).length).toBe(mapped);
      expect(native.vpPage(vp, 0)).toBe(-EBADF);
    });

    it('shows the same exit in its message page', async () => {
      const page = native.vpPage(vp, 1);
      if (typeof page === 'number') throw new Error(`vpPage(): ${page}`);
      queue(7);
      const exit = exits.next();
      start();
      await exit;
      expect(new Uint8Array(page).subarray(0, 256)).toEqual(exits.message);
    });

    it('hands over errors, and goes on where that is asked for', async () => {
      native.simFailNext(sim, runVp, constants.errno.EIO, 0, 1);
      const error = exits.next();
      start();
      expect(await error).toEqual([-constants.errno.EIO, 0]);
      queue(1);
      const exit = exits.next();
      resume();
      expect(await exit).toEqual([0, 1]);
    });

    it('keeps a cancel that its end came before, acknowledged or not', async () => {
      for (let i = 0; i < 100; i++) {
        start();
        await running();
        native.vpCancel(vp);
        for (let turn = 0; turn < (i % 10) * 100_000; turn++);
        native.vpStop(vp);
        queue(1);
        expect(run(native, vp)).toBe(-ECANCELED);
        expect(run(native, vp)).toBe(0);
      }
    });

    it('loses neither a cancel nor an exit, whenever they come', async () => {
      const random = fc.sample(fc.nat(999), { numRuns: 3000, seed: 20260 });
      let first = exits.next();
      start();
      let queued = 0;
      let seen = 0;
      for (const [i, number] of random.entries()) {
        const withExit = number % 3 === 0;
        if (withExit && number % 2 === 0) queue(++queued % 256);
        for (let turn = 0; turn < number * (i % 4); turn++);
        expect(native.vpCancel(vp)).toBe(0);
        if (withExit && number % 2 === 1) queue(++queued % 256);
        for (;;) {
          const [result, type] = await first;
          first = exits.next();
          resume();
          if (result === -ECANCELED) break;
          expect([result, type]).toEqual([0, ++seen % 256]);
        }
      }
      while (seen < queued) {
        const [result, type] = await first;
        first = exits.next();
        resume();
        expect([result, type]).toEqual([0, ++seen % 256]);
      }
      expect(exits.taken.filter(([result]) => result === -ECANCELED)).toHaveLength(random.length);
    });

    it('is not woken while it runs, or waits to be resumed', async () => {
      const clock = native.createVp(partition, 1);
      const clockControl = native.vpAttach(clock, -1);
      giveBlock(native, clock);
      start();
      await running();
      const [thread = ''] = vpThreads();
      const wakes = (): string | undefined =>
        /^voluntary_ctxt_switches:.*$/m.exec(
          readFileSync(`/proc/self/task/${thread}/status`, 'latin1'),
        )?.[0];
      const stays = (): void => {
        // It is on its way to sleep still.
        let counts: (string | undefined)[] = [];
        for (let round = 0; round < 5 && new Set(counts).size !== 1; round++) {
          counts = [wakes()];
          for (let tick = 0; tick < 4; tick++) {
            expect(native.vpRun(clock)).toBe(-EINTR);
            counts.push(wakes());
          }
        }
        expect(new Set(counts).size).toBe(1);
      };
      stays();
      const exit = exits.next();
      queue(1);
      await exit;
      stays();
      for (const fd of [clock, clockControl]) native.close(fd);
    });

    /** Resolves once the thread is inside the driver. */
    async function running(): Promise<void> {
      while (lapic() !== -EBUSY) await setImmediate();
    }
  });

  describe('shared with a Worker', () => {
    async function share(runs: number): Promise<Worker> {
      const token = new Int32Array(new SharedArrayBuffer(16));
      expect(native.share(Int32Array.of(vp, arbiter), token)).toBe(0);
      const worker = new Worker(program('vp-worker.mjs'), { workerData: { token, runs } });
      expect(await once(worker, 'message')).toEqual([0]);
      return worker;
    }

    it('is run there and canceled here', async () => {
      const worker = await share(3);
      const ended = once(worker, 'exit');
      const results: unknown[] = [];
      worker.on('message', (result) => results.push(result));
      const next = async (): Promise<void> => {
        await once(worker, 'message');
      };
      let result = next();
      native.vpCancel(vp);
      await result;
      result = next();
      queue(5);
      await result;
      native.vpCancel(vp);
      expect(await ended).toEqual([0]);
      expect(results).toEqual([
        [-ECANCELED, 0],
        [0, 5],
        [-ECANCELED, 5],
      ]);
    });

    it('is run in one place at a time', async () => {
      const worker = await share(1);
      while (lapic() !== -EBUSY) await setImmediate();
      expect(native.vpRun(vp)).toBe(-EBUSY);
      const exit = exits.next();
      native.vpStart(vp, exits.onExit);
      expect(await exit).toEqual([-EBUSY, 0]);
      native.vpStop(vp);
      const ended = once(worker, 'exit');
      native.vpCancel(vp);
      expect(await ended).toEqual([0]);
      queue(1);
      expect(run(native, vp)).toBe(0);
    });

    it('is free again once the Worker is terminated', async () => {
      const worker = await share(1);
      while (lapic() !== -EBUSY) await setImmediate();
      await worker.terminate();
      queue(1);
      expect(run(native, vp)).toBe(0);
    });
  });
});

describe('on the kernel', () => {
  const native = linuxNative();

  it('hands over what a descriptor that is no VP says to a run', async () => {
    const event = native.eventfdCreate(0, false);
    const arbiter = native.vpAttach(event, -1);
    const exits = new Exits(giveBlock(native, event));
    const exit = exits.next();
    expect(native.vpRun(event)).toBe(-ENOTTY);
    native.vpCancel(event);
    expect(native.vpRun(event)).toBe(-ECANCELED);
    expect(native.vpStart(event, exits.onExit)).toBe(0);
    expect(await exit).toEqual([-ENOTTY, 0]);
    expect(native.vpGetState(event, 0, new Uint8Array(8))).toBe(-ENOTTY);
    native.close(event);
    expect(vpThreads()).toEqual([]);
    native.close(arbiter);
  });

  it('takes an arbiter of this process only', () => {
    const event = native.eventfdCreate(0, false);
    const arbiter = native.vpAttach(event, -1);
    const script = `
      const native = require('bindings')('mshv');
      const token = new Int32Array(new SharedArrayBuffer(12));
      token.set([0, 1, 3]);
      process.stdout.write(String(native.receive(token, Uint32Array.of(2))));`;
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      cwd: fileURLToPath(new URL('../../../', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit', arbiter],
    });
    expect(stdout).toBe(String(-EINVAL));
    native.close(arbiter);
    native.close(event);
  });
});

describe('a process with running VPs', () => {
  const endings = JSON.parse(
    execFileSync(process.execPath, [program('vp-endings.mjs')], { encoding: 'utf8' }),
  ) as string[];

  it.each(endings)('%s', (ending) => {
    const { status, signal, stderr } = spawnSync(
      process.execPath,
      [program('vp-endings.mjs'), ending],
      { encoding: 'utf8', timeout: 50_000 },
    );
    const dies = ending.startsWith('dies');
    expect({ status, signal }).toEqual({ status: dies ? 1 : 3, signal: null });
    expect(stderr.includes('Error: thrown')).toBe(dies);
  });
});
