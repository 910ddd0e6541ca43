import { inspect, type InspectOptions } from 'node:util';

import type { WaitOptions } from '../abort-signal.js';
import { vpArgument } from '../abi/arguments.js';
import { closedError } from '../errors.js';
import { inspected } from '../inspection.js';
import { messageArguments, noVpError } from './arguments.js';
import type { GuestMessagePort, PostResult } from './guest-ports.js';

/** Where the messages of a port go. */
export interface SintMessages {
  /** Whether the port may have this VP. */
  hasVp(index: number): boolean;
  post(vp: number, type: number, payload: Uint8Array, options: WaitOptions): PostResult;
  /** The port has another VP from now on. */
  move(from: number, to: number): void;
  /** The port is closed, as `error` says. It may say so again. */
  leave(vp: number, error: Error): void;
}

/** Posts messages to one SINT of a VP. */
export class SintMessagePort implements GuestMessagePort {
  readonly #vtl: number;
  readonly #sint: number;
  readonly #messages: SintMessages;
  #vp: number;
  #closed = false;

  constructor(vtl: number, vp: number, sint: number, messages: SintMessages) {
    this.#vtl = vtl;
    this.#vp = vp;
    this.#sint = sint;
    this.#messages = messages;
  }

  post(type: number, payload: Uint8Array, options: WaitOptions = {}): PostResult {
    this.#open();
    const waiting = messageArguments(type, payload, options);
    return this.#messages.post(this.#vp, type, payload, waiting);
  }

  setTargetVp(vp: number): void {
    this.#open();
    vp = vpArgument('vp', vp);
    if (!this.#messages.hasVp(vp)) {
      throw noVpError(vp);
    }
    const from = this.#vp;
    if (vp !== from) {
      this.#vp = vp;
      this.#messages.move(from, vp);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.#messages.leave(this.#vp, closedError('GuestMessagePort'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const [vtl, vp, sint, closed] = [this.#vtl, this.#vp, this.#sint, this.#closed];
    return inspected('GuestMessagePort', { vtl, vp, sint, closed }, depth, options);
  }

  #open(): void {
    if (this.#closed) {
      throw closedError('GuestMessagePort');
    }
  }
}
