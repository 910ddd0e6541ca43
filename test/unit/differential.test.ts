import { constants } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';

import { hypercalls } from '../../lib/abi/hypercalls.js';
import { simNative, type SimNative } from '../../lib/sim/sim-native.js';
import { Choices } from '../differential/choices.js';
import { Differential, type Found } from '../differential/differential.js';
import { drawCall } from '../differential/hypercalls.js';
import { SimulatedMachine } from '../differential/machine.js';
import { shrink } from '../differential/shrink.js';

const seed = Number(process.env['MSHV_TEST_SEED'] ?? 20_261_121);
const { EBUSY, EINVAL } = constants.errno;

/** A simulator with something wrong in it. */
class WrongMachine extends SimulatedMachine {
  override readonly native: SimNative;

  constructor(wrong: (right: SimNative) => Partial<SimNative>) {
    super({});
    this.native = { ...simNative(), ...wrong(simNative()) };
  }
}

const open: Disposable[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]();
});

function against(got: SimulatedMachine): Differential {
  const expected = new SimulatedMachine({});
  const differential = new Differential(expected, got);
  open.push(differential, expected, got);
  return differential;
}

function find(differential: Differential): Found | undefined {
  for (let sequence = 0; sequence < 100; sequence++) {
    const found = differential.run(seed, sequence, 300);
    if (found !== undefined) return found;
  }
  return undefined;
}

describe('the differential run', () => {
  it('sees no difference between two that are alike, in operations of which many fail and many do not', () => {
    const differential = against(new SimulatedMachine({}));
    for (let sequence = 0; sequence < 20; sequence++) {
      expect(differential.run(seed, sequence, 300)).toBeUndefined();
    }
    const { operations, failed, byName } = differential.figures;
    expect(operations).toBeGreaterThan(5000);
    expect(byName.size).toBeGreaterThanOrEqual(30);
    expect(failed / operations).toBeGreaterThan(0.05);
    expect(failed / operations).toBeLessThan(0.6);
  });

  it('makes each hypercall that the driver passes through', () => {
    const choices = Choices.random(seed);
    const drawn = new Set(Array.from({ length: 3000 }, () => drawCall(choices).code));
    const codes = Object.values(hypercalls).map(({ code }) => code);
    expect(codes.filter((code) => !drawn.has(code))).toEqual([]);
  });

  const wrong: [string, (right: SimNative) => Partial<SimNative>, string][] = [
    [
      'another errno',
      (right) => ({
        irqfd: (...args) => {
          const error = right.irqfd(...args);
          return error === -EBUSY ? -EINVAL : error;
        },
      }),
      'assign',
    ],
    [
      'a lost interrupt',
      (right) => ({
        simInterrupts: (fd, words) => Math.max(0, right.simInterrupts(fd, words) - 1),
      }),
      'interrupt of partition 0 expected, 0 seen',
    ],
    [
      'a wrong bit',
      (right) => ({
        accessBitmap: (...args) => {
          const error = right.accessBitmap(...args);
          const [bitmap] = args.slice(-1);
          if (error === 0 && bitmap instanceof BigUint64Array && args[4] > 1) {
            bitmap[0] = (bitmap[0] ?? 0n) ^ 2n;
          }
          return error;
        },
      }),
      'access bitmap',
    ],
  ];
  it.each(wrong)('finds %s and shrinks it to few operations', (_, machine, operation) => {
    const found = find(against(new WrongMachine(machine)));
    expect(found?.shrunk).toBeLessThanOrEqual(4);
    expect(found?.report.join('\n')).toContain(operation);
    expect(found?.comesAgain).toBe(true);
  });

  it('says of what does not come again that it does not', () => {
    let calls = 0;
    const differential = against(
      new WrongMachine((right) => ({
        mapMemory: (...args) => (++calls === 5 ? -EINVAL : right.mapMemory(...args)),
      })),
    );
    const found = find(differential);
    expect(found).toMatchObject({ comesAgain: false });
    expect(found?.shrunk).toBe(found?.steps);
    expect(found?.report.join('\n')).toContain('-22 seen');
  });
});

describe('choices', () => {
  it('are the same for the same seed, and when they are drawn from what was taken', () => {
    const draw = (choices: Choices): unknown => [
      choices.upTo(9),
      choices.of('a', 'b', 'c'),
      choices.list(1, 5, () => choices.upTo(1000)),
      choices.onceIn(3),
    ];
    const first = Choices.random(seed);
    const drawn = draw(first);
    expect(draw(Choices.random(seed))).toEqual(drawn);
    expect(draw(Choices.of(first.taken))).toEqual(drawn);
    expect(draw(Choices.random(seed + 1))).not.toEqual(drawn);
  });

  it('are the simplest where there are no numbers', () => {
    const choices = Choices.of([]);
    expect(choices.upTo(9)).toBe(0);
    expect(choices.of('a', 'b')).toBe('a');
    expect(choices.list(0, 5, () => 1)).toEqual([]);
    expect(choices.onceIn(2)).toBe(false);
  });
});

describe('shrinking', () => {
  it('leaves the steps and the numbers that it takes to fail', () => {
    const sequence = Array.from({ length: 100 }, (_, i) => [i, 50, 7]);
    const fails = (candidate: readonly (readonly number[])[]): boolean =>
      candidate.some(([kind = 0, size = 0]) => kind === 70 && size >= 3) &&
      candidate.some(([kind]) => kind === 20);
    expect(shrink(sequence, fails, 1000)).toEqual([
      [20, 0, 0],
      [70, 3, 0],
    ]);
  });

  it('ends after as many attempts as it has, with something that fails', () => {
    let attempts = 0;
    const fails = (candidate: readonly (readonly number[])[]): boolean => {
      attempts++;
      return candidate.some(([kind]) => kind === 20);
    };
    const sequence = Array.from({ length: 100 }, (_, i) => [i, 50, 7]);
    expect(fails(shrink(sequence, fails, 10))).toBe(true);
    expect(attempts).toBe(11);
  });

  it('leaves what does not fail again as it is', () => {
    const sequence = [[1], [2]];
    expect(shrink(sequence, () => false, 100)).toBe(sequence);
  });
});
