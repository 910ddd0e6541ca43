import { execFile } from 'node:child_process';

import { typescriptProgram } from './typescript-program.js';

/** How a process ended, and what it said. */
export interface ScenarioEnd {
  readonly code: number | null;
  readonly said: string[];
  readonly errors: string;
}

/** Runs a scenario of a program in a process, to its end. One that hangs is killed, and has no code then. */
export function runScenario(module: URL, scenario: string): Promise<ScenarioEnd> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...typescriptProgram(module), scenario],
      { timeout: 120_000, killSignal: 'SIGKILL' },
      (_, stdout, stderr) => {
        resolve({
          code: child.exitCode,
          said: stdout.split('\n').filter((line) => line !== ''),
          errors: stderr,
        });
      },
    );
  });
}
