import { afterAll, describe, expect, it } from 'vitest';

import { constructorsNotForCallers, publicFunctions } from '../public-members.js';
import { facts } from '../abi/facts.js';
import { type Tally, tryFaults } from './engine.js';
import { called, calling, entered, memberNames } from './entered.js';
import { statusErrnos } from './errnos.js';
import { FakeDriver } from './fake-driver.js';
import { devices } from './operations/device.js';
import { eventfds } from './operations/eventfd.js';
import { memory } from './operations/memory.js';
import { routes } from './operations/routes.js';
import { quietOperations } from './operations/quiet.js';
import { synics } from './operations/synic.js';
import { vps } from './operations/vps.js';

const tally: Tally = { operations: 0, steps: 0, faults: 0 };

describe.each([
  ['EventFd', eventfds],
  ['Mshv and Partition', devices],
  ['GuestMemory and Doorbell', memory],
  ['IrqFd', routes],
  ['Vp', vps],
  ['SynIC', synics],
  ['what makes no call', quietOperations],
])('%s', (_, operations) => {
  it.each(operations.map((operation) => [operation.name, operation] as const))(
    '%s',
    async (_, operation) => {
      await tryFaults(() => new FakeDriver(), operation, tally);
    },
  );
});

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
