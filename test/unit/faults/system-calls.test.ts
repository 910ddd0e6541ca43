import { afterAll, expect, it } from 'vitest';

import { processThreads } from '../../process-threads.js';
import { describeOperations } from './describe-operations.js';
import { flawless, type Tally, tryFaults } from './engine.js';
import { SimulatedDriver } from './simulated-driver.js';

// The same operations, one level below: the system calls that the addon makes.

const newDriver = (): SimulatedDriver => new SimulatedDriver();
const tally: Tally = { operations: 0, steps: 0, faults: 0 };

describeOperations(
  async (operation) => {
    // Some calls are made by the first that needs them and serve all who come later.
    await flawless(newDriver, operation);
    await tryFaults(newDriver, { ...operation, steps: undefined }, tally);
  },
  // What is arranged for these, slots emptied and register pages valid, is here the guest's to do alone.
  ['SynIC', 'what makes no call'],
);

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
