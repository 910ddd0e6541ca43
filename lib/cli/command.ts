import type { Terminal } from './terminal.js';

/** One of the things that `mshv` can do. */
export interface Command {
  readonly name: string;
  /** One line for the program's help. */
  readonly summary: string;
  /** What follows the name. */
  readonly usage: string;
  /** The options, one or more lines each, and the exit status. */
  readonly help: string;
  /**
   * Writes the result and returns the exit status.
   *
   * @throws UsageError
   */
  run(args: readonly string[], terminal: Terminal): number;
}
