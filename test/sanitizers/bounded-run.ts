import { spawn } from 'node:child_process';
import { once } from 'node:events';

interface RunOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly seconds: number;
  /** How much of what it says is passed on. Default 'all'. */
  readonly output?: Output;
}

export type Output = 'all' | 'errors' | 'none';

/**
 * Runs a program, at most for so long, and returns its status, or undefined where a signal has ended it. Nothing that
 * it has started outlives it, nor does any of it outlive this process.
 */
export async function run(
  program: string,
  words: readonly string[],
  { cwd, env, seconds, output = 'all' }: RunOptions,
): Promise<number | undefined> {
  const child = spawn(program, words, {
    cwd,
    env,
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
    const [status] = (await once(child, 'exit')) as [number | null];
    return status ?? undefined;
  } finally {
    clearTimeout(limit);
    kill();
    process.off('SIGINT', die).off('SIGTERM', die).off('exit', kill);
  }
}
