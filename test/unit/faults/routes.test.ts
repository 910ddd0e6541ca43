import fc from 'fast-check';
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { type IrqFdRoute, MshvError, type Partition } from '../../../lib/index.js';
import { failAt, type Fault, type RecordedCall } from '../../fake-native.js';
import { openDescriptors } from '../../open-descriptors.js';
import { FakeHost } from '../fake-host.js';
import { edge, everything, type RouteOperation, routeOperations } from './operations/routes.js';
import { purposeOf } from './purpose-of.js';

// Every operation on routes with every one of its system calls failing together with the calls that undo
// the others. The calls are not listed here: each operation is run once to see them.

const { EINTR, EIO, ENOMEM } = constants.errno;
/** A host with an operation's routes and two that the operation is not about. */
class Situation extends FakeHost {
  readonly operation: RouteOperation;
  readonly armedBystander: IrqFdRoute;
  readonly maskedBystander: IrqFdRoute;
  readonly routes: readonly IrqFdRoute[];
  readonly descriptors: number;
  readonly descriptorsAtFirst: number;

  constructor(operation: RouteOperation) {
    const descriptorsAtFirst = openDescriptors();
    super();
    this.descriptorsAtFirst = descriptorsAtFirst;
    this.operation = operation;
    const { irqfd } = this.partition;
    this.armedBystander = irqfd.newRoute({ msi: edge(0x21) });
    this.maskedBystander = irqfd.newRoute({ msi: edge(0x22), masked: true });
    this.routes = [this.armedBystander, this.maskedBystander, ...operation.arrange(this.partition)];
    this.expectAgreement(this.routes);
    this.descriptors = openDescriptors();
  }

  /** Does the operation, with faults. */
  act(fault?: Fault): ReturnType<FakeHost['attempt']> {
    return this.attempt(() => this.operation.act(this.partition, this.routes.slice(2)), fault);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    expect(openDescriptors()).toBe(this.descriptorsAtFirst);
  }
}

const kinds = {
  irqfd: { syscall: 'ioctl', ioctl: 'MSHV_IRQFD' },
  setMsiRouting: { syscall: 'ioctl', ioctl: 'MSHV_SET_MSI_ROUTING' },
  eventfdCreate: { syscall: 'eventfd' },
  dup: { syscall: 'dup' },
} as const;

function kindOf(call: RecordedCall | undefined) {
  const name = call?.name;
  if (name === undefined || !Object.hasOwn(kinds, name)) {
    throw new Error(`no call of a route operation: ${String(name)}`);
  }
  return kinds[name as keyof typeof kinds];
}

/** The calls that an operation makes where nothing fails. */
function flawless(operation: RouteOperation): readonly RecordedCall[] {
  using situation = new Situation(operation);
  return situation.act().calls;
}

/** The calls that an operation makes where one fails: those before, that one, and the undo. */
function callsWith(operation: RouteOperation, step: number): readonly RecordedCall[] {
  using situation = new Situation(operation);
  return situation.act(failAt(ENOMEM, step)).calls;
}

/** The calls to be failed, with a name. */
function stepsOf(calls: readonly RecordedCall[]): [name: string, step: number][] {
  return calls.map(({ name }, step) => [`call ${step + 1} of ${calls.length}, ${name},`, step]);
}

/** The steps after which something is to be undone: the operation, the step, and how many calls there are then. */
const undoSteps = routeOperations.flatMap((operation) =>
  stepsOf(flawless(operation)).flatMap(
    ([name, step]): [string, string, RouteOperation, number, number][] => {
      const withUndo = callsWith(operation, step).length;
      return withUndo > step + 1 ? [[operation.name, name, operation, step, withUndo]] : [];
    },
  ),
);

// One fault each is tried with all others, in addon.test.ts.
it.each(undoSteps)(
  '%s quarantines what it cannot undo where %s fails',
  (_, _name, operation, step, withUndo) => {
    for (let second = step + 1; second < withUndo; second++) {
      expectQuarantine(operation, step, (_, index) =>
        index === step ? ENOMEM : index === second ? EIO : undefined,
      );
    }
    expectQuarantine(operation, step, (_, index) =>
      index === step ? ENOMEM : index > step ? EIO : undefined,
    );
  },
);

/** Does the operation with a fault at `step` and others at the calls that undo the ones before. */
function expectQuarantine(operation: RouteOperation, step: number, fault: Fault): void {
  using situation = new Situation(operation);
  const { native, driver, partition, armedBystander, maskedBystander } = situation;
  const { irqfd } = partition;
  const before = situation.snapshot(situation.routes);
  const { calls, error } = situation.act(fault);

  expect(error).toMatchObject({ code: 'ENOMEM', ...kindOf(calls[step]) });
  const failures = error instanceof MshvError ? error.cause : undefined;
  if (!(failures instanceof AggregateError)) throw new Error('the undo left no cause');
  const failed = calls.filter(({ result }) => result === -EIO);
  expect(failures.errors).toMatchObject(failed.map((call) => ({ code: 'EIO', ...kindOf(call) })));

  // What was never at risk is as it was; the rest is known to be out of order.
  const { routes } = situation.snapshot(situation.routes);
  routes.forEach((route, i) => {
    if (!route.quarantined) expect(route).toEqual(before.routes[i]);
  });
  const open = situation.routes.filter((route) => route.quarantined);
  expect(irqfd.quarantined).toBeGreaterThanOrEqual(Math.max(open.length, 1));
  const lost = irqfd.quarantined - open.length;
  expect(irqfd.size).toBe(before.irqfd.size);
  expect(irqfd.gsisInUse).toBe(before.irqfd.gsisInUse + lost);
  expect(native.violations).toEqual([]);
  for (const { gsi, armed, quarantined, route } of situation.routes) {
    expect(driver.armed.has(gsi)).toBe(armed);
    if (!quarantined) expect(driver.routes.get(gsi)).toEqual(route);
  }
  for (const gsi of driver.armed.keys()) {
    expect(driver.routes.has(gsi)).toBe(true);
  }
  // Closed at once where nobody has got hold of the route: its eventfd ends the irqfd.
  expect(openDescriptors()).toBe(situation.descriptors);

  // The table is pushed whole, once, before anything else is armed, where it could not be restored.
  const unknown = failed.some(({ name }) => name === 'setMsiRouting');
  native.record();
  armedBystander.mask();
  expect(native.count('setMsiRouting')).toBe(0);
  if (unknown)
    for (const gsi of driver.routes.keys()) if (!driver.armed.has(gsi)) driver.routes.delete(gsi);
  if (unknown) {
    // A push that fails again changes nothing and is not tried twice.
    native.record((name) => (name === 'setMsiRouting' ? EINTR : undefined));
    expect(() => {
      maskedBystander.unmask();
    }).toThrow(expect.objectContaining({ code: 'EINTR', ioctl: 'MSHV_SET_MSI_ROUTING' }));
    expect(native.calls).toHaveLength(1);
    expect(maskedBystander).toMatchObject({ masked: true, armed: false, quarantined: false });
    native.record();
  }
  maskedBystander.unmask();
  armedBystander.unmask();
  expect(native.count('setMsiRouting')).toBe(unknown ? 1 : 0);
  for (const { gsi, quarantined, route } of situation.routes) {
    if (!quarantined) expect(driver.routes.get(gsi)).toEqual(route);
  }

  for (const route of open) {
    expect(inspect(route)).toContain("state: 'quarantined'");
    native.record();
    for (const change of [
      () => {
        route.setMsi(0xfee00000n, 0x77);
      },
      () => {
        route.clearMsi();
      },
      () => {
        route.mask();
      },
      () => {
        route.unmask();
      },
      () => route.pending,
      () => route.takePending(),
    ]) {
      expect(change).toThrow(expect.objectContaining({ code: 'ERR_MSHV_QUARANTINED' }));
    }
    expect(native.calls).toEqual([]);
    // One more attempt to disarm it, whatever it was that could not be undone. Nobody hears of it
    // where the driver refuses again.
    native.record(() => (route.gsi % 2 === 0 ? EIO : undefined));
    route.close();
    expect(native.calls.map(purposeOf)).toEqual(['disarm']);
    expect(route.closed).toBe(true);
    expect(route.event.closed).toBe(true);
    expect(driver.armed.has(route.gsi)).toBe(false);
    native.record();
    route.close();
    expect(native.calls.map(purposeOf)).toEqual([]);
  }

  // No GSI that may still be armed has a second owner.
  const taken = new Set(
    situation.routes.filter((route) => !route.closed || route.quarantined).map(({ gsi }) => gsi),
  );
  const fresh = irqfd.batch(() =>
    Array.from({ length: 8 }, () => irqfd.newRoute({ msi: edge(0x50) })),
  );
  for (const { gsi, armed } of fresh) {
    expect(armed).toBe(true);
    expect(taken.has(gsi)).toBe(false);
  }
  expect(native.violations).toEqual([]);
}

describe('partition.close()', () => {
  function close(fault?: Fault) {
    using situation = new Situation(everything);
    const { native, partition, routes } = situation;
    const { calls, error } = situation.attempt(() => {
      partition.close();
    }, fault);
    expect(native.violations).toEqual([]);
    expect(partition.closed).toBe(true);
    expect(native.partitions.size).toBe(0);
    // Whatever the driver has kept of them, nobody can signal it any more.
    for (const { closed, armed, event } of routes) {
      expect([closed, armed, event.closed]).toEqual([true, false, true]);
    }
    expect(partition.irqfd.size).toBe(0);
    expect(partition.irqfd.gsisInUse).toBe(partition.irqfd.quarantined);
    partition.close();
    expect(native.calls).toEqual([]);
    return { calls, error };
  }

  const { calls, error: none } = close();
  const steps = stepsOf(calls);

  it('disarms every route and pushes one empty table', () => {
    expect(none).toBeUndefined();
    const purposes = calls.map(purposeOf);
    expect(purposes).toEqual([...purposes.slice(1).map(() => 'disarm'), 'push']);
    expect(calls.at(-1)?.args[1]).toEqual(new Uint32Array(2));
  });

  it.each(steps)('closes all the same where %s and all after it fail', (_, step) => {
    const { error } = close((_, index) => (index >= step ? EIO : undefined));
    const errors = calls.slice(step).map((call) => ({ code: 'EIO', ...kindOf(call) }));
    expect(error).toMatchObject(
      errors.length === 1
        ? { ...errors[0] }
        : { code: 'ERR_MSHV_UNCLEAN_CLOSE', cause: { errors } },
    );
  });
});

describe('any sequence of operations with any calls failing', () => {
  type Step = (partition: Partition, routes: readonly IrqFdRoute[]) => IrqFdRoute | undefined;

  const on = (at: number, act: (route: IrqFdRoute) => void): Step => {
    return (_, routes) => {
      const route = routes[at % Math.max(routes.length, 1)];
      if (route !== undefined) act(route);
      return undefined;
    };
  };
  const someMsi = fc
    .tuple(fc.integer({ min: 0x30, max: 0x33 }), fc.integer({ min: 0, max: 3 }))
    .map(([vector, vp]) => edge(vector, vp));
  const someStep: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ msi: someMsi, masked: fc.boolean() }, { requiredKeys: [] }).map(
      (options): Step =>
        ({ irqfd }) =>
          irqfd.newRoute(options),
    ),
    fc.tuple(fc.nat(20), someMsi).map(([at, { address, data }]) =>
      on(at, (route) => {
        route.setMsi(address, data);
      }),
    ),
    fc.tuple(fc.nat(20), fc.constantFrom('clearMsi', 'mask', 'unmask', 'close')).map(([at, verb]) =>
      on(at, (route) => {
        route[verb]();
      }),
    ),
  );
  const someOperation = fc.record({
    steps: fc.array(someStep, { minLength: 1, maxLength: 6 }),
    // One for each call in turn; those after the last one succeed.
    fails: fc.array(fc.boolean(), { maxLength: 12 }),
  });

  function perform(
    host: FakeHost,
    { steps, fails }: { steps: Step[]; fails: boolean[] },
    open: IrqFdRoute[],
  ) {
    const { partition } = host;
    const usable = open.filter((route) => !route.quarantined);
    const before = host.snapshot(usable).routes;
    const made: IrqFdRoute[] = [];
    const run = (): void => {
      for (const step of steps) {
        const route = step(partition, open);
        if (route !== undefined) made.push(route);
      }
    };
    const { error } = host.attempt(
      () => {
        if (steps.length === 1) run();
        else partition.irqfd.batch(run);
      },
      (_, index) => (fails[index] === true ? EIO : undefined),
    );
    if (error !== undefined) {
      expect(error).toBeInstanceOf(MshvError);
      host.snapshot(usable).routes.forEach((now, i) => {
        if (!now.quarantined) expect(now).toEqual(before[i]);
      });
    }
    open.push(...made);
  }

  function check({ native, driver, partition: { irqfd } }: FakeHost, open: readonly IrqFdRoute[]) {
    expect(native.violations).toEqual([]);
    for (const gsi of driver.armed.keys()) {
      expect(driver.routes.has(gsi)).toBe(true);
    }
    for (const route of open) {
      expect(driver.armed.has(route.gsi)).toBe(route.armed);
      if (!route.quarantined) {
        expect(route.armed).toBe(route.route !== undefined && !route.masked);
        expect(driver.routes.get(route.gsi)).toEqual(route.route);
      }
    }
    const gsis = open.map(({ gsi }) => gsi);
    expect(new Set(gsis).size).toBe(gsis.length);
    expect(irqfd.size).toBe(open.length);
    const stillOpen = open.filter((route) => route.quarantined).length;
    expect(irqfd.gsisInUse).toBe(irqfd.size + irqfd.quarantined - stillOpen);
  }

  it('leaves every route that is not quarantined as the driver has it', () => {
    fc.assert(
      fc.property(fc.array(someOperation, { maxLength: 30 }), (sequence) => {
        const descriptors = openDescriptors();
        {
          using host = new FakeHost();
          let open: IrqFdRoute[] = [];
          for (const operation of sequence) {
            perform(host, operation, open);
            open = open.filter((route) => !route.closed);
            check(host, open);
          }
        }
        expect(openDescriptors()).toBe(descriptors);
      }),
      { numRuns: 300 },
    );
  });
});
