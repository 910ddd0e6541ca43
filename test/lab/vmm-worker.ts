import { parentPort, type MessagePort } from 'node:worker_threads';

import {
  EventFd,
  GuestMemory,
  Vp,
  type EventFdToken,
  type GuestMemoryToken,
  type VpToken,
} from '../../lib/index.js';
import { DeviceGuestExits } from './device-guest-exits.js';
import { DeviceGuestMemory } from './device-guest-memory.js';
import { SynicEcho, type EchoRoute } from './synic-echo.js';

/** A VP to run, with what its exits need. */
export interface VmmOffer {
  readonly vp: VpToken;
  readonly memory: GuestMemoryToken;
  readonly account: BigUint64Array;
  readonly halting?: EventFdToken | undefined;
  /** Have the thread answer the VP's messages. */
  readonly echo?: EchoRoute | undefined;
}

/** What the thread is told: here is a VP, run it, give it back. */
export type VmmRequest = VmmOffer | 'run' | 'close';

/** What it answers: ready (for a VP, or having given one back), why the run ended, or an error. */
export type VmmAnswer = 'ready' | 'work' | 'canceled' | Error;

class WorkerVp {
  readonly #vp: Vp;
  readonly #memory: GuestMemory;
  readonly #halting: EventFd | undefined;
  readonly #exits: DeviceGuestExits;
  readonly #echo: SynicEcho | undefined;

  constructor({ vp, memory, account, halting, echo }: VmmOffer) {
    this.#vp = Vp.receive(vp);
    this.#memory = GuestMemory.receive(memory);
    this.#halting = halting && EventFd.receive(halting);
    const view = new DeviceGuestMemory(this.#memory.buffer);
    this.#exits = new DeviceGuestExits(this.#vp, view, account, this.#halting);
    this.#echo = echo && new SynicEcho(this.#vp, view.bytes, echo);
  }

  run(): 'work' | 'canceled' {
    for (;;) {
      const exit = this.#vp.run();
      if (exit === undefined) return 'canceled';
      if (this.#echo?.handleExit(exit)) continue;
      if (this.#exits.complete(exit)) return 'work';
    }
  }

  close(): void {
    this.#echo?.close();
    this.#vp.close();
    this.#memory.close();
    this.#halting?.close();
  }
}

let vp: WorkerVp | undefined;

function answer(request: VmmRequest): VmmAnswer {
  switch (request) {
    case 'run':
      return vp?.run() ?? new Error('no VP to run');
    case 'close':
      vp?.close();
      vp = undefined;
      return 'ready';
    default:
      vp = new WorkerVp(request);
      return 'ready';
  }
}

function serve(port: MessagePort): void {
  port.on('message', (request: VmmRequest) => {
    try {
      port.postMessage(answer(request));
    } catch (error) {
      port.postMessage(error instanceof Error ? error : new Error(String(error)));
    }
  });
  port.postMessage('ready');
}

if (parentPort) serve(parentPort);
