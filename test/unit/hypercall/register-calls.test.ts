import { expect, it } from 'vitest';

import { x64Registers } from '../../../lib/abi/x64-registers.js';
import { FakeHost } from '../fake-host.js';
import { vpOf } from '../../vp-of.js';

it('the APIC id that is learned is the one that was written, whoever changes shared memory meanwhile', () => {
  using host = new FakeHost();
  const vp = vpOf(host.partition, 0);
  const values = new BigUint64Array(new SharedArrayBuffer(16));
  values[0] = 40n;
  host.native.hypervisor = () => {
    values[0] = 50n;
    return {};
  };
  host.partition.setRegisters(0, Uint32Array.of(x64Registers.INITIAL_APIC_ID), values);
  expect(values[0]).toBe(50n);
  expect(vp.apicId).toBe(40);
});
