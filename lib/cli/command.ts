import type { Terminal } from './terminal.js';

/** An option of a command, as `parseArgs` of node:util takes it; the rest is for completion. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  /** One line, for completion. */
  readonly summary: string;
  /** Words that may follow it. */
  readonly words?: readonly string[];
  /** Whether a path may follow it. */
  readonly takesPath?: true;
}

/** One of the things that `mshv` can do. */
export interface Command {
  readonly name: string;
  /** One line for the program's help. */
  readonly summary: string;
  /** What follows the name. */
  readonly usage: string;
  /** The options, one or more lines each, and the exit status; at most 60 columns. */
  readonly help: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Words that may follow the name, where it is no option. */
  readonly words?: readonly string[];
  /**
   * Writes the result and returns the exit status.
   *
   * @param args - what follows the name
   * @throws UsageError, CommandFailure
   */
  run(args: readonly string[], terminal: Terminal): number | Promise<number>;
}

/** A failure that is said as it is, without a stack. */
export class CommandFailure extends Error {}
