import { afterAll, expect, it } from 'vitest';

import { constructorsNotForCallers, publicFunctions } from '../public-members.js';
import { facts } from '../abi/facts.js';
import { describeOperations } from './describe-operations.js';
import { type Tally, tryFaults } from './engine.js';
import { called, calling, entered, memberNames } from './entered.js';
import { statusErrnos } from './errnos.js';
import { FakeDriver } from './fake-driver.js';

const tally: Tally = { operations: 0, steps: 0, faults: 0 };

describeOperations((operation) => tryFaults(() => new FakeDriver(), operation, tally));

it("knows what the hypervisor's statuses become", () => {
  const errnos = [...Object.values(facts.statusToErrno), facts.statusToErrnoDefault];
  expect(new Set(statusErrnos)).toEqual(new Set([...errnos.filter(Boolean), 'ENOTSUP']));
});

it('covers every public member', () => {
  const names = [...memberNames, ...publicFunctions()].filter(
    (name) => !constructorsNotForCallers.includes(name),
  );
  expect(names.filter((name) => !entered.has(name))).toEqual([]);
  expect([...called].filter((name) => !calling.has(name))).toEqual([]);
});

afterAll(() => {
  const { operations, steps, faults } = tally;
  console.log(`${operations} operations × steps × errnos: ${steps} steps, ${faults} faults tried`);
});
