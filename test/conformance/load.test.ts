import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { x64Registers } from '../../lib/abi/x64-registers.js';
import { insideLab } from '../inside-lab.js';
import { Crowd, largestCrowd } from '../load/crowd.js';
import { processResources, type ProcessResources } from '../process-resources.js';
import { vpThreads } from '../process-threads.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// As many of everything as there can be, in one process at once: each works, and in the end nothing is left. What it
// costs, and how long it goes on, is for `npm run load`.

// The lab does in a second what the simulator does in ten milliseconds. All of it is there for `npm run load`, too.
const size = insideLab
  ? { ...largestCrowd, partitions: 30, routes: 2000, doorbells: 300 }
  : largestCrowd;

const guest = await guestSideForTests();
let crowd: Crowd;
let before: ProcessResources;

beforeAll(() => {
  // What is made once and kept: the simulator's thread.
  const first = new Crowd(guest);
  first.addVps(1);
  first.addRoutes(1);
  first.close();
  before = processResources();
  crowd = new Crowd(guest);
});
afterAll(() => {
  crowd.close();
});

it(`runs ${size.vps} VPs of a partition, one by one and all at once`, async () => {
  crowd.addVps(size.vps);
  expect(crowd.partition.vps).toHaveLength(size.vps);
  await crowd.startVps();
  // A thread for each.
  expect(vpThreads()).toHaveLength(size.vps);
  await crowd.stopVps();
});

it(`routes ${size.routes} GSIs, each to its VP and vector`, () => {
  crowd.addRoutes(size.routes);
  expect(crowd.partition.irqfd.gsisInUse).toBe(size.routes);
  const due = crowd.routes.map((_, i) => crowd.interrupt(i));
  // The lab's log has room for so many.
  for (let from = 0; from < due.length; from += 1500) {
    for (const { event } of crowd.routes.slice(from, from + 1500)) event.signal();
    expect(guest.interrupts(crowd.partition)).toEqual(due.slice(from, from + 1500));
  }
});

it(`hears of each of ${size.doorbells} doorbells as often as it was rung`, async () => {
  crowd.addDoorbells(size.doorbells);
  const times = (doorbell: number): number => 1 + (doorbell % 3);
  crowd.doorbells.forEach((_, i) => {
    for (let rung = 0; rung < times(i); rung++) {
      crowd.ring(i);
    }
  });
  await setImmediate();
  await setImmediate();
  expect(crowd.rings).toEqual(crowd.doorbells.map((_, i) => BigInt(times(i))));
  // One that is rung twice in a turn of the event loop is heard once.
  expect(crowd.calls).toEqual(crowd.doorbells.map(() => 1));
});

it(`keeps ${size.partitions} partitions apart`, () => {
  crowd.addPartitions(size.partitions);
  const rax = Uint32Array.of(x64Registers.RAX);
  crowd.others.forEach(({ partition, route, doorbell }, i) => {
    partition.setRegisters(0, rax, BigUint64Array.of(BigInt(i), 0n));
    route.event.signal(1 + (i % 2));
    for (let rung = 0; rung <= i % 3; rung++) guest.writeMmio(partition, doorbell.gpa, 4, 0n);
  });
  crowd.others.forEach(({ partition, route, doorbell }, i) => {
    expect(partition.getRegisters(0, rax)[0]).toBe(BigInt(i));
    expect(guest.interrupts(partition)).toMatchObject([{ vector: route.route?.data }]);
    expect(doorbell.event.tryRead()).toBe(BigInt(1 + (i % 3)));
  });
  expect(new Set(crowd.others.map(({ route }) => route.route?.data)).size).toBe(size.partitions);
  expect(guest.interrupts(crowd.partition)).toEqual([]);
});

it('leaves nothing when all of it is closed', () => {
  crowd.close();
  expect(processResources()).toEqual(before);
  expect(guest.leftovers()).toEqual([]);
});
