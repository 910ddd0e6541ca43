import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { GsiAllocator } from '../../../lib/index.js';

/** Who holds which GSI. */
type Model = Map<number, string>;
type Command = fc.Command<Model, GsiAllocator>;

const gsis = Array.from({ length: 4095 }, (_, i) => i + 1);
// The vectors come last.
const inOrder = [...gsis.slice(255), ...gsis.slice(0, 255)];

// Mostly where the words of the allocator's bitmaps meet.
const someGsi = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.constantFrom(
    31,
    32,
    33,
    63,
    64,
    255,
    256,
    257,
    1023,
    1024,
    1025,
    2047,
    2048,
    4063,
    4064,
    4094,
    4095,
  ),
  fc.integer({ min: 1, max: 4095 }),
);
const someHolder = fc.string({ minLength: 1, maxLength: 5 }).filter((name) => !name.includes('\0'));

const nextFree = (model: Model): number | undefined => inOrder.find((gsi) => !model.has(gsi));

function command(text: string, run: (model: Model, allocator: GsiAllocator) => void): Command {
  return {
    check: () => true,
    run: (model, allocator) => {
      run(model, allocator);
      expect(allocator.inUse).toBe(model.size);
    },
    toString: () => text,
  };
}

function allocate(model: Model, allocator: GsiAllocator, holder: string): void {
  const expected = nextFree(model);
  if (expected === undefined) {
    expect(() => allocator.allocate(holder)).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_GSI_EXHAUSTED',
        message: "no GSI is free: all 4095 of the partition's 4095 are in use",
      }),
    );
  } else {
    expect(allocator.allocate(holder)).toBe(expected);
    model.set(expected, holder);
  }
}

function free(model: Model, allocator: GsiAllocator, gsi: number): void {
  if (model.delete(gsi)) {
    allocator.free(gsi);
  } else {
    expect(() => {
      allocator.free(gsi);
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_GSI_NOT_IN_USE',
        message: `GSI ${gsi} is not in use`,
      }),
    );
  }
}

const allocateOne = someHolder.map((holder) =>
  command(`allocate(${JSON.stringify(holder)})`, (model, allocator) => {
    allocate(model, allocator, holder);
  }),
);

const allocateMany = fc.integer({ min: 2, max: 2500 }).map((count) =>
  command(`allocate() ${count} times`, (model, allocator) => {
    for (let i = 0; i < count; i++) {
      const before = model.size;
      allocate(model, allocator, 'many');
      if (model.size === before) return;
    }
  }),
);

const allocateExact = fc.tuple(someGsi, someHolder).map(([gsi, holder]) =>
  command(`allocateExact(${gsi}, ${JSON.stringify(holder)})`, (model, allocator) => {
    const present = model.get(gsi);
    if (present === undefined) {
      expect(allocator.allocateExact(gsi, holder)).toBe(gsi);
      model.set(gsi, holder);
    } else {
      expect(() => allocator.allocateExact(gsi, holder)).toThrow(
        expect.objectContaining({
          code: 'ERR_MSHV_GSI_IN_USE',
          message: `GSI ${gsi} is in use by ${present}`,
        }),
      );
    }
  }),
);

const freeOne = someGsi.map((gsi) =>
  command(`free(${gsi})`, (model, allocator) => {
    free(model, allocator, gsi);
  }),
);

const freeMany = fc.tuple(someGsi, fc.integer({ min: 2, max: 700 })).map(([first, count]) =>
  command(`free(${first}) and ${count} more`, (model, allocator) => {
    for (let gsi = first; gsi < Math.min(first + count, 4096); gsi++) {
      free(model, allocator, gsi);
    }
  }),
);

const compareAll = fc.constant(
  command('compare all holders', (model, allocator) => {
    expect(gsis.map((gsi) => allocator.holder(gsi))).toEqual(gsis.map((gsi) => model.get(gsi)));
  }),
);

describe('GsiAllocator', () => {
  it('agrees with a map of holders after any sequence of calls', () => {
    const commands = fc.commands(
      [allocateOne, allocateMany, allocateExact, freeOne, freeMany, compareAll],
      { maxCommands: 60 },
    );
    fc.assert(
      fc.property(commands, (sequence) => {
        fc.modelRun(() => ({ model: new Map(), real: new GsiAllocator() }), sequence);
      }),
      { numRuns: 150 },
    );
  });

  it('hands out 256 to 4095 in order, then 1 to 255, never 0, and then none', () => {
    const allocator = new GsiAllocator();
    expect(gsis.map(() => allocator.allocate())).toEqual(inOrder);
    expect(allocator).toMatchObject({ inUse: 4095, capacity: 4095 });
    expect(() => allocator.allocate()).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_GSI_EXHAUSTED' }),
    );
    expect(allocator.inUse).toBe(4095);
  });

  it.each(
    gsis.filter((gsi) => gsi % 97 === 0 || (gsi & (gsi + 1)) === 0 || (gsi & (gsi - 1)) === 0),
  )('hands out GSI %i again where that is the only free one', (gsi) => {
    const allocator = new GsiAllocator();
    gsis.forEach(() => allocator.allocate());
    allocator.free(gsi);
    expect(allocator.holder(gsi)).toBeUndefined();
    expect(allocator.allocate('again')).toBe(gsi);
    expect(allocator.holder(gsi)).toBe('again');
    expect(() => allocator.allocate()).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_GSI_EXHAUSTED' }),
    );
  });

  it('calls a holder unnamed who gave no name', () => {
    const allocator = new GsiAllocator();
    allocator.allocateExact(allocator.allocate() + 1);
    expect([allocator.holder(256), allocator.holder(257)]).toEqual(['unnamed', 'unnamed']);
  });
});
