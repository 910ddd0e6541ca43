import { inspect, type InspectOptions } from 'node:util';

import { ours, ownConstructor } from './arguments.js';
import { inspected } from './inspection.js';

/** What whoever gives out a handle knows of what it stands for. */
export interface HandleOwner {
  isOpen(): boolean;
  /** Ends it. Where this throws it is still open, and may be closed again. */
  end(): void;
}

let create: (what: string, owner: HandleOwner) => Handle;

/**
 * What a call has set up, until somebody ends it: a listener, a port, a definition. Whatever it belongs to may end it too;
 * `closed` is true then.
 */
export class Handle implements Disposable {
  readonly #what: string;
  readonly #owner: HandleOwner;

  private constructor(key: symbol, what: string, owner: HandleOwner) {
    ownConstructor('Handle', key);
    this.#what = what;
    this.#owner = owner;
  }

  static {
    create = (what, owner) => new Handle(ours, what, owner);
  }

  /** Whether `close()` was called, or what set it up has ended. */
  get closed(): boolean {
    return !this.#owner.isOpen();
  }

  /** Ends it. Harmless where closed already. */
  close(): void {
    if (this.#owner.isOpen()) {
      this.#owner.end();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('Handle', { of: this.#what, closed: this.closed }, depth, options);
  }
}

/** @param what - what messages and whoever inspects it call it: `'the watch of eventfd 21'` */
export { create as createHandle };
