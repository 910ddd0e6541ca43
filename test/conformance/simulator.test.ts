import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { irqfdFlags } from '../../lib/abi/irqfd.js';
import type { Partition } from '../../lib/index.js';
import { insideLab, openGuestSide, type GuestSide } from '../guest-side.js';
import { SimulatorGuestSide } from '../simulator-guest-side.js';

// The same calls to the real driver and to the simulator, side by side: every result, every counter
// and every interrupt must be the same after each call.

const { DEASSIGN, RESAMPLE } = irqfdFlags;
const counters = 4;
const semaphores = 2;

/** Two partitions on one of the drivers, and what there is to arm. */
class Side {
  readonly guest: GuestSide;
  readonly partitions: readonly Partition[];
  readonly events: number[];
  readonly resample: readonly number[];

  constructor(guest: GuestSide) {
    this.guest = guest;
    const { native } = guest;
    this.partitions = [guest.createPartition(2), guest.createPartition(2)];
    this.events = Array.from({ length: counters + semaphores }, (_, i) =>
      native.eventfdCreate(0, i >= counters),
    );
    this.resample = [native.eventfdCreate(0, false), native.eventfdCreate(0, false)];
  }

  partition(index: number): Partition {
    return this.partitions[index] ?? expect.fail('no such partition');
  }

  event(index: number): number {
    return this.events[index] ?? expect.fail('no such eventfd');
  }

  /** What can be seen from outside; takes the interrupts and what was resampled. */
  seen(): unknown {
    const { native } = this.guest;
    return {
      signalled: this.events.map((fd) => native.eventfdPoll(fd)),
      resampled: this.resample.map((fd) => native.eventfdRead(fd)),
      interrupts: this.partitions.map((partition) => this.guest.interrupts(partition)),
    };
  }

  close(): void {
    for (const fd of [...this.events, ...this.resample]) {
      this.guest.native.close(fd);
    }
    for (const partition of this.partitions) {
      partition.close();
    }
  }
}

/** One call, made to both. */
interface Step {
  readonly toString: () => string;
  readonly perform: (side: Side) => unknown;
}

function step<Arguments extends object>(
  name: string,
  record: fc.Arbitrary<Arguments>,
  perform: (side: Side, step: Arguments) => unknown,
): fc.Arbitrary<Step> {
  return record.map((given) => ({
    toString: () => `${name} ${fc.stringify(given)}`,
    perform: (side) => perform(side, given),
  }));
}

const rarely = <T>(usual: T, odd: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 20, arbitrary: fc.constant(usual) }, fc.constant(odd));
const partition = fc.nat({ max: 1 });
const event = fc.nat({ max: counters + semaphores - 1 });
/** Few, so that they meet; the last cannot be routed. */
const gsi = fc.constantFrom(0, 1, 2, 0x30, 0x31, 100_000);

const entry = fc
  .record({
    gsi: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(0, 1, 2, 0x30) }, fc.constant(4096)),
    low: fc.nat({ max: 0xfffff }),
    high: rarely(0, 1),
    data: fc.nat({ max: 0xffff }),
  })
  .map(({ gsi, low, high, data }) => [gsi, 0xfee00000 + low, high, data]);

const steps = fc.oneof(
  {
    weight: 3,
    arbitrary: step(
      'assign',
      fc.record({
        partition,
        event,
        gsi,
        resample: fc.option(fc.nat({ max: 1 })),
        flags: fc.oneof({ weight: 10, arbitrary: fc.constantFrom(0, RESAMPLE) }, fc.constant(4)),
      }),
      (side, { partition, event, gsi, resample, flags }) =>
        side.guest.native.irqfd(
          side.partition(partition).fd,
          side.event(event),
          resample === null ? -1 : (side.resample[resample] ?? -1),
          gsi,
          flags,
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'deassign',
      fc.record({ partition, event, gsi, flags: fc.constantFrom(0, RESAMPLE) }),
      (side, { partition, event, gsi, flags }) =>
        side.guest.native.irqfd(
          side.partition(partition).fd,
          side.event(event),
          -1,
          gsi,
          DEASSIGN | flags,
        ),
    ),
  },
  {
    weight: 4,
    arbitrary: step(
      'signal',
      fc.record({ event, count: fc.constantFrom(0n, 1n, 1n, 3n) }),
      (side, { event, count }) => side.guest.native.eventfdSignal(side.event(event), count),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'route',
      fc.record({ partition, reserved: rarely(0, 1), entries: fc.array(entry, { maxLength: 3 }) }),
      (side, { partition, reserved, entries }) =>
        side.guest.native.setMsiRouting(
          side.partition(partition).fd,
          Uint32Array.from([entries.length, reserved, ...entries.flat()]),
        ),
    ),
  },
  step('read', fc.record({ event }), (side, { event }) =>
    side.guest.native.eventfdRead(side.event(event)),
  ),
  step('replace', fc.record({ event, initial: fc.nat({ max: 2 }) }), (side, { event, initial }) => {
    side.guest.native.close(side.event(event));
    side.events[event] = side.guest.native.eventfdCreate(initial, event >= counters);
  }),
  step('move', fc.record({ event }), (side, { event }) => {
    const copy = side.guest.native.dup(side.event(event));
    side.guest.native.close(side.event(event));
    side.events[event] = copy;
  }),
  step(
    'end of interrupt',
    fc.record({
      partition,
      vp: fc.nat({ max: 1 }),
      vector: fc.constantFrom(0, 1, 2, 0x30, 0x31),
    }),
    (side, { partition, vp, vector }) => {
      side.guest.endOfInterrupt(side.partition(partition), vp, vector);
    },
  ),
);

const why = insideLab ? '' : ' (skipped: runs in the lab only, where the real driver is)';
describe.skipIf(!insideLab)(`the simulator${why}`, () => {
  let real: GuestSide;
  let simulated: GuestSide;
  beforeAll(async () => {
    real = await openGuestSide();
    simulated = new SimulatorGuestSide();
  });
  afterAll(() => {
    simulated[Symbol.dispose]();
    real[Symbol.dispose]();
  });

  it('does what the real driver does', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 100, size: 'max' }), (sequence) => {
        const sides = [new Side(real), new Side(simulated)] as const;
        try {
          for (const { perform } of sequence) {
            const [expected, got] = sides.map((side) => ({
              result: perform(side),
              ...(side.seen() as object),
            }));
            expect(got).toEqual(expected);
          }
        } finally {
          for (const side of sides) {
            side.close();
          }
        }
      }),
      { seed: 20_261_121, numRuns: 40, interruptAfterTimeLimit: 120_000 },
    );
  });
});
