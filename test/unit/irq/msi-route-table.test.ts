import fc from 'fast-check';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { type MsiRoute, MsiRouteTable, type RouteChange } from '../../../lib/index.js';

type Routes = Map<number, MsiRoute>;

const eio = -constants.errno.EIO;

/** What the driver would make of the words: `mshv_user_irq_table`, then its entries. */
function decode(words: Uint32Array): Routes {
  const [count = 0, reserved] = words;
  expect(reserved).toBe(0);
  const routes: Routes = new Map();
  for (let at = 2; at < 2 + 4 * count; at += 4) {
    const [gsi = 0, low = 0, high, data = 0] = words.subarray(at, at + 4);
    expect(high).toBe(0);
    routes.set(gsi, { address: BigInt(low), data });
  }
  expect(routes.size).toBe(count);
  return routes;
}

/** A driver that takes tables, or refuses them with `error`. */
class Driver {
  pushes = 0;
  error = 0;
  routes: Routes = new Map();
  memory: ArrayBufferLike | undefined;
  readonly table = new MsiRouteTable((words) => {
    this.pushes++;
    this.memory = words.buffer;
    if (this.error === 0) this.routes = decode(words);
    return this.error;
  });
}

interface Model {
  routes: Routes;
  unknown: boolean;
}

const sorted = (routes: Routes): [number, MsiRoute][] =>
  [...routes].sort(([one], [other]) => one - other);

const same = (one: MsiRoute | undefined, other: MsiRoute | undefined): boolean =>
  one?.address === other?.address && one?.data === other?.data;

function apply(routes: Routes, changes: readonly RouteChange[]): Routes {
  const result = new Map(routes);
  for (const { gsi, msi } of changes) {
    if (msi === undefined) result.delete(gsi);
    else result.set(gsi, msi);
  }
  return result;
}

const someMsi = fc.record({
  address: fc.oneof(
    fc.constantFrom(0n, 0xfee00000n, 0xffffffffn),
    fc.bigInt({ min: 0n, max: 0xffffffffn }),
  ),
  data: fc.oneof(fc.constantFrom(0, 0x41, 0xffffffff), fc.integer({ min: 0, max: 0xffffffff })),
});

const someChanges = fc.array(
  fc.record({
    gsi: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(255, 4094, 4095)),
    msi: fc.option(someMsi, { nil: undefined }),
  }),
  { maxLength: 10 },
);

class Commit implements fc.Command<Model, Driver> {
  readonly changes: readonly RouteChange[];
  readonly refused: boolean;

  constructor(changes: readonly RouteChange[], refused: boolean) {
    this.changes = changes;
    this.refused = refused;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, driver: Driver): void {
    const after = apply(model.routes, this.changes);
    // A change and its opposite in one commit may be pushed or not; both leave the driver right.
    let walk = model.routes;
    const differs = this.changes.some((change) => {
      const before = walk.get(change.gsi);
      walk = apply(walk, [change]);
      return !same(before, change.msi);
    });
    const pushes = differs || model.unknown ? 1 : 0;
    const refused = this.refused && pushes === 1;
    const pushed = driver.pushes;
    const before = driver.routes;
    driver.error = refused ? eio : 0;
    if (refused) {
      expect(() => driver.table.commit(this.changes)).toThrow(
        expect.objectContaining({
          code: 'EIO',
          errno: eio,
          syscall: 'ioctl',
          ioctl: 'MSHV_SET_MSI_ROUTING',
          message: 'cannot set the MSI routing table: EIO (MSHV_SET_MSI_ROUTING)',
        }),
      );
      expect(driver.routes).toBe(before);
    } else {
      const undo = driver.table.commit(this.changes);
      expect(sorted(apply(after, undo))).toEqual(sorted(model.routes));
      model.routes = after;
      model.unknown = false;
    }
    expect(driver.pushes - pushed).toBe(pushes);
    compare(model, driver);
  }

  toString(): string {
    return `commit(${fc.stringify(this.changes)})${this.refused ? ' refused' : ''}`;
  }
}

class MarkUnknown implements fc.Command<Model, Driver> {
  check(): boolean {
    return true;
  }

  run(model: Model, driver: Driver): void {
    driver.table.markUnknown();
    model.unknown = true;
    driver.routes = new Map([[77, { address: 0n, data: 0 }]]);
    compare(model, driver);
  }

  toString(): string {
    return 'markUnknown()';
  }
}

function compare(model: Model, { table, routes }: Driver): void {
  expect(table).toMatchObject({ size: model.routes.size, unknown: model.unknown });
  for (const gsi of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255, 4094, 4095]) {
    expect(table.get(gsi)).toEqual(model.routes.get(gsi));
  }
  if (!model.unknown) {
    expect(sorted(routes)).toEqual(sorted(model.routes));
  }
}

describe('MsiRouteTable', () => {
  it('agrees with a map after any sequence of commits, refused ones included', () => {
    const commands = fc.commands(
      [
        fc
          .tuple(someChanges, fc.boolean())
          .map(([changes, refused]) => new Commit(changes, refused)),
        fc.constant(new MarkUnknown()),
      ],
      { maxCommands: 50 },
    );
    fc.assert(
      fc.property(commands, (sequence) => {
        fc.modelRun(
          () => ({ model: { routes: new Map(), unknown: false }, real: new Driver() }),
          sequence,
        );
      }),
      { numRuns: 300 },
    );
  });

  it('restores what a commit replaced with the changes that it returned', () => {
    fc.assert(
      fc.property(someChanges, someChanges, (first, second) => {
        const driver = new Driver();
        driver.table.commit(first);
        const before = sorted(driver.routes);
        driver.table.commit(driver.table.commit(second));
        expect(sorted(driver.routes)).toEqual(before);
      }),
    );
  });

  it('takes 4095 routes in one push, from the same memory each time', () => {
    const driver = new Driver();
    const changes = Array.from({ length: 4095 }, (_, i) => ({
      gsi: i + 1,
      msi: { address: BigInt(0xfee00000 + i), data: i },
    }));
    driver.table.commit(changes);
    const memory = driver.memory;
    expect(driver.pushes).toBe(1);
    expect(driver.routes.size).toBe(4095);
    driver.table.commit(changes.map(({ gsi }) => ({ gsi, msi: undefined })));
    expect(driver.pushes).toBe(2);
    expect(driver.memory).toBe(memory);
    expect(driver.routes.size).toBe(0);
  });

  it('pushes nothing where nothing differs', () => {
    const driver = new Driver();
    const change = { gsi: 7, msi: { address: 0xfee00000n, data: 0x41 } };
    driver.table.commit([]);
    driver.table.commit([{ gsi: 7, msi: undefined }]);
    expect(driver.pushes).toBe(0);
    driver.table.commit([change]);
    expect(driver.table.commit([{ ...change, msi: { ...change.msi } }])).toEqual([]);
    expect(driver.pushes).toBe(1);
  });

  it('pushes the whole table once after it became unknown, even without a change', () => {
    const driver = new Driver();
    driver.table.commit([
      { gsi: 1, msi: { address: 1n, data: 1 } },
      { gsi: 2, msi: { address: 2n, data: 2 } },
    ]);
    driver.table.markUnknown();
    driver.error = eio;
    expect(() => driver.table.commit([])).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(driver.table.unknown).toBe(true);
    driver.error = 0;
    driver.routes = new Map();
    driver.table.commit([]);
    expect(driver.table.unknown).toBe(false);
    expect(driver.routes.size).toBe(2);
    driver.table.commit([]);
    expect(driver.pushes).toBe(3);
  });
});
