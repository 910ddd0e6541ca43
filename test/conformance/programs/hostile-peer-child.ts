import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { EventFd, MshvError } from '../../../lib/index.js';
import { openGuestSide } from '../../guest-side.js';

// Works with an eventfd that another process shares and abuses, for hostile-peers.test.ts, which ends it where the event
// loop blocks. It fails where the counts do not add up.

const guest = await openGuestSide();
const partition = guest.createPartition(1);
const event = EventFd.create();
const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 }, masked: true });

const start = async (shared: EventFd) => {
  const peer = spawn('python3', [fileURLToPath(new URL('hostile-peer.py', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit', shared.fd],
    env: { ...process.env, LD_PRELOAD: '' },
  });
  if (peer.stdout === null || peer.stdin === null) throw new Error('the peer has no pipes');
  const { stdin } = peer;
  const lines = createInterface(peer.stdout);
  await once(lines, 'line');
  return async (): Promise<[bigint, bigint]> => {
    const last = once(lines, 'line');
    stdin.end();
    const [line] = (await last) as [string];
    const [added = '', taken = ''] = line.split(' ');
    return [BigInt(added), BigInt(taken)];
  };
};

const endPeer = await start(event);
const endRoutePeer = await start(route.event);
let added = 0n;
let taken = 0n;
let full = 0;
let pending = 0;
const watch = event.watch((count) => {
  taken += count;
});
for (let round = 0; round < 400; round++) {
  try {
    event.signal();
    added++;
  } catch (error) {
    if (!(error instanceof MshvError) || error.code !== 'EAGAIN') throw error;
    full++;
  }
  taken += event.tryRead() ?? 0n;
  if (event.pending) pending++;
  route.unmask();
  route.setMsi(0xfee00000n, 0x42 + (round % 8));
  route.mask();
  route.takePending();
  await setImmediate();
}
const [peerAdded, peerTaken] = await endPeer();
await endRoutePeer();
watch[Symbol.dispose]();
const rest = event.tryRead() ?? 0n;
const difference = added + peerAdded - taken - peerTaken - rest;
if (difference !== 0n) throw new Error(`${difference} counts are lost`);
process.stdout.write(`sums agree; full ${full} times, pending ${pending} times\n`);
process.exit(0);
