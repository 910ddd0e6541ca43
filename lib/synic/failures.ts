import { functionArgument } from '../arguments.js';
import type { MshvError } from '../errors.js';

/** Is told of what failed where no caller can be told. */
export type FailureListener = (error: MshvError) => void;

/**
 * Where failures go that must stop neither a VP nor a device: those of handlers, which a guest can
 * provoke as often as it likes.
 *
 * Without a listener the first failure of each thing is a process warning, and the others are dropped.
 * What a listener throws is an uncaught exception.
 */
export class Failures {
  readonly #listener: FailureListener | undefined;
  readonly #warned = new WeakSet();

  /** @param name - of the option that `listener` came with */
  constructor(name: string, listener: FailureListener | undefined) {
    if (listener !== undefined) {
      functionArgument(name, listener);
    }
    this.#listener = listener;
  }

  /** @param what - what failed: its first failure is the one that is worth a warning */
  report(error: MshvError, what: object): void {
    if (this.#listener === undefined) {
      if (!this.#warned.has(what)) {
        this.#warned.add(what);
        process.emitWarning(error);
      }
      return;
    }
    try {
      this.#listener(error);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }
}

/** `error` as a part of a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
