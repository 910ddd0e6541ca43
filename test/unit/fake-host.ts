import { expect } from 'vitest';

import { type IrqFdRoute, Mshv, type Partition } from '../../lib/index.js';
import { FakeNative, type FakePartition, type Fault, type RecordedCall } from '../fake-native.js';

/** A device and a partition with four VPs on a FakeNative. */
export class FakeHost implements Disposable {
  readonly native = new FakeNative();
  readonly device: Mshv;
  readonly partition: Partition;
  /** What the fake driver has of the partition. */
  readonly driver: FakePartition;

  constructor() {
    this.device = Mshv.open({ native: this.native });
    this.partition = this.device.createPartition();
    this.partition.initialize();
    for (let index = 0; index < 4; index++) {
      this.partition.createVp(index);
    }
    const driver = this.native.partitions.get(this.partition.fd);
    if (driver === undefined) throw new Error('the fake driver has no partition');
    this.driver = driver;
  }

  /** Does something, with faults. Says which calls were made and what was thrown. */
  attempt(act: () => unknown, fault?: Fault): { calls: readonly RecordedCall[]; error: unknown } {
    this.native.record(fault);
    let error: unknown;
    try {
      act();
    } catch (thrown) {
      error = thrown;
    }
    const calls = [...this.native.calls];
    this.native.record();
    return { calls, error };
  }

  /** Everything that can be seen of these routes, in memory and in the driver. */
  snapshot(routes: readonly IrqFdRoute[]) {
    const { size, gsisInUse, quarantined } = this.partition.irqfd;
    return {
      irqfd: { size, gsisInUse, quarantined },
      routes: routes.map(({ gsi, route, masked, armed, closed, quarantined, event }) => ({
        gsi,
        route,
        masked,
        armed,
        closed,
        quarantined,
        eventClosed: event.closed,
      })),
      driver: {
        armed: [...this.driver.armed.keys()].sort((one, other) => one - other),
        routes: [...this.driver.routes].sort(([one], [other]) => one - other),
      },
    };
  }

  /** Expects that the driver has of the partition exactly what its routes, these, say. */
  expectAgreement(routes: readonly IrqFdRoute[]): void {
    expect(this.native.violations).toEqual([]);
    expect(this.native.closedArmed).toEqual([]);
    const { armed, routes: routed } = this.driver;
    expect(new Set(armed.keys())).toEqual(
      new Set(routes.filter((route) => route.armed).map(({ gsi }) => gsi)),
    );
    expect(routed).toEqual(
      new Map(routes.flatMap(({ gsi, route }) => (route === undefined ? [] : [[gsi, route]]))),
    );
    expect(routes.map((route) => route.armed)).toEqual(
      routes.map((route) => route.route !== undefined && !route.masked),
    );
    expect(this.partition.irqfd.size).toBe(routes.filter((route) => !route.closed).length);
  }

  [Symbol.dispose](): void {
    this.native.record();
    this.device.close();
  }
}
