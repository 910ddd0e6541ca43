import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

import type { EventFd } from '../lib/index.js';

/** What a peer does to an eventfd: see test/conformance/programs/hostile-peer.py. */
export type Abuse = 'flags' | 'take' | 'all' | 'overflow';

/** What a peer has done to one eventfd. */
export interface Abused {
  readonly added: bigint;
  readonly taken: bigint;
  /** How often it was at 2^64 - 1. */
  readonly overflows: number;
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
  // Compiled, this module is elsewhere.
  const program = fileURLToPath(
    new URL(
      'test/conformance/programs/hostile-peer.py',
      import.meta.url.replace(/(lab\/build\/programs\/)?test\/hostile-peer\.[jt]s$/, ''),
    ),
  );
  const peer = spawn('python3', [program, String(steps), ...shared.map(([, what]) => what)], {
    stdio: ['ignore', 'pipe', 'inherit', ...shared.map(([event]) => event.fd)],
    // Sanitizers are not for Python.
    env: { ...process.env, LD_PRELOAD: '' },
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
