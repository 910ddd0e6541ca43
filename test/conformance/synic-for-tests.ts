import { beforeEach } from 'vitest';

import {
  type MshvError,
  PartitionSynic,
  type PartitionSynicOptions,
  SynicPorts,
} from '../../lib/index.js';
import type { GuestSide } from '../guest-side.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

let guest: GuestSide;

/** The one of the present test's partition that `useSynic()` made last. */
export let synic: PartitionSynic;
export let ports: SynicPorts;
/** What the test's SynICs have reported. */
export let errors: MshvError[];

/** Gives each test of a file a partition, as `partitionForEachTest()` does, for SynICs. */
export function synicForEachTest(side: GuestSide, vps?: number): void {
  partitionForEachTest(side, vps);
  beforeEach(() => {
    guest = side;
    errors = [];
  });
}

/** Makes a SynIC of the test's partition, without intercepts. */
export function useSynic(options: PartitionSynicOptions = {}): void {
  synic = new PartitionSynic(partition, {
    native: guest.native,
    onError: (error) => errors.push(error),
    ...options,
  });
  ports = new SynicPorts(synic);
}
