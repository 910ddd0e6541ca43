import os from 'node:os';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { hypercalls } from '../../../lib/abi/hypercalls.js';
import { partitionProperties } from '../../../lib/abi/properties.js';
import { collectInfo, describeInfo } from '../../../lib/cli/info.js';
import { packageVersion } from '../../../lib/cli/package-version.js';
import { runProgram } from '../../../lib/cli/program.js';
import type { Native } from '../../../lib/native.js';
import { Simulator, type SimulatorOptions } from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { CapturedTerminal, screens, wideLines } from './captured-terminal.js';

let simulator: Simulator;
const use = (options?: SimulatorOptions) => {
  simulator.close();
  simulator = new Simulator(options);
};
beforeEach(() => {
  simulator = new Simulator();
});
afterEach(() => {
  simulator.close();
});

/** A machine whose /dev/mshv is the simulator, or that fails to open it. */
function machine(errno = 0): Native {
  return Object.create(Simulator.native, {
    open: { value: () => (errno === 0 ? Simulator.native.open(simulator.path) : -errno) },
  }) as Native;
}

const files =
  (contents: Readonly<Record<string, string>> = {}) =>
  (path: string) =>
    contents[path];

describe('mshv info', () => {
  it.each(['v1', 'v2'] as const)('tells a %s driver by a partition it does not keep', (driver) => {
    use({ driver });
    const info = collectInfo(machine(), files());
    expect(info.device).toEqual({
      path: '/dev/mshv',
      available: true,
      code: null,
      cause: null,
      reason: null,
      remedy: null,
    });
    expect(info.driver).toEqual({ generation: driver, error: null });
    expect(describeInfo(info, 80)).toContain('/dev/mshv can be opened');
    expect(describeInfo(info, 80)).toContain(`${driver}: creates partitions`);
  });

  /** The machine with a hypervisor that knows these words of its properties, and no others. */
  function knowing(properties: Readonly<Record<number, bigint>>): Native {
    return Object.create(machine(), {
      hypercall: {
        value: (
          _fd: number,
          code: number,
          _reps: number,
          input: Uint8Array,
          output: Uint8Array,
          result: Uint32Array,
        ): number => {
          const property = new DataView(input.buffer, input.byteOffset).getUint32(8, true);
          const value = properties[property];
          if (code === hypercalls.HVCALL_SET_PARTITION_PROPERTY.code || value === undefined) {
            result.set([hvStatusCodes.HV_STATUS_UNKNOWN_PROPERTY, 0]);
            return -5;
          }
          const words = new DataView(output.buffer, output.byteOffset);
          if (output.length > 8) words.setBigUint64(0, 1n, true);
          words.setBigUint64(output.length - 8, value, true);
          return 0;
        },
      },
    }) as Native;
  }

  const unknownHost = {
    processorVendor: null,
    processorFeatures: null,
    xsaveFeatures: null,
    xsaveStates: null,
    maxXsaveDataSize: null,
    clFlushSize: null,
    processorClockFrequency: null,
    physicalAddressWidth: null,
    implementedPhysicalAddressBits: null,
    privilegeFlags: null,
    syntheticFeatures: null,
    assignableSyntheticFeatures: null,
    vmmCapabilities: null,
    compatibilityVersion: null,
    virtualizationFeatures: null,
    integratedScheduler: null,
  };

  it('shows what the host tells of itself', () => {
    const info = collectInfo(
      knowing({
        [partitionProperties.PROCESSOR_VENDOR]: 1n,
        [partitionProperties.PROCESSOR_FEATURES0]: 2n ** 64n - 1n,
        [partitionProperties.PROCESSOR_FEATURES1]: 0x8f7n,
        [partitionProperties.PROCESSOR_XSAVE_FEATURES]: 0x1fn,
        [partitionProperties.XSAVE_STATES]: 7n,
        [partitionProperties.MAX_XSAVE_DATA_SIZE]: 832n,
        [partitionProperties.PROCESSOR_CL_FLUSH_SIZE]: 8n,
        [partitionProperties.PROCESSOR_CLOCK_FREQUENCY]: 2_794_500_000n,
        [partitionProperties.PHYSICAL_ADDRESS_WIDTH]: 46n,
        [partitionProperties.IMPLEMENTED_PHYSICAL_ADDRESS_BITS]: 48n,
        [partitionProperties.PRIVILEGE_FLAGS]: 0x2bb9ff00002e7fn,
        [partitionProperties.SYNTHETIC_PROC_FEATURES]: 0n,
        [partitionProperties.ASSIGNABLE_SYNTHETIC_PROC_FEATURES]: 0b11n,
        [partitionProperties.VMM_CAPABILITIES]: 0b10n,
        [partitionProperties.COMPATIBILITY_VERSION]: 0x609n,
        [partitionProperties.PROCESSOR_VIRTUALIZATION_FEATURES]: 1n,
        [partitionProperties.INTEGRATED_SCHEDULER_ENABLED]: 0n,
      }),
      files(),
    );
    expect(info.host).toEqual({
      processorVendor: 'intel',
      processorFeatures: ['0xffffffffffffffff', '0x8f7'],
      xsaveFeatures: '0x1f',
      xsaveStates: '0x7',
      maxXsaveDataSize: 832,
      clFlushSize: 8,
      processorClockFrequency: '0xa690afa0',
      physicalAddressWidth: 46,
      implementedPhysicalAddressBits: 48,
      privilegeFlags: '0x2bb9ff00002e7f',
      syntheticFeatures: [],
      assignableSyntheticFeatures: ['hypervisor_present', 'hv1'],
      vmmCapabilities: ['vmm_can_provide_overlay_gpfn'],
      compatibilityVersion: 0x609,
      virtualizationFeatures: '0x1',
      integratedScheduler: false,
    });
    expect(JSON.parse(JSON.stringify(info.host))).toEqual(info.host);
    const text = describeInfo(info, 80);
    for (const width of screens) expect(wideLines(describeInfo(info, width), width)).toEqual([]);
    expect(text).toMatch(/^ Processor +intel, 2794.5 MHz, 46-bit physical addresses$/m);
    expect(text).toMatch(/^ Features +0xffffffffffffffff 0x8f7$/m);
    expect(text).toMatch(/^ XSAVE +features 0x1f, states 0x7, 832 bytes$/m);
    expect(text).toMatch(/^ Privileges +0x2bb9ff00002e7f$/m);
    expect(text).toMatch(/^ Assignable +hypervisor_present, hv1$/m);
    expect(text).toMatch(/^ VMM +vmm_can_provide_overlay_gpfn$/m);
  });

  it('is the same table with every feature there is', () => {
    const info = collectInfo(
      knowing({
        [partitionProperties.PROCESSOR_VENDOR]: 77n,
        [partitionProperties.PROCESSOR_XSAVE_FEATURES]: 1n,
        [partitionProperties.ASSIGNABLE_SYNTHETIC_PROC_FEATURES]: 2n ** 64n - 1n,
        [partitionProperties.VMM_CAPABILITIES]: 0n,
      }),
      files(),
    );
    const text = describeInfo(info, 80);
    for (const width of screens) expect(wideLines(describeInfo(info, width), width)).toEqual([]);
    expect(text).toMatch(/^ Processor +vendor 77$/m);
    expect(text).toMatch(/^ XSAVE +features 0x1$/m);
    expect(text).toMatch(/^ VMM +none$/m);
    expect(text.replace(/\s+/g, ' ')).toContain(
      'ring_buffer_message_port_support, flush_guest_physical_address_space',
    );
  });

  it('shows no more of a host that tells nothing', () => {
    const info = collectInfo(knowing({}), files());
    expect(info.host).toEqual(unknownHost);
    expect(describeInfo(info, 80)).not.toMatch(
      /^ (Processor|Features|XSAVE|Privileges|Assignable|VMM)/m,
    );
  });

  it('leaves no descriptor open', () => {
    const native = machine();
    const before = openDescriptors();
    collectInfo(native, files());
    simulator.failNext('MSHV_CREATE_PARTITION', 'ENOMEM');
    collectInfo(native, files());
    expect(openDescriptors()).toBe(before);
  });

  it('says why no partition can be created', () => {
    simulator.failNext('MSHV_CREATE_PARTITION', 'ENOMEM');
    const info = collectInfo(machine(), files());
    expect(info.device.available).toBe(true);
    expect(info.driver).toEqual({
      generation: null,
      error: expect.stringContaining('cannot create a partition: ENOMEM') as string,
    });
    expect(describeInfo(info, 80)).toContain('ENOMEM');
  });

  it.each([
    [13, 'EACCES', 'permission', {}],
    [24, 'EMFILE', 'descriptors', {}],
    [2, 'ENOENT', 'no-node', { '/proc/misc': ' 61 mshv\n' }],
    [2, 'ENOENT', 'unseen', {}],
    [2, 'ENOENT', 'no-hypervisor', { '/proc/cpuinfo': 'flags : fpu\n' }],
    [2, 'ENOENT', 'other-hypervisor', { '/proc/cpuinfo': 'flags : hypervisor\n' }],
    [
      19,
      'ENODEV',
      'ordinary-guest',
      {
        '/sys/class/dmi/id/sys_vendor': 'Microsoft Corporation\n',
        '/proc/modules': 'mshv_root 1 0 - Live 0x0\n',
      },
    ],
    [2, 'ENOENT', 'no-driver', { '/sys/class/dmi/id/sys_vendor': 'Microsoft Corporation\n' }],
    [16, 'EBUSY', 'refused', {}],
  ])('explains errno %i, %s: %s', (errno, code, cause, contents) => {
    const info = collectInfo(machine(errno), files(contents));
    expect(info.device).toEqual({
      path: '/dev/mshv',
      available: false,
      code,
      cause,
      reason: expect.stringMatching(/./) as string,
      remedy: expect.stringMatching(/./) as string,
    });
    expect(info.driver).toBeNull();
    expect(info.host).toBeNull();
    const text = describeInfo(info, 80);
    for (const width of screens) expect(wideLines(describeInfo(info, width), width)).toEqual([]);
    expect(text).toContain(`cannot be opened (${code})`);
    expect(text).toMatch(/^ Why +\S/m);
    expect(text).toMatch(/^ Remedy +\S/m);
  });

  it('knows the limits', () => {
    const limits =
      'Limit    Soft Limit   Hard Limit  Units\nMax open files    1024    4096    files\n';
    const info = collectInfo(machine(), files({ '/proc/self/limits': limits }));
    expect(info.limits).toEqual({
      vpsPerPartition: 256,
      lowestGsi: 1,
      highestGsi: 4095,
      lowestVector: 16,
      highestVector: 255,
      openFiles: 1024,
    });
    expect(collectInfo(machine(), files()).limits.openFiles).toBeNull();
  });

  it('prints the same as JSON, and exits by whether there is a device', async () => {
    const terminal = new CapturedTerminal();
    const status = await runProgram(['info', '--json'], terminal);
    const info = JSON.parse(terminal.stdout.text) as ReturnType<typeof collectInfo>;
    expect(info).toEqual({
      ...collectInfo(),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      arguments: ['info', '--json'],
    });
    expect(info).toMatchObject({
      version: packageVersion(),
      node: process.version,
      kernel: `${os.type()} ${os.release()}`,
      arch: process.arch,
      cpus: os.cpus().length,
    });
    expect(Math.abs(Date.parse(info.date) - Date.now())).toBeLessThan(3_600_000);
    expect(status).toBe(info.device.available ? 0 : 1);
    expect(terminal.stderr.text).toBe('');

    const people = new CapturedTerminal();
    expect(await runProgram(['info'], people)).toBe(status);
    expect(people.stdout.text).toBe(`${describeInfo(info, 80)}\n`);
  });
});
