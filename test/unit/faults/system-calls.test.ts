import { afterAll, describe, expect, it } from 'vitest';

import { processThreads } from '../../process-threads.js';
import { flawless, type Tally, tryFaults } from './engine.js';
import { devices } from './operations/device.js';
import { eventfds } from './operations/eventfd.js';
import { memory } from './operations/memory.js';
import { routes } from './operations/routes.js';
import { vps } from './operations/vps.js';
import { SimulatedDriver } from './simulated-driver.js';

// The same operations, one level below: the system calls that the addon makes.

const newDriver = (): SimulatedDriver => new SimulatedDriver();
const tally: Tally = { operations: 0, steps: 0, faults: 0 };

describe.each([
  ['EventFd', eventfds],
  ['Mshv and Partition', devices],
  ['GuestMemory and Doorbell', memory],
  ['IrqFd', routes],
  ['Vp', vps],
])('%s', (_, operations) => {
  it.each(operations.map((operation) => [operation.name, operation] as const))(
    '%s',
    async (_, operation) => {
      // Some calls are made by the first that needs them and serve all who come later.
      await flawless(newDriver, operation);
      await tryFaults(newDriver, { ...operation, steps: undefined }, tally);
    },
  );
});

it('leaves no thread', () => {
  const ours = [...processThreads().values()].filter((name) => name.startsWith('mshv-'));
  expect(ours).toEqual([]);
});

afterAll(() => {
  const { operations, steps, faults } = tally;
  console.log(
    `${operations} operations × system calls × errnos: ${steps} calls, ${faults} faults tried`,
  );
});
