import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

import { GuestMemory, SharedPartition, Vp } from '../../../lib/index.js';
import type { GuestMemoryToken, PartitionToken, VpToken } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';
import { mappings } from '../../mappings.js';
import { openDescriptors } from '../../open-descriptors.js';
import { typescriptWorker } from '../../typescript-program.js';

// What tokens leave behind where Workers end that made them or were about to receive them: nothing.

const native = { native: Simulator.native };

const start = (kind: string): Worker =>
  typescriptWorker(new URL('../programs/sharing-worker.ts', import.meta.url), { workerData: kind });

const mapped = (): number => mappings(/memfd:mshv/).length;

describe('Workers that are terminated', () => {
  it.each(['vp', 'partition', 'memory'])(
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
    const [tokens] = (await once(worker, 'message')) as [
      [VpToken, PartitionToken, GuestMemoryToken],
    ];
    await worker.terminate();
    expect([openDescriptors(), mapped()]).toEqual(before);
    const taken = expect.objectContaining({ code: 'ERR_MSHV_TOKEN_TAKEN' }) as unknown;
    expect(() => Vp.receive(tokens[0], native)).toThrow(taken);
    expect(() => SharedPartition.receive(tokens[1], native)).toThrow(taken);
    expect(() => GuestMemory.receive(tokens[2], native)).toThrow(taken);
  });

  it('leave to others what these have received', async () => {
    const worker = start('kept');
    const [tokens] = (await once(worker, 'message')) as [
      [VpToken, PartitionToken, GuestMemoryToken],
    ];
    using vp = Vp.receive(tokens[0], native);
    using partition = SharedPartition.receive(tokens[1], native);
    using memory = GuestMemory.receive(tokens[2], native);
    await worker.terminate();
    memory.write(0, Uint8Array.of(7));
    expect([...memory.read(0, 1)]).toEqual([7]);
    expect(vp.closed || partition.closed).toBe(false);
    vp.cancel();
  });
});

it('a thousand tokens, all received, leave nothing to be closed in the end', () => {
  using memory = GuestMemory.allocate(4096, { ...native, shared: true });
  const before = openDescriptors();
  for (let i = 0; i < 1000; i++) {
    const token = memory.share();
    if (i % 3 === 0) {
      const copy = { ...token };
      GuestMemory.receive(token, native).close();
      expect(() => GuestMemory.receive(copy, native)).toThrow(
        expect.objectContaining({ code: 'ERR_MSHV_TOKEN_TAKEN' }),
      );
    } else {
      GuestMemory.receive(token, native).close();
    }
  }
  expect(openDescriptors()).toBe(before);
});
