import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';

import type { PartitionToken, VpToken } from '../lib/index.js';
import { typescriptWorker } from './typescript-program.js';

/** What a Worker of vp-worker.ts is to do. */
export type VpWork =
  /** Runs the VP again and again, until it triple-faults or `seen` says so. */
  | { readonly kind: 'run'; readonly vp: VpToken; readonly seen: Int32Array }
  /** The same on a thread of its own. */
  | { readonly kind: 'start'; readonly vp: VpToken; readonly seen: Int32Array }
  /** Counts exits until it is terminated, so that each is counted which the next run does not return. */
  | {
      readonly kind: 'tally';
      readonly how: 'run' | 'start';
      readonly vp: VpToken;
      readonly seen: Int32Array;
    }
  /** Starts the VP and never lets its event loop turn again. */
  | { readonly kind: 'busy'; readonly vp: VpToken }
  /** Runs the VP once, then starts it, and never returns from the handler of the next exit. */
  | {
      readonly kind: 'run, then start';
      readonly vp: VpToken;
      readonly seen: Int32Array;
    }
  /** Sets RBX of VP 0 to what RAX is, and asserts interrupt 0x51. */
  | { readonly kind: 'partition'; readonly partition: PartitionToken };

export interface VpWorkerData {
  readonly backend: 'simulator' | 'lab';
}

/** Words of `seen`: what the Worker has counted, and whether a cancel is to be the end. */
export const seenWords = { cancels: 0, exits: 1, quit: 2, size: 3 } as const;

export const newSeen = (): Int32Array => new Int32Array(new SharedArrayBuffer(4 * seenWords.size));

/** A Worker for VpWork. It takes long to start in the lab, and does one work after the other. */
export class VpWorker {
  readonly thread: Worker;
  #done: Promise<unknown> = Promise.resolve();

  constructor(backend: VpWorkerData['backend']) {
    const data: VpWorkerData = { backend };
    this.thread = typescriptWorker(new URL('vp-worker.ts', import.meta.url), { workerData: data });
  }

  /** Returns when the work is about to begin. */
  async begin(work: VpWork): Promise<void> {
    this.thread.postMessage(work);
    await once(this.thread, 'message');
    this.#done = once(this.thread, 'message');
  }

  /** Returns when the work is done. */
  async done(): Promise<void> {
    await this.#done;
  }
}
