import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { collectInfo, describeInfo } from '../../../lib/cli/info.js';
import { runProgram } from '../../../lib/cli/program.js';
import type { Native } from '../../../lib/native.js';
import { Simulator, type SimulatorOptions } from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { CapturedTerminal, wideLines } from './captured-terminal.js';

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
    expect(describeInfo(info)).toContain('/dev/mshv can be opened');
    expect(describeInfo(info)).toContain(`${driver}: creates partitions`);
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
    expect(describeInfo(info)).toContain('ENOMEM');
  });

  it.each([
    [13, 'EACCES', 'permission', {}],
    [24, 'EMFILE', 'descriptors', {}],
    [2, 'ENOENT', 'no-node', { '/proc/misc': ' 61 mshv\n' }],
    [2, 'ENOENT', 'no-hypervisor', {}],
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
    const text = describeInfo(info);
    expect(wideLines(text)).toEqual([]);
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

  it('prints the same as JSON, and exits by whether there is a device', () => {
    const terminal = new CapturedTerminal();
    const status = runProgram(['info', '--json'], terminal);
    const info = JSON.parse(terminal.stdout.text) as ReturnType<typeof collectInfo>;
    expect(info).toEqual(collectInfo());
    expect(status).toBe(info.device.available ? 0 : 1);
    expect(terminal.stderr.text).toBe('');

    const people = new CapturedTerminal();
    expect(runProgram(['info'], people)).toBe(status);
    expect(people.stdout.text).toBe(`${describeInfo(info)}\n`);
  });
});
