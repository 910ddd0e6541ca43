import { expect } from 'vitest';

import {
  GuestMemory,
  type MshvError,
  PartitionSynic,
  type PartitionSynicOptions,
  SynicPorts,
  type Vp,
} from '../../lib/index.js';
import type { FakeVp } from '../fake-vps.js';
import { openDescriptors } from '../open-descriptors.js';
import { vpOf } from '../vp-of.js';
import { FakeHost } from './fake-host.js';

// The SynIC of a host's partition, one for each test.

export let host: FakeHost;
export let vp: Vp;
export let fake: FakeVp;
export let synic: PartitionSynic;
export let ports: SynicPorts;
export let memory: GuestMemory;
export let errors: MshvError[];

export function create(options: PartitionSynicOptions = {}): void {
  synic = new PartitionSynic(host.partition, {
    native: host.native,
    onError: (error) => errors.push(error),
    ...options,
  });
  ports = new SynicPorts(synic);
}

/** Makes all of them; what it returns ends them. */
export function setUp(): () => void {
  const before = openDescriptors();
  errors = [];
  host = new FakeHost();
  vp = vpOf(host.partition, 0);
  fake = host.native.vps.of(vp.fd);
  memory = GuestMemory.allocate(0x8000, { native: host.native });
  host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000, size: 0x4000 });
  create();
  host.native.record();
  return () => {
    synic[Symbol.dispose]();
    host[Symbol.dispose]();
    memory.close();
    expect(openDescriptors()).toBe(before);
  };
}
