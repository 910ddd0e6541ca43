import { spawn } from 'node:child_process';
import { once } from 'node:events';

interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly seconds: number;
  /** How much of what it says is passed on. Default 'all'. */
  readonly output?: Output;
}

export type Output = 'all' | 'errors' | 'none';

/**
 * Runs a program, at most for so long. Returns how it ended, or undefined where its status was 0. Nothing that it has
 * started outlives it, nor does any of it outlive this process.
 */
export async function boundedRun(
  program: string,
  words: readonly string[],
  { seconds, output = 'all', ...where }: RunOptions,
): Promise<string | undefined> {
  const child = spawn(program, words, {
    ...where,
    stdio: [
      'ignore',
      output === 'all' ? 'inherit' : 'ignore',
      output === 'none' ? 'ignore' : 'inherit',
    ],
    // A process group of its own, which can be killed as a whole.
    detached: true,
  });
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Nobody is left of it.
    }
  };
  const die = (): never => process.exit(130);
  process.once('SIGINT', die).once('SIGTERM', die).once('exit', kill);
  const limit = setTimeout(() => {
    console.error(`killed after ${seconds} seconds: ${words.join(' ')}`);
    kill();
  }, seconds * 1000);
  try {
    const [status, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return status === 0 ? undefined : `ended with ${signal ?? `status ${status}`}`;
  } finally {
    clearTimeout(limit);
    kill();
    process.off('SIGINT', die).off('SIGTERM', die).off('exit', kill);
  }
}
