import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, it } from 'vitest';

import type { IrqFdRoute, Partition } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { processThreads } from '../../process-threads.js';
import { typescriptWorker } from '../../typescript-program.js';
import type { SimulatorWork } from '../programs/simulator-worker.js';

// Signals from everywhere, the simulator's thread, and what is left when environments end.

const one = new Uint8Array(new BigUint64Array([1n]).buffer);
const worker = (workerData: SimulatorWork): Worker =>
  typescriptWorker(new URL('../programs/simulator-worker.ts', import.meta.url), { workerData });
const threads = (): number => processThreads().size;

let simulator: Simulator;
let partition: Partition;
let route: IrqFdRoute;

beforeEach(() => {
  simulator = new Simulator();
  partition = simulator.open().createPartition();
  partition.initialize();
  partition.createVp(0);
  route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
  return () => {
    simulator.close();
  };
});

describe('signals', () => {
  it('from another process inject', async () => {
    const write = `require('fs').writeSync(3, Buffer.from([${one.join(', ')}]))`;
    const child = spawn(process.execPath, ['-e', write], {
      stdio: ['ignore', 'ignore', 'inherit', route.event.fd],
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(simulator.interrupts(partition)).toHaveLength(1);
  });

  it('from Workers are one interrupt each', async () => {
    const times = 5000;
    const workers = Array.from({ length: 3 }, () =>
      worker({ signal: { token: route.event.share(), times } }),
    );
    await Promise.all(workers.map((each) => once(each, 'exit')));
    expect(simulator.interrupts(partition)).toHaveLength(workers.length * times);
  });

  it('are processed by the simulator itself, although nobody asks', async () => {
    const interrupts = simulator.watchInterrupts(partition);
    for (let i = 1; i <= 1000; i++) {
      const next = interrupts.next();
      writeSync(route.event.fd, one); // past the addon
      expect((await next).value).toMatchObject({ sequence: BigInt(i) });
    }
    await interrupts.return();
  });

  it('that were written past the addon are processed before anything that follows', () => {
    for (let i = 1; i <= 100; i++) {
      writeSync(route.event.fd, one);
      expect(route.event.pending).toBe(false);
      writeSync(route.event.fd, one);
      expect(route.event.tryRead()).toBeUndefined();
      writeSync(route.event.fd, one);
      route.setMsi(0xfee00000n, 0x42);
      writeSync(route.event.fd, one);
      route.mask();
      expect(route.pending).toBe(false);
      expect(simulator.interrupts(partition).map(({ vector }) => vector)).toEqual([
        0x41, 0x41, 0x41, 0x42,
      ]);
      route.setMsi(0xfee00000n, 0x41);
      route.unmask();
    }
  });
});

describe('a Worker that made a simulator', () => {
  let before: { descriptors: number; threads: number };
  beforeEach(async () => {
    // The first Worker brings threads and descriptors of Node's own.
    const first = worker({ keepOpen: true });
    await once(first, 'message');
    await first.terminate();
    before = { descriptors: openDescriptors(), threads: threads() };
  });

  it('ends it when it is terminated; partitions of other environments answer EIO', async () => {
    const { native } = Simulator;
    const owner = worker({ keepOpen: true });
    const [path] = (await once(owner, 'message')) as [string];
    const device = native.open(path);
    const created = native.createPartition(device, 1n, 0n);
    expect(created).toBeGreaterThanOrEqual(0);
    await owner.terminate();
    expect(native.createPartition(device, 1n, 0n)).toBe(-constants.errno.EIO);
    expect(native.initializePartition(created)).toBe(-constants.errno.EIO);
    expect(native.open(path)).toBe(-constants.errno.ENOENT);
    native.close(created);
    native.close(device);
    expect({ descriptors: openDescriptors(), threads: threads() }).toEqual(before);
  });
});

describe('a process with an open simulator', () => {
  const run = async (code: string): Promise<unknown[]> => {
    const program = `
      import { Simulator } from ${JSON.stringify(new URL('../../../lib/sim/index.ts', import.meta.url).href)};
      const simulator = new Simulator();
      const partition = simulator.open().createPartition();
      partition.initialize();
      partition.createVp(0);
      const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
      ${code}`;
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', program],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    return once(child, 'exit');
  };

  it.each([
    ['ends by itself', 'route.event.signal();'],
    ['ends with process.exit()', 'route.event.signal(); process.exit(0);'],
    [
      'ends when nobody watches any more',
      `const interrupts = simulator.watchInterrupts(partition);
       const next = interrupts.next();
       route.event.signal();
       await next;
       await interrupts.return();`,
    ],
  ])('%s', async (_, code) => {
    expect(await run(code)).toEqual([0, null]);
  });
});
