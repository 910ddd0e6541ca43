import { constants } from 'node:os';

import { partitionFlags, partitionIsolation } from '../abi/partition.js';
import { systemError } from '../errors.js';
import type { Native } from '../native.js';
import type { CheckedPartition } from './partition-options.js';
import type { DriverGeneration } from './partition.js';

/** How often a creation that a signal interrupted is tried before it is an error. */
const creationAttempts = 5;

/** A new partition's descriptor. A driver that is too old for feature banks (v2) creates it without (v1). */
export function createPartitionFd(
  native: Native,
  device: number,
  options: CheckedPartition,
): { readonly fd: number; readonly generation: DriverGeneration } {
  const { disabledCpuFeatures, disabledXsaveFeatures } = options;
  const flags =
    options.lapic |
    options.x2apic |
    options.gpaSuperPages |
    options.nestedVirtualization |
    options.smt;
  const needsBanks = disabledCpuFeatures !== undefined || disabledXsaveFeatures !== undefined;
  const [bank0, bank1] = disabledCpuFeatures ?? [0n, 0n];
  let generation: DriverGeneration = 'v2';
  let fd = untilUninterrupted(() =>
    native.createPartitionV2(
      device,
      flags | partitionFlags.CPU_AND_XSAVE_FEATURES,
      partitionIsolation.NONE,
      bank0,
      bank1,
      disabledXsaveFeatures ?? 0n,
    ),
  );
  if (fd === -constants.errno.EINVAL && !needsBanks) {
    generation = 'v1';
    fd = untilUninterrupted(() => native.createPartition(device, flags, partitionIsolation.NONE));
  }
  if (fd < 0) {
    throw systemError(
      'create a partition',
      fd,
      { ioctl: 'MSHV_CREATE_PARTITION' },
      fd === -constants.errno.EINVAL && needsBanks
        ? 'the driver refused the features to disable, or is too old to disable any'
        : creationHints.get(fd),
    );
  }
  return { fd, generation };
}

const creationHints = new Map([
  [-constants.errno.EINTR, `signals interrupted it ${creationAttempts} times`],
  [-constants.errno.ENOTTY, 'this is not the mshv device'],
]);

function untilUninterrupted(attempt: () => number): number {
  let result = attempt();
  for (let tries = 1; result === -constants.errno.EINTR && tries < creationAttempts; tries++) {
    result = attempt();
  }
  return result;
}
