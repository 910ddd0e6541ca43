import * as fc from 'fast-check';
import { constants } from 'node:os';
import { expect, it } from 'vitest';

import { decodeMsi, deliveryModes } from '../../lib/abi/msi.js';
import { MshvError, type IrqFdRoute, type MsiRoute, type Partition } from '../../lib/index.js';
import type { GuestSide, SeenInterrupt } from '../guest-side.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Random sequences of everything that routes can do, refused ioctls included, against a model. After
// every step the routes say what the model says, the driver holds what the model says (where the
// backend can tell), and the guest has got exactly the model's interrupts in the model's order.

interface Settings {
  readonly msi: MsiRoute | undefined;
  readonly masked: boolean;
  readonly closed: boolean;
}

interface ModelRoute {
  readonly gsi: number;
  readonly resample: boolean;
  settings: Settings;
  pending: bigint;
}

interface Fault {
  readonly ioctl: 'MSHV_IRQFD' | 'MSHV_SET_MSI_ROUTING';
  readonly after: number;
}

const armedBy = ({ msi, masked }: Settings): boolean => msi !== undefined && !masked;

const text = (msi: MsiRoute | undefined): string => `${msi?.address} ${msi?.data}`;

class Model {
  routes: ModelRoute[] = [];
  interrupts: SeenInterrupt[] = [];

  inject(msi: MsiRoute | undefined): void {
    const { deliveryMode, ...rest } = decodeMsi(Number(msi?.address), Number(msi?.data));
    this.interrupts.push({ ...rest, type: deliveryModes.indexOf(deliveryMode) });
  }

  /** Disarm, push, arm. Arming injects once for what is pending, and no undo takes that back. */
  commit(wanted: ReadonlyMap<ModelRoute, Settings>, fault: Fault | undefined): boolean {
    const all = [...wanted].map(([route, to]) => {
      const moves = text(route.settings.msi) !== text(to.msi);
      const disarms = armedBy(route.settings) && (moves || !armedBy(to));
      const arms = armedBy(to) && (disarms || !armedBy(route.settings));
      return { route, to, moves, disarms, arms };
    });
    const toArm = all.filter(({ arms }) => arms);
    let armed = toArm.length;
    if (fault?.ioctl === 'MSHV_SET_MSI_ROUTING') {
      if (fault.after === 0 && all.some(({ moves }) => moves)) armed = -1;
    } else if (fault !== undefined) {
      armed = Math.min(armed, fault.after - all.filter(({ disarms }) => disarms).length);
    }
    for (const { route, to } of toArm.slice(0, Math.max(armed, 0))) {
      if (route.pending > 0n) this.inject(to.msi);
      route.pending = 0n;
    }
    if (armed < toArm.length) return false;
    for (const { route, to } of all) route.settings = to;
    this.routes = this.routes.filter(({ settings }) => !settings.closed);
    return true;
  }
}

interface Real {
  readonly guest: GuestSide;
  readonly partition: Partition;
  readonly routes: Map<number, IrqFdRoute>;
}

function compare(model: Model, { guest, partition, routes }: Real): void {
  expect(partition.irqfd).toMatchObject({
    size: model.routes.length,
    gsisInUse: model.routes.length,
    quarantined: 0,
  });
  expect(
    model.routes.map(({ gsi }) => {
      const route = routes.get(gsi);
      return [gsi, route?.route, route?.masked, route?.armed, route?.pending];
    }),
  ).toEqual(
    model.routes.map(({ gsi, settings, pending }) => [
      gsi,
      settings.msi,
      settings.masked,
      armedBy(settings),
      !armedBy(settings) && pending > 0n,
    ]),
  );
  const ascending = [...model.routes].sort((one, other) => one.gsi - other.gsi);
  const state = guest.driverState(partition);
  if (state !== undefined) {
    expect(state).toEqual({
      routes: ascending.flatMap(({ gsi, settings: { msi } }) => (msi ? [{ gsi, ...msi }] : [])),
      armedGsis: ascending.filter(({ settings }) => armedBy(settings)).map(({ gsi }) => gsi),
    });
  }
  expect(guest.interrupts(partition)).toEqual(model.interrupts);
  model.interrupts = [];
}

type Recording =
  | { kind: 'newRoute'; msi: MsiRoute | undefined; masked: boolean }
  | { kind: 'newResampleRoute'; vector: number; masked: boolean }
  | { kind: 'setMsi'; at: number; msi: MsiRoute }
  | { kind: 'clearMsi' | 'mask' | 'unmask' | 'close'; at: number };

/** Makes one change alone, or several in a batch. */
class Change implements fc.Command<Model, Real> {
  readonly recordings: readonly Recording[];
  readonly batch: { readonly throws: boolean } | undefined;
  readonly fault: Fault | undefined;

  constructor(
    recordings: readonly Recording[],
    batch: { readonly throws: boolean } | undefined,
    fault: Fault | undefined,
  ) {
    this.recordings = recordings;
    this.batch = batch;
    this.fault = fault;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    const before = model.routes;
    model.routes = [...before];
    const wanted = new Map<ModelRoute, Settings>();
    const record = (): void => {
      for (const recording of this.recordings) perform(recording, model, real, wanted);
    };
    if (this.fault) real.guest.failNext(this.fault.ioctl, constants.errno.EIO, this.fault.after);
    let error: unknown;
    try {
      if (this.batch === undefined) {
        record();
      } else {
        real.partition.irqfd.batch(() => {
          record();
          if (this.batch?.throws === true) throw new Error('thrown inside the batch');
        });
      }
    } catch (thrown) {
      error = thrown;
    }
    real.guest.failNoMore();
    const accepted = this.batch?.throws !== true && model.commit(wanted, this.fault);
    if (accepted) {
      expect(error).toBeUndefined();
    } else if (this.batch?.throws === true) {
      expect(error).toMatchObject({ message: 'thrown inside the batch' });
    } else {
      expect(error).toMatchObject({ code: 'EIO', ioctl: this.fault?.ioctl });
    }
    if (!accepted) model.routes = before;
    for (const [gsi, route] of real.routes) {
      if (route.closed) real.routes.delete(gsi);
    }
    compare(model, real);
  }

  toString(): string {
    const fault = this.fault && ` with ${this.fault.ioctl} refused after ${this.fault.after}`;
    const text = JSON.stringify(this.recordings, (_, value: unknown) =>
      typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
    );
    return `${this.batch ? 'batch' : 'change'} ${text}${fault ?? ''}`;
  }
}

/** Makes the call on the library and notes what it asks for. */
function perform(
  recording: Recording,
  model: Model,
  { partition, routes }: Real,
  wanted: Map<ModelRoute, Settings>,
): void {
  if (recording.kind === 'newRoute' || recording.kind === 'newResampleRoute') {
    const used = new Set(model.routes.map(({ gsi }) => gsi));
    const resample = recording.kind === 'newResampleRoute';
    let gsi = 256;
    while (used.has(gsi)) gsi = gsi === 4095 ? 1 : gsi + 1;
    if (resample) {
      gsi = recording.vector;
      if (used.has(gsi)) {
        expect(() => partition.irqfd.newResampleRoute({ vector: gsi })).toThrow(MshvError);
        return;
      }
    }
    const { masked } = recording;
    const msi = resample ? { address: 0xfee00000n, data: 0xc000 | gsi } : recording.msi;
    const route = {
      gsi,
      resample,
      pending: 0n,
      settings: { msi: undefined, masked, closed: false },
    };
    model.routes.push(route);
    if (msi) wanted.set(route, { msi, masked, closed: false });
    const options = { masked, ...(msi ? { msi } : {}) };
    routes.set(
      gsi,
      resample
        ? partition.irqfd.newResampleRoute({ vector: gsi, ...options })
        : partition.irqfd.newRoute(options),
    );
    return;
  }
  const open = model.routes.filter((route) => !(wanted.get(route) ?? route.settings).closed);
  const route = open[recording.at % open.length];
  const real = route && routes.get(route.gsi);
  if (route === undefined || real === undefined) return;
  const now = wanted.get(route) ?? route.settings;
  switch (recording.kind) {
    case 'setMsi': {
      const { address, data } = recording.msi;
      const msi = { address, data: route.resample ? 0xc000 | route.gsi : data };
      wanted.set(route, { ...now, msi });
      real.setMsi(msi.address, msi.data);
      return;
    }
    case 'clearMsi':
      wanted.set(route, { ...now, msi: undefined });
      break;
    case 'close':
      wanted.set(route, { msi: undefined, masked: true, closed: true });
      break;
    default:
      wanted.set(route, { ...now, masked: recording.kind === 'mask' });
  }
  real[recording.kind]();
}

/** Calls that change no route. */
class Use implements fc.Command<Model, Real> {
  readonly kind: 'signal' | 'takePending' | 'endOfInterrupt';
  readonly at: number;
  readonly count: bigint;

  constructor(kind: 'signal' | 'takePending' | 'endOfInterrupt', at: number, count: bigint) {
    this.kind = kind;
    this.at = at;
    this.count = count;
  }

  check({ routes }: Readonly<Model>): boolean {
    return routes.length > 0;
  }

  run(model: Model, real: Real): void {
    const route = model.routes[this.at % model.routes.length];
    const routed = route && real.routes.get(route.gsi);
    if (route === undefined || routed === undefined) return;
    const armed = armedBy(route.settings);
    switch (this.kind) {
      case 'signal':
        routed.event.signal(this.count);
        if (armed) model.inject(route.settings.msi);
        else route.pending += this.count;
        break;
      case 'takePending':
        expect(routed.takePending()).toBe(armed ? 0n : route.pending);
        if (!armed) route.pending = 0n;
        break;
      case 'endOfInterrupt':
        if (route.gsi < 16 || route.gsi > 255) break;
        real.guest.endOfInterrupt(real.partition, 0, route.gsi);
        expect(routed.resampleEvent?.tryRead()).toBe(armed && route.resample ? 1n : undefined);
    }
    compare(model, real);
  }

  toString(): string {
    return `${this.kind}(#${this.at}, ${this.count})`;
  }
}

const msi = fc
  .record({
    vector: fc.integer({ min: 16, max: 255 }),
    mode: fc.constantFrom(0, 0, 0, 1, 4, 5),
    vp: fc.integer({ min: 0, max: 3 }),
    logical: fc.boolean(),
  })
  .map(({ vector, mode, vp, logical }) => ({
    address: 0xfee00000n | (BigInt(vp) << 12n) | (logical ? 4n : 0n),
    data: vector | (mode << 8),
  }));
const at = fc.nat({ max: 4094 });
const recording: fc.Arbitrary<Recording> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('newRoute' as const),
      msi: fc.option(msi, { nil: undefined }),
      masked: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('newResampleRoute' as const),
      vector: fc.integer({ min: 16, max: 32 }),
      masked: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('setMsi' as const), at, msi }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('clearMsi' as const, 'mask', 'mask', 'unmask', 'unmask', 'close'),
      at,
    }),
  },
);
const fault = fc.option(
  fc.record({
    ioctl: fc.constantFrom('MSHV_IRQFD' as const, 'MSHV_SET_MSI_ROUTING'),
    after: fc.integer({ min: 0, max: 5 }),
  }),
  { nil: undefined, freq: 3 },
);
const change = fc.tuple(recording, fault).map(([one, refused]) => {
  return new Change([one], undefined, refused);
});
const batch = fc
  .tuple(
    fc.array(recording, { maxLength: 8 }),
    fc.record({ throws: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.boolean()) }),
    fault,
  )
  .map(([several, options, refused]) => new Change(several, options, refused));
const use = fc
  .tuple(
    fc.constantFrom('signal' as const, 'signal', 'signal', 'takePending', 'endOfInterrupt'),
    at,
    fc.bigInt({ min: 1n, max: 5n }),
  )
  .map(([kind, index, count]) => new Use(kind, index, count));

const guest = await guestSideForTests();

function check(atFirst: number, numRuns: number, steps: number): void {
  fc.assert(
    fc.property(
      fc.commands([change, batch, use, use], { maxCommands: steps, size: 'max' }),
      (commands) => {
        const partition = guest.createPartition(4);
        try {
          fc.modelRun(() => {
            const setup = { model: new Model(), real: { guest, partition, routes: new Map() } };
            const first = Array.from({ length: atFirst }, (_, i): Recording => ({
              kind: 'newRoute',
              msi: { address: 0xfee00000n, data: 16 + (i % 240) },
              masked: i % 3 === 0,
            }));
            new Change(first, { throws: false }, undefined).run(setup.model, setup.real);
            return setup;
          }, commands);
        } finally {
          partition.close();
        }
      },
    ),
    { seed: 20261121, numRuns },
  );
}

it('holds for sequences from an empty partition', () => {
  check(0, 60, 60);
});

it('holds for sequences from 4090 routes to all 4095', () => {
  check(4090, 3, 25);
});
