import { constants } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';

import { hvStatusCodes, hvStatusErrno } from '../../lib/abi/hv-status.js';
import { hypercalls, type HypercallName } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import { MshvError } from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import { thrownBy } from '../thrown-by.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest } from './partition-for-tests.js';

// The driver's rules for passing hypercalls through (mshv_ioctl_passthru_hvcall), and what becomes of refusals.

const { EBADF, EINVAL, EIO, ENOTTY } = constants.errno;

const guest = await guestSideForTests();

partitionForEachTest(guest);

const everyCall: Readonly<Record<HypercallName, () => unknown>> = {
  HVCALL_GET_PARTITION_PROPERTY: () => partition.property('XSAVE_STATES'),
  HVCALL_SET_PARTITION_PROPERTY: () => {
    partition.setProperty('CPU_WEIGHT', 1);
  },
  HVCALL_INSTALL_INTERCEPT: () => {
    partition.installIntercept({ type: 'hypercall' });
  },
  HVCALL_GET_VP_REGISTERS: () => partition.getRegisters(0, Uint32Array.of(x64Registers.RIP)),
  HVCALL_SET_VP_REGISTERS: () => {
    partition.setRegisters(0, Uint32Array.of(x64Registers.RIP), new BigUint64Array(2));
  },
  HVCALL_TRANSLATE_VIRTUAL_ADDRESS: () => partition.translateGva({ vp: 0, gva: 0 }),
  HVCALL_CLEAR_VIRTUAL_INTERRUPT: () => {
    partition.clearVirtualInterrupt();
  },
  HVCALL_REGISTER_INTERCEPT_RESULT: () => {
    partition.registerCpuidResult({ vp: 0, leaf: 1 });
  },
  HVCALL_ASSERT_VIRTUAL_INTERRUPT: () => {
    partition.requestInterrupt({ vector: 0x41 });
  },
  HVCALL_SIGNAL_EVENT_DIRECT: () => partition.signalEventDirect({ vp: 0, sint: 3, flag: 1 }),
  HVCALL_POST_MESSAGE_DIRECT: () => {
    partition.postMessageDirect({ vp: 0, sint: 5, type: 1 });
  },
  HVCALL_GET_GPA_PAGES_ACCESS_STATES: () => partition.accessStates({ gpa: 0, pages: 1 }),
  HVCALL_GET_VP_CPUID_VALUES: () => partition.cpuidValues({ vp: 0, leaves: [{ eax: 0 }] }),
  HVCALL_GET_PARTITION_PROPERTY_EX: () => partition.propertyEx('VMM_CAPABILITIES'),
};
const names = Object.keys(everyCall) as HypercallName[];

describe('what the hypervisor refuses', () => {
  beforeEach(() => {
    enableSynic(partition, 0);
  });

  it.each(names)('%s says by name, and does nothing', (name) => {
    for (const [statusName, status] of [
      ['HV_STATUS_INVALID_PARAMETER', 5],
      ['HV_STATUS_ACCESS_DENIED', 6],
      ['HV_STATUS_INVALID_VP_STATE', 0x15],
      ['HV_STATUS_INVALID_REGISTER_VALUE', 0x50],
    ] as const) {
      guest.refuse(hypercalls[name].code, status);
      expect(thrownBy(everyCall[name])).toMatchObject({
        name: 'MshvError',
        code: hvStatusErrno(status),
        ioctl: 'MSHV_ROOT_HVCALL',
        hypercall: name,
        hvStatus: { code: status, name: statusName },
      });
    }
    expect(guest.interrupts(partition)).toEqual([]);
  });

  it.each(names.filter((name) => name !== 'HVCALL_GET_GPA_PAGES_ACCESS_STATES'))(
    '%s for lack of memory gets it from the driver, and is done',
    (name) => {
      guest.refuse(hypercalls[name].code, hvStatusCodes.HV_STATUS_INSUFFICIENT_MEMORY, 3);
      expect(everyCall[name]).not.toThrow();
    },
  );
});

describe('passing through', () => {
  const result = new Uint32Array(2);
  const nothing = new Uint8Array(0);
  const call = (
    fd: number,
    name: HypercallName | number,
    input: Uint8Array,
    outputSize = 0,
    reps = 0,
  ): { returned: number; status: number; reps: number; output: Uint8Array } => {
    const output = new Uint8Array(outputSize);
    const code = typeof name === 'number' ? name : hypercalls[name].code;
    result.fill(0xffff);
    const returned = guest.native.hypercall(fd, code, reps, input, output, result);
    return { returned, status: result[0] ?? -1, reps: result[1] ?? -1, output };
  };
  const refused = (returned: number) => ({ returned, status: 0, reps: 0 });
  const registerInput = (vp: number, ...codes: number[]): Uint8Array => {
    const input = new Uint8Array(16 + 4 * codes.length);
    const view = new DataView(input.buffer);
    view.setBigUint64(0, 0xdead_beef_dead_beefn, true);
    view.setUint32(8, vp, true);
    codes.forEach((code, i) => {
      view.setUint32(16 + 4 * i, code, true);
    });
    return input;
  };
  const propertyInput = (code: number): Uint8Array => {
    const input = new Uint8Array(24).fill(0xee);
    new DataView(input.buffer).setUint32(8, code, true);
    return input;
  };
  const vpFd = (index: number): number => {
    const vp = partition.vps[index];
    if (vp === undefined) throw new Error(`no VP ${index}`);
    return vp.fd;
  };
  let device: number;

  beforeEach(() => {
    device = guest.native.open(guest.device.path);
    expect(device).toBeGreaterThanOrEqual(0);
    return () => {
      guest.native.close(device);
    };
  });

  it('refuses codes that are not on the list, and inputs without a partition id', () => {
    for (const code of [0, 0x43, 0x4e, 0x5c, 0x5d, 0x100, 0xffff]) {
      expect(call(partition.fd, code, new Uint8Array(24))).toMatchObject(refused(-EINVAL));
      expect(call(vpFd(0), code, new Uint8Array(24))).toMatchObject(refused(-EINVAL));
    }
    for (const length of [0, 4, 7]) {
      expect(
        call(partition.fd, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(length)),
      ).toMatchObject(refused(-EINVAL));
    }
  });

  it('lets the device read properties, and nothing else', () => {
    for (const name of names) {
      const { input, output, repInput, repOutput, kind } = hypercalls[name];
      const reps = kind === 'rep' ? 1 : 0;
      const { returned, status } = call(
        device,
        name,
        propertyInput(0x60009).subarray(0, 24).length >= input + repInput
          ? propertyInput(0x60009)
          : new Uint8Array(input + repInput),
        output + repOutput,
        reps,
      );
      expect({ name, returned, status }).toEqual({
        name,
        returned: hypercalls[name].device ? 0 : -EINVAL,
        status: 0,
      });
    }
  });

  it('writes the partition id, whatever was there', () => {
    const first = call(partition.fd, 'HVCALL_GET_PARTITION_PROPERTY', propertyInput(0x60009), 8);
    expect(first).toMatchObject({ returned: 0, status: 0, reps: 0 });
    expect(new DataView(first.output.buffer).getBigUint64(0, true)).toBe(
      guest.device.property('PROCESSOR_CLOCK_FREQUENCY'),
    );
  });

  it('leaves it to the hypervisor whether a call has reps', () => {
    const invalid = { status: hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_INPUT, reps: 0 };
    expect(
      call(partition.fd, 'HVCALL_GET_PARTITION_PROPERTY', propertyInput(0x60009), 8, 1),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
    expect(
      call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 16, 0),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
    expect(
      call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 0, 1),
    ).toMatchObject({ returned: -EINVAL, ...invalid });
  });

  it('says how many reps were done, and hands over an output only then', () => {
    const codes = Array.from({ length: 5 }, (_, i) => x64Registers.RAX + i);
    partition.setRegisters(
      1,
      Uint32Array.from(codes),
      BigUint64Array.from({ length: 10 }, (_, i) => BigInt(i % 2 === 0 ? i + 1 : 0)),
    );
    const done = call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(1, ...codes), 80, 5);
    expect(done).toMatchObject({ returned: 0, status: 0, reps: 5 });
    expect([...new BigUint64Array(done.output.buffer)]).toEqual([
      1n,
      0n,
      3n,
      0n,
      5n,
      0n,
      7n,
      0n,
      9n,
      0n,
    ]);
    const none = call(partition.fd, 'HVCALL_GET_VP_REGISTERS', registerInput(9, ...codes), 80, 5);
    expect(none).toMatchObject({
      returned: -EINVAL,
      status: hvStatusCodes.HV_STATUS_INVALID_VP_INDEX,
      reps: 0,
    });
    expect(none.output).toEqual(new Uint8Array(80));
  });

  it('reaches every VP through any VP, and sets no properties there', () => {
    const rip = x64Registers.RIP;
    partition.setRegisters(2, Uint32Array.of(rip), BigUint64Array.of(0x4242n, 0n));
    const other = call(vpFd(0), 'HVCALL_GET_VP_REGISTERS', registerInput(2, rip), 16, 1);
    expect(other.returned).toBe(0);
    expect(new BigUint64Array(other.output.buffer)[0]).toBe(0x4242n);
    expect(call(vpFd(0), 'HVCALL_SET_PARTITION_PROPERTY', propertyInput(0x20003))).toMatchObject(
      refused(-EINVAL),
    );
    for (const name of names) {
      expect(hypercalls[name].vp).toBe(name !== 'HVCALL_SET_PARTITION_PROPERTY');
    }
    const vp = partition.vps[1];
    expect(
      vp?.hypercall({ code: 'HVCALL_GET_PARTITION_PROPERTY', input: propertyInput(0x60009) }),
    ).toEqual(
      partition.hypercall({
        code: 'HVCALL_GET_PARTITION_PROPERTY',
        input: propertyInput(0x60009),
      }),
    );
  });

  it('goes on through a VP when the partition is closed', () => {
    using other = guest.createPartition(1);
    const [vp] = other.vps;
    if (vp === undefined) throw new Error('no VP');
    const kept = guest.native.dup(vp.fd);
    other.close();
    expect(
      call(kept, 'HVCALL_GET_VP_REGISTERS', registerInput(0, x64Registers.RIP), 16, 1),
    ).toMatchObject({ returned: 0, reps: 1 });
    guest.native.close(kept);
  });

  it('is of descriptors of the driver that are this environment’s', () => {
    const event = guest.native.eventfdCreate(0, false);
    expect(call(event, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(8)).returned).toBe(-ENOTTY);
    guest.native.close(event);
    expect(call(9999, 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', new Uint8Array(8)).returned).toBe(-EBADF);
    expect(call(partition.fd, 0x56, new Uint8Array(4097)).returned).toBe(-EINVAL);
    expect(call(partition.fd, 0x44, propertyInput(1), 4097).returned).toBe(-EINVAL);
    expect(call(partition.fd, 0x56, nothing).returned).toBe(-EINVAL);
  });

  it('knows an error by its errno where it has no status of its own', () => {
    guest.refuse(hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, 0x7b);
    expect(call(partition.fd, 0x56, new Uint8Array(8))).toMatchObject({
      returned: -EIO,
      status: 0x7b,
    });
    guest.refuse(hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT.code, 0x7b);
    const error = thrownBy(() => {
      partition.clearVirtualInterrupt();
    });
    expect(error).toBeInstanceOf(MshvError);
    expect(error).toMatchObject({ code: 'EIO', hvStatus: { code: 0x7b, name: 'HV_STATUS_0x7b' } });
  });
});
