import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Mshv, type Partition } from '../../lib/index.js';

const path = '/dev/mshv';
const why = existsSync(path) ? '' : ` (skipped: this machine has no ${path})`;

// On a real host nobody sees the guest's side, but the eventfds show what the driver does with them.
describe.skipIf(why !== '')(`routes on ${path}${why}`, () => {
  let device: Mshv;
  let partition: Partition;
  beforeAll(() => {
    device = Mshv.open();
    partition = device.createPartition();
    partition.initialize();
    partition.createVp(0);
  });
  afterAll(() => {
    device.close();
  });

  it('consume signals while armed and keep them while masked', () => {
    const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
    route.event.signal();
    expect(route.event.tryRead()).toBeUndefined();
    route.mask();
    route.event.signal(3);
    expect(route.pending).toBe(true);
    expect(route.takePending()).toBe(3n);
    route.unmask();
    route.event.signal();
    expect(route.event.tryRead()).toBeUndefined();
    route.close();
    expect(partition.irqfd.gsisInUse).toBe(0);
  });

  it('are armed in one batch', () => {
    const routes = partition.irqfd.batch(() =>
      Array.from({ length: 256 }, () =>
        partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } }),
      ),
    );
    expect(routes.every((route) => route.armed)).toBe(true);
    partition.irqfd.batch(() => {
      routes.forEach((route) => {
        route.close();
      });
    });
  });
});
