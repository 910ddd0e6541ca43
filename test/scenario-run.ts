import { execFile } from 'node:child_process';

import { slowness } from './slowness.js';
import { typescriptProgram } from './typescript-program.js';

/** How a process ended, and what it said. */
export interface ScenarioEnd {
  readonly code: number | null;
  readonly said: string[];
  readonly errors: string;
}

/** How a process ended that a signal may have ended. */
export interface SignaledEnd extends ScenarioEnd {
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs a scenario of a program in a process, to its end. One that hangs is killed, and has no code then.
 *
 * @param words - the program's arguments
 */
export async function runScenario(module: URL, ...words: string[]): Promise<ScenarioEnd> {
  const { code, said, errors } = await runToSignal(module, ...words);
  return { code, said, errors };
}

/** Likewise, of a process that a signal may end. */
export function runToSignal(module: URL, ...words: string[]): Promise<SignaledEnd> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [typescriptProgram(module), ...words],
      { timeout: slowness * 120_000, killSignal: 'SIGABRT' },
      (_, stdout, stderr) => {
        resolve({
          code: child.exitCode,
          signal: child.signalCode,
          said: stdout.split('\n').filter((line) => line !== ''),
          errors: stderr,
        });
      },
    );
  });
}
