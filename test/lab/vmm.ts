import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';

import type { EventFd, Intercept, Vp } from '../../lib/index.js';
import { typescriptWorker } from '../typescript-program.js';
import type { DeviceGuest } from './device-guest.js';
import { account, DeviceGuestExits } from './device-guest-exits.js';
import type { GuestOrder, GuestReport } from './device-guest-memory.js';
import type { EchoRoute } from './synic-echo.js';
import type { VmmAnswer, VmmRequest } from './vmm-worker.js';

/** How a run of the guest ended. */
export type GuestRunEnd = 'work' | 'canceled';

/** Runs one VP of a `DeviceGuest`. */
export abstract class Vmm implements AsyncDisposable {
  readonly guest: DeviceGuest;
  readonly vp: Vp;
  protected readonly words = DeviceGuestExits.newAccount();

  constructor(guest: DeviceGuest, index: number) {
    this.guest = guest;
    this.vp = guest.vp(index);
  }

  /** How many exits there have been since the last order. */
  get exits(): number {
    return Number(this.words[account.exits]);
  }

  /** What went over in them. */
  get sum(): bigint {
    return this.words[account.sum] ?? 0n;
  }

  get report(): GuestReport {
    return this.guest.view.report(this.vp.index);
  }

  /** Writes an order for the guest to find when it asks for work. */
  order(order: GuestOrder): void {
    this.words.fill(0n);
    this.guest.view.order(this.vp.index, order);
  }

  /** Lets the VP run until it asks for work or is canceled. */
  abstract run(): Promise<GuestRunEnd>;

  /** Lets the guest do something to its end. */
  async perform(order: GuestOrder): Promise<GuestReport> {
    this.order(order);
    const end = await this.run();
    if (end !== 'work') throw new Error('the run was canceled');
    return this.report;
  }

  abstract [Symbol.asyncDispose](): Promise<void>;
}

/** Runs the VP with `vp.start()`. */
export class StartedVmm extends Vmm {
  readonly #exits: DeviceGuestExits;

  constructor(guest: DeviceGuest, index: number, halting?: EventFd) {
    super(guest, index);
    this.#exits = new DeviceGuestExits(this.vp, guest.view, this.words, halting);
  }

  async run(): Promise<GuestRunEnd> {
    const run = this.vp.start((exit) => (this.complete(exit) ? 'stop' : undefined));
    const end = await run.finished;
    if (end === 'closed') throw new Error('the VP was closed');
    return end === 'stopped' ? 'work' : end;
  }

  /** Completes an exit. True where the guest asked for work. */
  protected complete(exit: Intercept): boolean {
    return this.#exits.complete(exit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing outlives a run.
  }
}

/** A thread that runs VPs with `vp.run()`, one after the other. */
export class VmmThread implements AsyncDisposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(): Promise<VmmThread> {
    const worker = typescriptWorker(new URL('vmm-worker.ts', import.meta.url));
    await once(worker, 'message');
    return new VmmThread(worker);
  }

  async ask(request: VmmRequest): Promise<'ready' | GuestRunEnd> {
    const answer = once(this.#worker, 'message') as Promise<[VmmAnswer]>;
    this.#worker.postMessage(request);
    const [said] = await answer;
    if (said instanceof Error) throw said;
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Runs the VP with `vp.run()` in a Worker, which gets it by token. */
export class WorkerVmm extends Vmm {
  readonly #thread: VmmThread;

  private constructor(guest: DeviceGuest, index: number, thread: VmmThread) {
    super(guest, index);
    this.#thread = thread;
  }

  static async start(
    thread: VmmThread,
    guest: DeviceGuest,
    index: number,
    halting?: EventFd,
    echo?: EchoRoute,
  ): Promise<WorkerVmm> {
    const vmm = new WorkerVmm(guest, index, thread);
    await thread.ask({
      vp: vmm.vp.share(),
      memory: guest.memory.share(),
      account: vmm.words,
      halting: halting?.share(),
      echo,
    });
    return vmm;
  }

  async run(): Promise<GuestRunEnd> {
    const end = await this.#thread.ask('run');
    if (end === 'ready') throw new Error('the thread was not asked that');
    return end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.ask('close');
  }
}
