import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

import { EventFd, GuestMemory, SharedPartition, Vp } from '../../lib/index.js';
import type { EventFdToken, GuestMemoryToken, PartitionToken, VpToken } from '../../lib/index.js';
import { linuxNative } from '../../lib/native.js';
import { Simulator } from '../../lib/sim/index.js';
import { FakeNative } from '../fake-native.js';
import { mappings } from '../mappings.js';
import { openDescriptors } from '../open-descriptors.js';
import { typescriptWorker } from '../typescript-program.js';

// What tokens leave behind where Workers end that made them or were about to receive them: nothing.

/** One of each kind, of a simulator's. */
type Tokens = [VpToken, PartitionToken, GuestMemoryToken, EventFdToken];

const start = (kind: string): Worker =>
  typescriptWorker(new URL('programs/sharing-worker.ts', import.meta.url), { workerData: kind });

const mapped = (): number => mappings(/memfd:mshv/).length;

describe('Workers that are terminated', () => {
  it.each(['vp', 'partition', 'memory', 'event', 'linux event'])(
    'inside share() or receive() of a %s leave no descriptor and no memory',
    async (kind) => {
      const warm = start(kind);
      await once(warm, 'message');
      await warm.terminate();
      const before = [openDescriptors(), mapped()];
      for (let round = 0; round < 5; round++) {
        const workers = Array.from({ length: 4 }, () => start(kind));
        await Promise.all(
          workers.map(async (worker) => {
            await once(worker, 'message');
            await worker.terminate();
          }),
        );
      }
      expect([openDescriptors(), mapped()]).toEqual(before);
    },
  );

  it('take along what they offered and nobody has received', async () => {
    const before = [openDescriptors(), mapped()];
    const worker = start('kept');
    const [tokens] = (await once(worker, 'message')) as [Tokens];
    await worker.terminate();
    expect([openDescriptors(), mapped()]).toEqual(before);
    const taken = expect.objectContaining({ code: 'ERR_MSHV_TOKEN_TAKEN' }) as unknown;
    expect(() => Vp.receive(tokens[0])).toThrow(taken);
    expect(() => SharedPartition.receive(tokens[1])).toThrow(taken);
    expect(() => GuestMemory.receive(tokens[2])).toThrow(taken);
    expect(() => EventFd.receive(tokens[3])).toThrow(taken);
  });

  it('leave to others what these have received', async () => {
    const worker = start('kept');
    const [tokens] = (await once(worker, 'message')) as [Tokens];
    using vp = Vp.receive(tokens[0]);
    using partition = SharedPartition.receive(tokens[1]);
    using memory = GuestMemory.receive(tokens[2]);
    using event = EventFd.receive(tokens[3]);
    await worker.terminate();
    memory.write(0, Uint8Array.of(7));
    expect([...memory.read(0, 1)]).toEqual([7]);
    expect(vp.closed || partition.closed).toBe(false);
    vp.cancel();
    expect(event.tryRead()).toBe(7n);
  });
});

describe('the addon of a token', () => {
  const linux = linuxNative();
  const simulated = { native: Simulator.native };

  it('is the sender’s, also where nobody names it', () => {
    using simulator = new Simulator();
    using partition = simulator.open().createPartition();
    partition.initialize();
    using vp = partition.createVp(0);
    using memory = partition.allocateMemory(4096, { shared: true });
    using event = partition.createEvent();
    for (const { addon } of [vp.share(), partition.share(), memory.share(), event.share()]) {
      expect(addon).toBe('mshv_sim');
    }
    using received = Vp.receive(vp.share());
    expect(received.partition.property('SUSPEND')).toBe(partition.property('SUSPEND'));
    using mapped = GuestMemory.receive(memory.share());
    partition.mapMemory(mapped, { gpa: 0 }).unmap();
    using shared = SharedPartition.receive(partition.share());
    expect(shared.property('SUSPEND')).toBe(partition.property('SUSPEND'));
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
    using signals = EventFd.receive(route.event.share());
    for (let i = 0; i < 1000; i++) signals.signal();
    expect(simulator.interrupts(partition)).toHaveLength(1000);
    using own = EventFd.receive(event.share());
    partition.irqfd.newRoute({ event: own, msi: { address: 0xfee00000n, data: 0x42 } });
    event.signal();
    expect(simulator.interrupts(partition)).toMatchObject([{ vector: 0x42 }]);
  });

  it('is not another one that somebody names, and the token stays as it is', () => {
    using event = EventFd.create();
    using memory = GuestMemory.allocate(4096, { shared: true });
    using simulator = new Simulator();
    using partition = simulator.open().createPartition();
    partition.initialize();
    using vp = partition.createVp(0);
    const tokens = [event.share(), memory.share(), partition.share(), vp.share()] as const;
    const before = openDescriptors();
    const refusals = [
      [() => EventFd.receive(tokens[0], simulated), "mshv, received 'mshv_sim'"],
      [() => GuestMemory.receive(tokens[1], simulated), "mshv, received 'mshv_sim'"],
      [() => SharedPartition.receive(tokens[2], { native: linux }), "mshv_sim, received 'mshv'"],
      [() => Vp.receive(tokens[3], { native: linux }), "mshv_sim, received 'mshv'"],
    ] as const;
    for (const [receive, addons] of refusals) {
      const message = `The "options.native" argument must be the addon of the token, ${addons}`;
      expect(receive).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message }),
      );
    }
    expect(openDescriptors()).toBe(before);
    EventFd.receive(tokens[0], { native: linux }).close();
    GuestMemory.receive(tokens[1], { native: linux }).close();
    SharedPartition.receive(tokens[2], simulated).close();
    Vp.receive(tokens[3], simulated).close();
  });
});

describe.each([
  ['of the system', linuxNative()],
  ['of a simulator', Simulator.native],
])('the token of an event %s', (_, native) => {
  const create = (semaphore = false): EventFd => EventFd.create({ initial: 3, semaphore, native });

  it('gives a descriptor of the same counter, which is nobody’s number', () => {
    using event = create();
    const token = event.share();
    const offered = token.offer[2] ?? -1;
    using received = EventFd.receive(token);
    expect(() => fstatSync(offered)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(received.tryRead()).toBe(3n);
    event.close();
    received.signal(2n);
    expect(received.tryRead()).toBe(2n);
  });

  it('can be received once', () => {
    using event = create();
    const token = event.share();
    EventFd.receive(token).close();
    expect(() => EventFd.receive(structuredClone(token))).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_TOKEN_TAKEN' }),
    );
  });

  it('can be received again where what it holds was not there', () => {
    using event = create();
    const token = event.share();
    const offered = token.offer[2] ?? -1;
    token.offer[2] = 2 ** 30;
    expect(() => EventFd.receive(token)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    token.offer[2] = offered;
    using received = EventFd.receive(token);
    expect(received.tryRead()).toBe(3n);
  });

  it('says whether it is a semaphore', () => {
    using event = create();
    using plain = EventFd.receive(event.share());
    using semaphore = create(true);
    using received = EventFd.receive(semaphore.share());
    expect([plain.semaphore, received.semaphore]).toEqual([false, true]);
    const reads = [received, semaphore, received, semaphore].map((one) => one.tryRead());
    expect(reads).toEqual([1n, 1n, 1n, undefined]);
  });

  it('is refused once the event is closed', () => {
    const event = create();
    event.close();
    expect(() => event.share()).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });
});

it('an event that was shared is signalled under a bound by both sides, whose flags any of them can give away', () => {
  const native = new FakeNative();
  using event = EventFd.create({ native });
  using clone = event.clone();
  const callOf = (one: EventFd): string | undefined => {
    native.record();
    one.signal();
    return native.calls.at(-1)?.name;
  };
  expect([event, clone].map(callOf)).toEqual(['eventfdSignal', 'eventfdSignal']);
  using received = EventFd.receive(event.share(), { native });
  using copy = received.clone();
  expect(new Set([event, clone, received, copy].map(callOf))).toEqual(
    new Set(['eventfdSignalBounded']),
  );
});

it('a thousand tokens, all received, leave nothing to be closed in the end', () => {
  using memory = GuestMemory.allocate(4096, { native: Simulator.native, shared: true });
  const before = openDescriptors();
  for (let i = 0; i < 1000; i++) {
    const token = memory.share();
    if (i % 3 === 0) {
      const copy = { ...token };
      GuestMemory.receive(token).close();
      expect(() => GuestMemory.receive(copy)).toThrow(
        expect.objectContaining({ code: 'ERR_MSHV_TOKEN_TAKEN' }),
      );
    } else {
      GuestMemory.receive(token).close();
    }
  }
  expect(openDescriptors()).toBe(before);
});
