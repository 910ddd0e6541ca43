import * as fc from 'fast-check';
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  GuestMemory,
  Vp,
  type Doorbell,
  type IrqFdRoute,
  type MappedMemory,
  type Partition,
  type RunEnd,
} from '../../lib/index.js';
import { processResources } from '../process-resources.js';
import { typescriptWorker } from '../typescript-program.js';
import type { BorrowerData, Loan, LoanReport } from '../vp-borrower.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Everything that a partition can have is made and closed in random orders, by its owner and in a Worker. What
// belongs to something closed is closed, and in the end nothing is left: no descriptor, thread or mapping of
// this process, and no partition, port, mapping, deposit or statistics page of the hypervisor.

const pageSize = 4096;
const memoryPages = 4;

interface OwnedVp {
  readonly partition: Partition;
  readonly vp: Vp;
  /** How the last run has ended; undefined where it has not. */
  run: { end: RunEnd | undefined; readonly finished: Promise<RunEnd> } | undefined;
}

/** A VP that the Worker runs. */
interface LentVp {
  readonly vp: Vp;
  readonly returned: Promise<number>;
}

type Child =
  | { readonly kind: 'mapping'; readonly partition: Partition; readonly it: MappedMemory }
  | { readonly kind: 'route'; readonly partition: Partition; readonly it: IrqFdRoute }
  | { readonly kind: 'doorbell'; readonly partition: Partition; readonly it: Doorbell };

const acts = [
  'partition',
  'vp',
  'start',
  'exit',
  'cancel',
  'page',
  'lend',
  'take back',
  'memory',
  'map',
  'route',
  'doorbell',
  'close a partition',
  'close a vp',
  'close a memory',
  'close a child',
] as const;
type Act = (typeof acts)[number];

interface Step {
  readonly act: Act;
  /** Chooses among what there is. */
  readonly pick: number;
}

const step = fc.record({ act: fc.constantFrom(...acts), pick: fc.nat(1000) });

const guest = await guestSideForTests();
let worker: Worker;

const startWorker = async (): Promise<Worker> => {
  const data: BorrowerData = { backend: guest.backend };
  const started = typescriptWorker(new URL('../vp-borrower.ts', import.meta.url), {
    workerData: data,
  });
  await once(started, 'online');
  return started;
};

const nextReport = async (): Promise<LoanReport> => {
  const [report] = (await once(worker, 'message')) as [LoanReport];
  if (report instanceof Error) throw report;
  return report;
};

class World {
  readonly partitions: Partition[] = [];
  readonly vps: OwnedVp[] = [];
  readonly memories: GuestMemory[] = [];
  readonly children: Child[] = [];
  lent: LentVp | undefined;
  #made = 0;

  async perform({ act, pick }: Step): Promise<void> {
    const one = <Each>(list: readonly Each[]): Each | undefined => list[pick % list.length];
    const partition = one(this.partitions);
    const owned = one(this.vps);
    const memory = one(this.memories);
    const unique = ++this.#made;
    switch (act) {
      case 'partition':
        this.partitions.push(guest.createPartition(1));
        break;
      case 'vp':
        if (partition && partition.vps.length < 4) {
          const vp = partition.createVp(partition.vps.length);
          this.vps.push({ partition, vp, run: undefined });
        }
        break;
      case 'start':
        if (owned && this.lent === undefined && owned.run?.end === undefined && !owned.run) {
          const finished = owned.vp.start(() => undefined).finished;
          const run: OwnedVp['run'] = { end: undefined, finished };
          owned.run = run;
          void finished.then((end) => (run.end = end));
        }
        break;
      case 'exit':
        if (owned) guest.queueMessage(owned.partition, owned.vp.index, encodeMessage('halt'));
        break;
      case 'cancel':
        if (owned?.run) {
          owned.vp.cancel();
          expect(await owned.run.finished).toBe('canceled');
          owned.run = undefined;
        }
        break;
      case 'page':
        owned?.vp.registerPage?.valid.valueOf();
        owned?.vp.interceptPage?.current.type.valueOf();
        break;
      case 'lend':
        if (owned && this.lent === undefined && owned.run === undefined) {
          const loan: Loan = {
            vp: owned.vp.share(),
            memory: memory?.shared === true ? memory.share() : undefined,
          };
          const vp = Vp.receive(owned.vp.share(), { native: guest.native });
          worker.postMessage(loan);
          expect(await nextReport()).toBe('running');
          this.lent = { vp, returned: nextReport().then(Number) };
        }
        break;
      case 'take back':
        await this.takeBack();
        break;
      case 'memory': {
        const { native } = guest;
        const size = memoryPages * pageSize;
        const made = GuestMemory.allocate(size, { shared: pick % 2 === 0, native });
        expect(made.buffer.byteLength).toBe(size);
        this.memories.push(made);
        break;
      }
      case 'map':
        if (partition && memory) {
          const mapping = partition.mapMemory(memory, { gpa: unique * 2 ** 21 });
          this.children.push({ kind: 'mapping', partition, it: mapping });
        }
        break;
      case 'route':
        if (partition) {
          const msi = { address: 0xfee00000n, data: 0x20 + (pick % 200) };
          const route = partition.irqfd.newRoute({ msi, masked: pick % 3 === 0 });
          route.event.signal();
          this.children.push({ kind: 'route', partition, it: route });
        }
        break;
      case 'doorbell':
        if (partition) {
          const doorbell = partition.registerDoorbell({ gpa: 0xd000_0000 + 16 * unique });
          expect(guest.writeMmio(partition, doorbell.gpa, 4, 1n)).toBe(true);
          this.children.push({ kind: 'doorbell', partition, it: doorbell });
        }
        break;
      case 'close a partition':
        if (partition) this.closePartition(partition);
        break;
      case 'close a vp':
        if (owned) {
          owned.vp.close();
          remove(this.vps, owned);
          await this.#expectClosed(owned);
        }
        break;
      case 'close a memory':
        if (memory) {
          const { buffer } = memory;
          memory.close();
          remove(this.memories, memory);
          expect([memory.closed, buffer.byteLength]).toEqual([true, 0]);
        }
        break;
      case 'close a child': {
        const child = one(this.children);
        if (child) {
          if (child.kind === 'mapping') child.it.unmap();
          else child.it.close();
          remove(this.children, child);
        }
      }
    }
  }

  closePartition(partition: Partition): void {
    partition.close();
    remove(this.partitions, partition);
  }

  /** What belongs to closed partitions is closed, what belongs to the others is not. */
  async settle(): Promise<void> {
    for (const child of [...this.children]) {
      const { closed } = child.partition;
      expect(child.kind === 'mapping' ? !child.it.mapped : child.it.closed).toBe(closed);
      if (closed) remove(this.children, child);
    }
    for (const owned of [...this.vps]) {
      expect(owned.vp.closed).toBe(owned.partition.closed);
      if (owned.vp.closed) {
        remove(this.vps, owned);
        await this.#expectClosed(owned);
      }
    }
    for (const memory of this.memories) {
      expect(memory.buffer.byteLength).toBe(memoryPages * pageSize);
    }
  }

  async takeBack(): Promise<void> {
    const { lent } = this;
    if (lent) {
      this.lent = undefined;
      lent.vp.cancel();
      expect(await lent.returned).toBeGreaterThanOrEqual(0);
      lent.vp.close();
    }
  }

  async #expectClosed({ vp, run }: OwnedVp): Promise<void> {
    if (run) expect(await run.finished).toBe('closed');
    expect(() => vp.registerPage).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
    expect(() => {
      vp.cancel();
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  }
}

function remove<Each>(list: Each[], it: Each): void {
  list.splice(list.indexOf(it), 1);
}

beforeAll(async () => {
  worker = await startWorker();
});
afterAll(async () => {
  await worker.terminate();
});

/** Performs the steps, then closes what is left in the order that the steps' picks make. */
async function live(steps: readonly Step[]): Promise<void> {
  const world = new World();
  for (const each of steps) {
    await world.perform(each);
    await world.settle();
  }
  const closings: Act[] = ['close a partition', 'close a vp', 'close a memory', 'close a child'];
  for (let round = 0; world.partitions.length + world.memories.length > 0; round++) {
    const pick = steps[round % steps.length]?.pick ?? 0;
    for (let i = 0; i < closings.length; i++) {
      await world.perform({ act: closings[(pick + i) % closings.length] ?? 'take back', pick });
      await world.settle();
    }
  }
  await world.takeBack();
}

const everything: Step[] = [
  ...acts.flatMap((act) => ['partition', 'vp', 'memory', act] as const),
  ...acts,
].map((act, pick) => ({ act, pick }));

it('leaves nothing, in whatever order things are made and closed', async () => {
  // What is made once and kept, such as threads of the event loop.
  await live(everything);
  const before = processResources();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 50 }), async (steps) => {
      await live(steps);
      expect(processResources()).toEqual(before);
      expect(guest.leftovers()).toEqual([]);
    }),
    { seed: 20261121, numRuns: guest.backend === 'lab' ? 40 : 200 },
  );
});

it('leaves nothing of a Worker that is terminated while it runs a VP and has memory', async () => {
  await worker.terminate();
  const before = processResources();
  for (let i = 0; i < 3; i++) {
    worker = await startWorker();
    const partition = guest.createPartition(1);
    const memory = GuestMemory.allocate(pageSize, { shared: true, native: guest.native });
    partition.mapMemory(memory, { gpa: 0 });
    const [vp] = partition.vps;
    if (vp === undefined) throw new Error('the partition has no VP');
    const loan: Loan = { vp: vp.share(), memory: memory.share() };
    worker.postMessage(loan);
    expect(await nextReport()).toBe('running');
    if (i === 1) partition.close();
    await worker.terminate();
    partition.close();
    memory.close();
    expect(processResources()).toEqual(before);
    expect(guest.leftovers()).toEqual([]);
  }
});
