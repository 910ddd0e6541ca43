import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';

import { EventFd, MshvError, type IrqFdRoute } from '../../../lib/index.js';
import { openGuestSide } from '../../guest-side.js';
import { makeBlocking, startHostilePeer, type Abused } from '../../hostile-peer.js';
import type { SignallerData } from '../../signaller.js';
import { typescriptWorker } from '../../typescript-program.js';
import type { HostileThreadData, HostileThreadDone } from './hostile-thread.js';

// Works with eventfds that another process and a thread of this one share and abuse, for hostile-peers.test.ts, which ends
// it where the event loop blocks. It fails where the counts do not add up.

using guest = await openGuestSide();
const { native } = guest;

function expectEqual(what: string, got: unknown, expected: unknown): void {
  if (got !== expected) throw new Error(`${what}: ${String(got)} instead of ${String(expected)}`);
}

/** Signals, where there is room. Returns how much was added. */
function signal(event: EventFd): bigint {
  try {
    event.signal();
    return 1n;
  } catch (error) {
    if (!(error instanceof MshvError) || error.code !== 'EAGAIN') throw error;
    return 0n;
  }
}

const leastRounds = 200;

/** Makes rounds, with a turn of the event loop after each, until the peers have made all their steps. */
async function until<Result>(peers: Promise<Result>, round: (n: number) => void): Promise<Result> {
  const over = new AbortController();
  const end = (): void => {
    over.abort();
  };
  peers.then(end, end);
  for (let n = 0; n < leastRounds || !over.signal.aborted; n++) {
    round(n);
    await setImmediate();
  }
  return peers;
}

/** A thread that has an event by the number that was given out, which it closes again and again. */
async function thread(event: EventFd, steps: number): Promise<HostileThreadDone> {
  const workerData: HostileThreadData = { steps };
  const worker = typescriptWorker(new URL('hostile-thread.ts', import.meta.url), {
    workerData,
    // It closes what it has not opened.
    trackUnmanagedFds: false,
  });
  for (;;) {
    const [message] = (await once(worker, 'message')) as ['number' | HostileThreadDone];
    if (message !== 'number') return message;
    worker.postMessage(event.fd);
  }
}

const scenarios: Record<string, () => void | Promise<void>> = {
  /** Neither an empty counter nor a full one stops, however others have come to the eventfd. */
  'nothing waits': () => {
    const create = (): EventFd => EventFd.create({ native });
    const shown = create();
    makeBlocking(shown.fd);
    const before = create();
    makeBlocking(before.fd);
    const adopted = EventFd.adopt(before.release(), { native });
    const released = create();
    makeBlocking(released.clone().release());
    const cloned = create();
    makeBlocking(cloned.fd);
    const offered = create();
    const received = EventFd.receive(offered.share());
    makeBlocking(received.fd);
    const other = create();
    const toClone = EventFd.receive(other.share());
    makeBlocking(other.fd);
    const events = [shown, adopted, released, cloned.clone(), offered, received, toClone.clone()];
    for (const event of events) {
      expectEqual('an empty counter', event.tryRead(), undefined);
      event.signal(2n ** 64n - 2n);
      expectEqual('what a full counter takes', signal(event), 0n);
      expectEqual('a full counter', event.tryRead(), 2n ** 64n - 2n);
    }
  },

  /** What is signalled is what all have taken, however they take it. */
  'counts add up': async () => {
    const watched = EventFd.create({ native });
    const awaited = EventFd.create({ native });
    const steps = 1000;
    const peer = await startHostilePeer(steps, [watched, 'all'], [awaited, 'all']);
    const sums = [watched, awaited].map(() => ({ added: 0n, taken: 0n }));
    const [ofWatched, ofAwaited] = sums;
    if (ofWatched === undefined || ofAwaited === undefined) throw new Error('two events');
    watched.watch((count) => {
      ofWatched.taken += count;
    });
    const left = new AbortController();
    const waiting = (async () => {
      while (!left.signal.aborted) {
        const count = await awaited.wait({ signal: left.signal }).catch(() => 0n);
        ofAwaited.taken += count;
      }
    })();
    const counts = awaited[Symbol.asyncIterator]();
    const iterating = (async () => {
      for await (const count of counts) ofAwaited.taken += count;
    })();
    const peers = Promise.all([peer.done, thread(watched, 200)]);
    const [abused, ofThread] = await until(peers, (n) => {
      for (const [i, event] of [watched, awaited].entries()) {
        const sum = sums[i];
        if (sum === undefined) continue;
        sum.added += signal(event);
        // Not always, so that what ends a watch is there for the event loop to meet.
        if (n % 8 === 0 && event.pending) sum.taken += event.tryRead() ?? 0n;
      }
    });
    // The watch and the promises hear of what comes now, whatever was there: who is deaf is waited for in vain.
    for (const [i, event] of [watched, awaited].entries()) {
      const sum = sums[i];
      if (sum === undefined) continue;
      sum.taken += event.tryRead() ?? 0n;
      const before = sum.taken;
      sum.added += signal(event);
      while (sum.taken === before) await setImmediate();
    }
    left.abort();
    await Promise.all([waiting, counts.return(), iterating]);
    const [first, second] = abused as [Abused, Abused];
    const rest = (event: EventFd): bigint => event.tryRead() ?? 0n;
    expectEqual(
      'what was watched',
      ofWatched.taken + first.taken + ofThread.taken + rest(watched),
      ofWatched.added + first.added + ofThread.added,
    );
    expectEqual(
      'what was waited for',
      ofAwaited.taken + second.taken + rest(awaited),
      ofAwaited.added + second.added,
    );
    if (first.overflows + second.overflows === 0) throw new Error('no counter was at its end');
  },

  /** No change of a route stops, and no interrupt comes that nobody has asked for. */
  'routes change': async () => {
    const partition = guest.createPartition(1);
    const msi = { address: 0xfee00000n, data: 0x41 };
    const event = EventFd.create({ native });
    const route = partition.irqfd.newRoute({ msi, masked: true });
    const steps = 500;
    const { done } = await startHostilePeer(steps, [route.event, 'all'], [event, 'all']);
    let received = 0;
    let changes = 0;
    let signals = 0;
    const change = (one: IrqFdRoute, n: number): void => {
      one.unmask();
      one.setMsi(0xfee00000n, 0x42 + (n % 8));
      signals += Number(signal(one.event));
      one.mask();
      one.takePending();
      if (n % 4 === 0) one.clearMsi();
      one.trySetMsi(0xfee00000n, 0x50 + (n % 8));
      changes += 4;
    };
    const take = (): void => {
      for (const { vector, destination } of guest.interrupts(partition)) {
        if (vector < 0x41 || vector > 0x58 || destination !== 0) {
          throw new Error(`vector ${vector} for ${destination}`);
        }
        received++;
      }
    };
    const abused = await until(done, (n) => {
      change(route, n);
      using second = partition.irqfd.newRoute({ msi, event });
      change(second, n);
      take();
    });
    take();
    // One for each write, twice where it falls into an arming; and one for each arming of what was there.
    const writes = abused.reduce((sum, { added }) => sum + Number(added % (2n ** 64n - 2n)), 0);
    // Nobody reads faster than the driver, which does it inside the write: no signal of an armed route is missing. Those of
    // the peer may be: it does not know whether the route was armed, nor what of it an arming has found.
    if (received < signals || signals === 0) {
      throw new Error(`${received} interrupts of ${signals} signals`);
    }
    if (received > 2 * (writes + signals + steps * abused.length) + changes) {
      throw new Error(`${received} interrupts`);
    }
    partition.close();
  },

  /** Each signal of a thread is one interrupt, or is taken where the route is masked. */
  'signals arrive': async () => {
    const partition = guest.createPartition(1);
    const routes = Array.from({ length: 4 }, (_, i) =>
      partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x40 + i } }),
    );
    const rounds = 150;
    const data: SignallerData = {
      events: routes.map(({ event }) => event.share()),
      rounds: new Int32Array(new SharedArrayBuffer(8)),
      last: rounds,
    };
    const worker = typescriptWorker(new URL('../../signaller.ts', import.meta.url), {
      workerData: data,
    });
    await once(worker, 'message');
    const shared = routes.map((route) => [route.event, 'flags'] as const);
    const { done } = await startHostilePeer(300, ...shared);
    // A write that falls into the arming is injected by its wake-up, and by the look at the counter that ends the arming.
    const most = guest.backend === 'lab' ? 2n : 1n;
    for (let round = 1; round <= rounds; round++) {
      const seen = routes.map(() => 0n);
      Atomics.store(data.rounds, 0, round);
      Atomics.notify(data.rounds, 0);
      let turn = 0;
      do {
        const i = turn++ % routes.length;
        const route = routes[i];
        route?.mask();
        if (turn % 3 === 0) seen[i] = (seen[i] ?? 0n) + (route?.takePending() ?? 0n);
        route?.unmask();
      } while (Atomics.load(data.rounds, 1) < round);
      for (const { vector } of guest.interrupts(partition)) {
        seen[vector - 0x40] = (seen[vector - 0x40] ?? 0n) + 1n;
      }
      if (seen.length > routes.length || seen.some((count) => count < 1n || count > most)) {
        throw new Error(`round ${round}: ${seen.join(' ')}`);
      }
    }
    await done;
    partition.close();
  },

  /** Each write of the guest is counted once, by whoever reads the eventfd. */
  'doorbells ring': async () => {
    const partition = guest.createPartition(1);
    const doorbell = partition.registerDoorbell({ gpa: 0xfe000000, size: 4 });
    const { done } = await startHostilePeer(500, [doorbell.event, 'take']);
    let rings = 0n;
    let taken = 0n;
    const watch = doorbell.event.watch((count) => {
      taken += count;
    });
    const [peer] = await until(done, (n) => {
      if (guest.writeMmio(partition, 0xfe000000n, 4, BigInt(n & 0xff))) rings++;
      if (n % 4 === 0) taken += doorbell.event.tryRead() ?? 0n;
    });
    watch[Symbol.dispose]();
    taken += doorbell.event.tryRead() ?? 0n;
    if (rings === 0n) throw new Error('no doorbell has rung');
    expectEqual('what has rung', taken + (peer?.taken ?? 0n), rings);
    partition.close();
  },
};

for (const name of process.argv.slice(2)) {
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  await scenario();
  process.stdout.write(`${name}\n`);
}
process.exit(0);
