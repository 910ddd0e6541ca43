import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { realDevice, simulatedDevice, type ChosenDevice } from '../../../lib/cli/chosen-device.js';
import { checkIrqfd, type IrqfdPlan } from '../../../lib/cli/irqfd-check.js';
import { describeReport, verdictOf } from '../../../lib/cli/irqfd-report.js';
import type { Partition } from '../../../lib/device/partition.js';
import type { Native } from '../../../lib/native.js';
import { Simulator, type GuestInterrupt } from '../../../lib/sim/index.js';
import { screens, wideLines } from './captured-terminal.js';

let simulator: Simulator;
beforeEach(() => {
  simulator = new Simulator();
});
afterEach(() => {
  simulator.close();
});

const plan: IrqfdPlan = { routes: 6, signals: 20, maskEvery: 3 };
const check = (device: ChosenDevice, changes: Partial<IrqfdPlan> = {}) =>
  checkIrqfd(device, { ...plan, ...changes }, () => undefined);

/** A simulated device whose `index`-th interrupt, from 0, is replaced by others before anybody sees it. */
function tampered(
  index: number,
  replace: (interrupt: GuestInterrupt) => GuestInterrupt[],
): ChosenDevice {
  let seen = 0;
  return {
    ...simulatedDevice(simulator, null),
    takeInterrupts: (partition) =>
      simulator
        .interrupts(partition)
        .flatMap((interrupt) => (seen++ === index ? replace(interrupt) : [interrupt])),
  };
}

/** The addon with some of its functions replaced. */
function faulty(functions: Partial<Native>): Native {
  return Object.create(
    Simulator.native,
    Object.fromEntries(Object.entries(functions).map(([name, value]) => [name, { value }])),
  ) as Native;
}

/** A driver that keeps an irqfd for good, whatever it is told. */
function neverDisarming(): Native {
  const armed = new Set<number>();
  return faulty({
    irqfd: (partition, event, resample, gsi, flags) => {
      if (armed.has(gsi)) {
        return 0;
      }
      armed.add(gsi);
      return Simulator.native.irqfd(partition, event, resample, gsi, flags);
    },
  });
}

const takeInterrupts = (partition: Partition) => simulator.interrupts(partition);

describe('on the simulator', () => {
  it('counts each interrupt and each signal that joined another', async () => {
    const report = await check(simulatedDevice(simulator, null));
    // Per route: 1 1 3 | 1 1 3 | 1 1 3 | 1 1 3 are 20 signals and 12 interrupts.
    expect(report).toMatchObject({
      ok: true,
      device: { kind: 'simulator', why: null },
      partition: { generation: 'v2', vps: 3, routes: 6, tablePushes: { arming: 1, masking: 0 } },
      total: { signals: 120, coalesced: 48, interrupts: 72, lost: 0, extra: 0, wrong: 0 },
      faults: [],
      latencyNs: { count: 72 },
    });
    expect(report.routes).toHaveLength(6);
    expect(report.routes.map(({ gsi }) => gsi)).toEqual([256, 257, 258, 259, 260, 261]);
    for (const route of report.routes) {
      expect(route).toMatchObject({ signals: 20, coalesced: 8, interrupts: 12, lost: 0, extra: 0 });
    }
  });

  it.each([
    { signals: 1, maskEvery: 1, interrupts: 1 },
    { signals: 20, maskEvery: 1, interrupts: 7 },
    { signals: 20, maskEvery: 0, interrupts: 20 },
    { signals: 20, maskEvery: 1000, interrupts: 20 },
    { signals: 3, maskEvery: 2, interrupts: 2 },
  ])(
    'sends $signals signals, masking every $maskEvery',
    async ({ signals, maskEvery, interrupts }) => {
      const { ok, total } = await check(simulatedDevice(simulator, null), {
        routes: 1,
        signals,
        maskEvery,
      });
      expect(ok).toBe(true);
      expect(total).toMatchObject({ signals, interrupts, coalesced: signals - interrupts });
    },
  );

  it('arms 4095 routes with one push', async () => {
    const { ok, partition, total } = await check(simulatedDevice(simulator, null), {
      routes: 4095,
      signals: 4,
      maskEvery: 2,
    });
    expect(ok).toBe(true);
    expect(partition).toMatchObject({ vps: 18, tablePushes: { arming: 1, masking: 0 } });
    expect(total.interrupts).toBe(4095 * 2);
  });

  it('reports progress up to the last signal', async () => {
    const seen: [number, number][] = [];
    await checkIrqfd(simulatedDevice(simulator, null), plan, (sent, of) => seen.push([sent, of]));
    expect(seen[0]).toEqual([6, 120]);
    expect(seen.at(-1)).toEqual([120, 120]);
  });

  it('tells the pushes that arm from those that mask', async () => {
    let pushes = 0;
    const device = { ...simulatedDevice(simulator, null), tablePushes: () => (pushes += 3) };
    expect((await check(device)).partition.tablePushes).toEqual({ arming: 3, masking: 3 });
  });

  it('passes on what the driver refuses', async () => {
    const device = simulatedDevice(simulator, null);
    simulator.failNext('MSHV_SET_MSI_ROUTING', 'ENOMEM');
    await expect(check(device)).rejects.toThrow(/ENOMEM \(MSHV_SET_MSI_ROUTING\)/);
  });
});

describe('finds an interrupt that', () => {
  const first = { gsi: 256, vp: 0, vector: 16, signals: 1 };

  it('is lost', async () => {
    const report = await check(tampered(0, () => []));
    expect(report.ok).toBe(false);
    expect(report.total).toMatchObject({ interrupts: 71, lost: 1, extra: 0, wrong: 0 });
    expect(report.routes[0]).toMatchObject({ lost: 1, interrupts: 11 });
    expect(report.faults).toEqual([{ kind: 'lost', ...first, detail: 'no interrupt came' }]);
    expect(verdictOf(report)).toContain('MISMATCH: lost 1, extra 0, wrong 0');
    for (const width of screens) {
      expect(wideLines(describeReport(report, width), width)).toEqual([]);
    }
  });

  it('comes twice', async () => {
    const report = await check(tampered(0, (interrupt) => [interrupt, interrupt]));
    expect(report.ok).toBe(false);
    expect(report.total).toMatchObject({ interrupts: 73, lost: 0, extra: 1, wrong: 0 });
    expect(report.routes[0]).toMatchObject({ extra: 1 });
    expect(report.faults).toEqual([
      { kind: 'extra', ...first, detail: 'interrupts came: 2 instead of 1' },
    ]);
    expect(report.latencyNs?.count).toBe(72);
  });

  it.each([
    ['another vector', { vector: 17 }],
    ['vector 0', { vector: 0 }],
    ['another VP', { destination: 7 }],
    ['another delivery mode', { type: 4 }],
    ['a level', { level: true }],
    ['a logical destination', { logical: true }],
  ])('has %s', async (_, change) => {
    const report = await check(tampered(0, (interrupt) => [{ ...interrupt, ...change }]));
    expect(report.ok).toBe(false);
    expect(report.total).toMatchObject({ interrupts: 71, lost: 1, extra: 0, wrong: 1 });
    expect(report.faults.map(({ kind }) => kind)).toEqual(['wrong', 'lost']);
    expect(report.faults[0]?.gsi).toBeNull();
  });

  it("is another route's", async () => {
    const [, second] = (await check(simulatedDevice(simulator, null))).routes;
    const report = await check(
      tampered(0, (interrupt) => [
        { ...interrupt, vector: second?.vector ?? 0, destination: second?.vp ?? 0 },
      ]),
    );
    expect(report.total).toMatchObject({ interrupts: 72, lost: 1, extra: 1, wrong: 0 });
    expect(report.faults.map(({ kind, gsi }) => [kind, gsi])).toEqual([
      ['lost', 256],
      ['extra', 257],
    ]);
  });

  it('comes while masked', async () => {
    const broken = { ...realDevice(simulator.path, neverDisarming()), takeInterrupts };
    const report = await check(broken, { routes: 1, signals: 3, maskEvery: 1 });
    expect(report.total).toMatchObject({ interrupts: 3, lost: 1, extra: 3, wrong: 0 });
    expect(report.faults[0]?.detail).toBe('interrupts came: 3 while masked');
  });

  it('is lost by an addon that does not write', async () => {
    let signals = 0;
    const native = faulty({
      eventfdSignal: (fd) => (++signals === 10 ? 0 : Simulator.native.eventfdSignal(fd)),
    });
    const leaky = { ...realDevice(simulator.path, native), takeInterrupts };
    const report = await check(leaky);
    expect(report.total).toMatchObject({ lost: 1, extra: 0, wrong: 0 });
    expect(report.faults[0]).toMatchObject({ gsi: 259, signals: 2 });
  });

  it('is one of many: all are counted, ten are told', async () => {
    const device: ChosenDevice = {
      ...simulatedDevice(simulator, null),
      takeInterrupts: () => [],
    };
    const report = await check(device);
    expect(report.total).toMatchObject({ interrupts: 0, lost: 72 });
    expect(report.faults).toHaveLength(10);
    expect(report.latencyNs).toBeNull();
    for (const width of screens) {
      expect(wideLines(describeReport(report, width), width)).toEqual([]);
    }
  });
});

describe('on a device whose guest nobody sees', () => {
  it('looks at the eventfds', async () => {
    const device = realDevice(simulator.path, Simulator.native);
    const report = await check(device);
    expect(report).toMatchObject({
      ok: true,
      device: { kind: 'device', path: simulator.path },
      partition: { tablePushes: { arming: 1, masking: 0 } },
      total: { signals: 120, coalesced: 48, interrupts: null, lost: 0, extra: 0, wrong: 0 },
      latencyNs: null,
    });
    expect(describeReport(report, 80)).toContain('unseen');
    expect(verdictOf(report)).toContain('nobody saw the interrupts');
  });

  it('finds signals that an armed route leaves in its eventfd', async () => {
    const device = realDevice(simulator.path, faulty({ irqfd: () => 0 }));
    const report = await check(device, { routes: 1, signals: 2, maskEvery: 0 });
    expect(report.ok).toBe(false);
    expect(report.total.lost).toBe(2);
    expect(report.faults[0]?.detail).toContain('left the signal');
    expect(verdictOf(report)).toContain('dmesg');
  });

  it('finds signals that a masked route does not keep', async () => {
    const device = realDevice(simulator.path, neverDisarming());
    const report = await check(device, { routes: 1, signals: 3, maskEvery: 1 });
    expect(report.total.lost).toBe(1);
    expect(report.faults[0]?.detail).toContain('did not keep');
  });
});
