import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

import type { EventFd } from '../lib/index.js';

/** What a peer does to an eventfd: see test/conformance/programs/hostile-peer.py. */
export type Abuse = 'flags' | 'take' | 'all';

/** What a peer has done to one eventfd. */
export interface Abused {
  readonly added: bigint;
  readonly taken: bigint;
  /** How often it was at 2^64 - 1. */
  readonly overflows: number;
}

const program = fileURLToPath(new URL('conformance/programs/hostile-peer.py', import.meta.url));
// Sanitizers are not for Python.
const env = { ...process.env, LD_PRELOAD: '' };

/** Has another process take the counter to 2^64 - 1, which only the kernel's own signals reach. Returns when it is there. */
export function overflow(event: EventFd): void {
  execFileSync('python3', [program, '1', 'overflow'], {
    stdio: ['ignore', 'ignore', 'inherit', event.fd],
    env,
  });
}

/** Has another process make eventfds blocking, by the numbers that it is given of them. */
export function makeBlocking(...fds: readonly number[]): void {
  const script = `import os\nfor fd in range(3, ${3 + fds.length}): os.set_blocking(fd, True)`;
  execFileSync('python3', ['-c', script], { stdio: ['ignore', 'ignore', 'inherit', ...fds], env });
}

/**
 * Starts a process that abuses eventfds. Resolves when it has begun.
 *
 * @returns a promise of what it has done to each, which resolves when all steps are made
 */
export async function startHostilePeer(
  steps: number,
  ...shared: readonly (readonly [EventFd, Abuse])[]
): Promise<{ readonly done: Promise<Abused[]> }> {
  const peer = spawn('python3', [program, String(steps), ...shared.map(([, what]) => what)], {
    stdio: ['ignore', 'pipe', 'inherit', ...shared.map(([event]) => event.fd)],
    env,
  });
  if (peer.stdout === null) throw new Error('the peer has no output');
  const lines = createInterface(peer.stdout)[Symbol.asyncIterator]() as AsyncIterator<
    string,
    undefined
  >;
  await lines.next();
  const done = lines.next().then(({ value }) =>
    (value ?? '').split(' ').map((words) => {
      const [added = '', taken = '', overflows = ''] = words.split(',');
      return { added: BigInt(added), taken: BigInt(taken), overflows: Number(overflows) };
    }),
  );
  return { done };
}
