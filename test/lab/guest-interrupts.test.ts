import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  unlinkSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Mshv, type IrqFdRoute, type Partition } from '../../lib/index.js';

// Guest machine code on the lab's emulated SVM takes the interrupts, and its own counters are the
// judge. See lab/interrupt-counter.S for the guest and lab/guest-runner.c for what runs it.

const lab = fileURLToPath(new URL('../../lab/', import.meta.url));
const counts = 0x11000;
const memorySize = 4 * 2 ** 20;
const signals = 10_000;
const patience = 10_000;

const executesGuests =
  existsSync('/dev/fakehv') && readFileSync('/proc/cmdline', 'utf8').includes('fakehv.svm=1');
const why = executesGuests ? '' : ' (skipped: runs in the lab only, with --svm)';

describe.skipIf(!executesGuests)(`a guest that counts its interrupts${why}`, () => {
  let device: Mshv;
  let partition: Partition;
  let memory: number;
  let runner: ChildProcess;
  const counters = new BigUint64Array(256);
  const idle = new Int32Array(new SharedArrayBuffer(4));

  const read = (): BigUint64Array => {
    readSync(memory, counters, 0, counters.byteLength, counts);
    return counters;
  };
  const count = (vector: number): number => Number(read()[vector]);
  const total = (): number => read().reduce((sum, runs) => sum + Number(runs), 0);
  /** Waits, by looking, until the handler of the vector has run this often in all. */
  const expectRuns = (vector: number, runs: number): void => {
    const deadline = Date.now() + patience;
    while (count(vector) < runs) {
      // Looks again later rather than at once: one thread emulates all processors of this VM.
      Atomics.wait(idle, 0, 0, 0.1);
      if (Date.now() > deadline) {
        expect.fail(`vector ${vector}: ${count(vector)} handler runs where ${runs} were to come`);
      }
    }
    expect(count(vector)).toBe(runs);
  };
  const newRoute = (vector: number): IrqFdRoute =>
    partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: vector } });

  beforeAll(async () => {
    device = Mshv.open();
    partition = device.createPartition();
    partition.initialize();
    const vp = partition.createVp(0);
    const file = `/dev/shm/mshv-guest-${process.pid}`;
    memory = openSync(file, 'wx+');
    unlinkSync(file);
    ftruncateSync(memory, memorySize);
    runner = spawn(`${lab}build/guest-runner`, [`${lab}build/interrupt-counter.bin`], {
      stdio: ['pipe', 'pipe', 'inherit', partition.fd, vp.fd, memory],
    });
    const [said] = (await Promise.race([
      once(runner.stdout ?? runner, 'data'),
      once(runner, 'exit').then(([status]) => [`exit ${String(status)}`]),
    ])) as [Buffer | string];
    expect(said.toString()).toBe('ready\n');
  });
  afterAll(async () => {
    const exit = once(runner, 'exit');
    runner.stdin?.end();
    expect(await exit).toEqual([0, null]);
    device.close();
    closeSync(memory);
  });

  it(`runs the right handler once for each of ${signals} signals, sent one at a time`, () => {
    const vectors = [0x20, 0x41, 0x42, 0x80, 0xa7, 0xd0, 0xee, 0xfe];
    const routes = partition.irqfd.batch(() => vectors.map(newRoute));
    const before = total();
    for (let sent = 0; sent < signals; sent++) {
      const which = sent % vectors.length;
      routes[which]?.event.signal();
      expectRuns(vectors[which] ?? 0, Math.floor(sent / vectors.length) + 1);
    }
    expect(total() - before).toBe(signals);
    expect(vectors.map(count)).toEqual(vectors.map(() => signals / vectors.length));
    partition.irqfd.batch(() => {
      routes.forEach((route) => {
        route.close();
      });
    });
  });

  it('runs the handler once after unmask for all signals of a masked route', () => {
    const route = newRoute(0x61);
    const other = newRoute(0x62);
    route.mask();
    for (let i = 0; i < 100; i++) {
      route.event.signal();
    }
    // What was sent before has been delivered once this one has.
    other.event.signal();
    expectRuns(0x62, 1);
    expect(count(0x61)).toBe(0);
    expect(route.pending).toBe(true);
    route.unmask();
    expectRuns(0x61, 1);
    other.event.signal();
    expectRuns(0x62, 2);
    expect(count(0x61)).toBe(1);
    route.close();
    other.close();
  });

  it('takes no interrupt whose signals were taken away, and each one after a re-route with its new vector', () => {
    const route = newRoute(0x63);
    route.mask();
    route.event.signal(5);
    expect(route.takePending()).toBe(5n);
    route.unmask();
    for (let i = 1; i <= 100; i++) {
      route.setMsi(0xfee00000n, 0x64);
      route.event.signal();
      expectRuns(0x64, i);
      route.setMsi(0xfee00000n, 0x65);
      route.event.signal();
      expectRuns(0x65, i);
    }
    expect(count(0x63)).toBe(0);
    route.close();
  });
});
