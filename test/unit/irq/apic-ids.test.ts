import { once } from 'node:events';
import { describe, expect, it } from 'vitest';

import { Simulator } from '../../../lib/sim/index.js';
import { typescriptWorker } from '../../typescript-program.js';
import type { ApicIdStep, ApicIdWork } from '../programs/apic-id-worker.js';

// APIC ids that one thread has given are known to every other.

const to = (id: number): bigint => BigInt(0xfee00000 + id * 0x1000);

describe('APIC ids', () => {
  it('that one thread has given are known to routes and requests of the others', async () => {
    using simulator = new Simulator();
    const partition = simulator.open().createPartition();
    partition.initialize();
    const [first] = [0, 1, 2].map((index) => partition.createVp(index));
    if (first === undefined) throw new Error('there is no VP');
    const work: ApicIdWork = { partition: partition.share(), vp: first.share() };
    const worker = typescriptWorker(new URL('../programs/apic-id-worker.ts', import.meta.url), {
      workerData: work,
    });
    await once(worker, 'message');
    const tell = async (step: ApicIdStep): Promise<unknown> => {
      const answered = once(worker, 'message');
      worker.postMessage(step);
      return (await answered)[0] as unknown;
    };
    const route = partition.irqfd.newRoute();
    const live = (id: number): boolean => route.trySetMsi(to(id), 0x41).live;
    const requested = async (id: number): Promise<unknown> =>
      tell({ by: 'msi', address: to(id), data: 0x42 });

    // Learnt there, by the partition and by the VP: known here.
    expect([live(10), live(20)]).toEqual([false, false]);
    expect(await tell({ by: 'partition', vp: 1, id: 10n })).toBeUndefined();
    expect(await tell({ by: 'vp', id: 20n })).toBe(20);
    expect([live(10), live(20), live(0), live(1), live(2)]).toEqual([
      true,
      true,
      false,
      false,
      true,
    ]);
    expect(first.apicId).toBe(20);
    expect(partition.tryRequestMsi(to(20), 0x42).requested).toBe(true);
    expect(partition.tryRequestMsi(to(0), 0x42).requested).toBe(false);

    // Learnt here, at creation and by a register: known there, where the token is older.
    expect(await requested(30)).toMatchObject({ requested: false, code: 'no-destination' });
    partition.createVp(3, { apicId: 30 });
    expect(await requested(30)).toMatchObject({ requested: true });
    expect(await requested(3)).toMatchObject({ requested: false, code: 'no-destination' });
    first.setRegisters({ INITIAL_APIC_ID: 40 });
    expect(await requested(40)).toMatchObject({ requested: true });
    expect(await requested(20)).toMatchObject({ requested: false });

    // One VP only, whoever asks.
    expect(await tell({ by: 'partition', vp: 2, id: 30n })).toBe('ERR_MSHV_APIC_ID_IN_USE');
    expect(() => partition.createVp(4, { apicId: 10 })).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_APIC_ID_IN_USE' }),
    );
    await worker.terminate();
    expect(live(10)).toBe(true);
  });
});
