import { afterEach, beforeEach, expect, it } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { hypercalls, type HypercallName } from '../../../lib/abi/hypercalls.js';
import { partitionProperties, type PartitionPropertyName } from '../../../lib/abi/properties.js';
import { MshvError, type Partition } from '../../../lib/index.js';
import { simulatedMachine, type SimulatedMachine } from '../../simulated-machine.js';

// What the tables of lib/abi name the simulator knows.

let machine: SimulatedMachine;
let partition: Partition;

beforeEach(() => {
  machine = simulatedMachine(1);
  ({ partition } = machine);
});

afterEach(() => {
  machine.simulator.close();
});

/** The hypervisor's status; undefined where the driver has not asked it. */
function statusOf(call: () => unknown): number | undefined {
  try {
    call();
    return hvStatusCodes.HV_STATUS_SUCCESS;
  } catch (error) {
    if (error instanceof MshvError) return error.hvStatus?.code;
    throw error;
  }
}

it.each(Object.keys(partitionProperties) as PartitionPropertyName[])(
  'it has the property %s',
  (name) => {
    expect(statusOf(() => partition.property(name))).toBe(hvStatusCodes.HV_STATUS_SUCCESS);
  },
);

it.each(Object.keys(hypercalls) as HypercallName[])('it answers %s', (name) => {
  const { code, kind, input: size, repInput } = hypercalls[name];
  const input = new Uint8Array(size + repInput);
  const reps = kind === 'rep' ? { reps: 1 } : {};
  expect(statusOf(() => partition.hypercall({ code, input, ...reps }))).not.toBeOneOf([
    undefined,
    hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_CODE,
  ]);
});
