import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Mshv, type Partition } from '../../../lib/index.js';
import { ScriptedGuest, Simulator } from '../../../lib/sim/index.js';

let simulator: Simulator;
let device: Mshv;
let partition: Partition;
let guest: ScriptedGuest;

beforeEach(() => {
  simulator = new Simulator();
  device = simulator.open();
  partition = device.createPartition();
  partition.initialize();
  partition.createVp(0);
  partition.createVp(1);
  guest = simulator.guest(partition, 0);
});
afterEach(() => {
  simulator.close();
});

describe('wrong arguments', () => {
  const type = 'ERR_INVALID_ARG_TYPE';
  const range = 'ERR_OUT_OF_RANGE';
  const value = 'ERR_INVALID_ARG_VALUE';
  /** What is wrong, the argument that is named, the error's code, and the call. */
  type Row = [string, string, string, () => unknown];
  /** The rows of a method for its use of one argument. */
  type Rows = (method: string, use: (value: never) => unknown) => Row[];

  const wrong =
    (argument: string, error: string, ...values: unknown[]): Rows =>
    (method, use) =>
      values.map((value) => [
        `${method}(${inspect(value)})`,
        argument,
        error,
        () => use(value as never),
      ]);
  const both =
    (...all: Rows[]): Rows =>
    (method, use) =>
      all.flatMap((rows) => rows(method, use));
  const integers = (argument: string, least: number, most: number, orName = false): Rows =>
    both(
      wrong(argument, type, 1n, null, {}, true, ...(orName ? [] : ['1'])),
      wrong(argument, range, least - 1, most + 1, least + 0.5, NaN, Infinity),
    );
  const quantities = (argument: string, most: bigint): Rows =>
    both(
      wrong(argument, type, '1', null, {}, true),
      wrong(argument, range, -1n, -1, most + 1n, 0.5, NaN, 2 ** 53),
    );
  const pages = (argument: string): Rows =>
    both(quantities(argument, 2n ** 64n - 1n), wrong(argument, range, 0x1001n, 0x1800));
  const sizes = (...others: number[]): Rows =>
    both(wrong('size', type, '4', 4n, null, undefined), wrong('size', range, 0, 9, 1.5, ...others));
  const perPartition: Rows = (method, use) =>
    wrong('partition', type, {}, 3, null, undefined, { fd: 3 })(method, use);
  const perVp = (method: string, use: (it: never, vp: never) => unknown): Row[] => [
    ...perPartition(method, (it) => use(it, 0 as never)),
    ...integers('vp', 0, 255)(method, (vp) => use(partition as never, vp)),
    // An absent one.
    ...wrong('vp', range, 2)(method, (vp) => use(partition as never, vp)),
  ];

  const rows: Row[] = [
    ['options', 'options', type, () => new Simulator(4 as never)],
    ['a misspelt option', 'options', value, () => new Simulator({ schedular: 'root' } as never)],
    [
      'architecture',
      'options.architecture',
      range,
      () => new Simulator({ architecture: 'riscv64' as never }),
    ],
    [
      'architecture',
      'options.architecture',
      type,
      () => new Simulator({ architecture: 1 as never }),
    ],
    ['scheduler', 'options.scheduler', range, () => new Simulator({ scheduler: 'core' as never })],
    ['scheduler', 'options.scheduler', type, () => new Simulator({ scheduler: 4 as never })],
    [
      'fastInjection',
      'options.fastInjection',
      type,
      () => new Simulator({ fastInjection: 1 as never }),
    ],
    ['driver', 'options.driver', range, () => new Simulator({ driver: 'v3' as never })],
    [
      'registerPage',
      'options.registerPage',
      type,
      () => new Simulator({ registerPage: 'yes' as never }),
    ],
    ['deposits', 'options.deposits', range, () => new Simulator({ deposits: 'never' as never })],
    ['deposits', 'options.deposits', type, () => new Simulator({ deposits: true as never })],
    ...perPartition('doorbells', (it) => simulator.doorbells(it)),
    ...perPartition('memory', (it) => simulator.memory(it)),
    ...perPartition('intercepts', (it) => simulator.intercepts(it)),
    ...perPartition('interceptResults', (it) => simulator.interceptResults(it)),
    ...perVp('guest', (it, vp) => simulator.guest(it, vp)),
    ...perVp('queueMessage', (it, vp) => {
      simulator.queueMessage(it, vp, new Uint8Array(16));
    }),
    ...perPartition('readMemory', (it) => simulator.readMemory(it, 0, 1)),
    ...perPartition('writeMemory', (it) => {
      simulator.writeMemory(it, 0, new Uint8Array(1));
    }),
    ...perPartition('writeMmio', (it) => simulator.writeMmio(it, 0, 1, 0)),
    ...wrong(
      'message',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
      new ArrayBuffer(16),
    )('queueMessage', (message) => {
      simulator.queueMessage(partition, 0, message);
    }),
    ...wrong(
      'message',
      range,
      new Uint8Array(257),
    )('queueMessage', (message) => {
      simulator.queueMessage(partition, 0, message);
    }),
    ...quantities('gpa', 2n ** 64n - 1n)('readMemory', (gpa) =>
      simulator.readMemory(partition, gpa, 1),
    ),
    ...integers(
      'length',
      0,
      2 ** 30,
    )('readMemory', (length) => simulator.readMemory(partition, 0, length)),
    ...quantities('gpa', 2n ** 64n - 1n)('writeMemory', (gpa) => {
      simulator.writeMemory(partition, gpa, new Uint8Array(1));
    }),
    ...wrong(
      'bytes',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
    )('writeMemory', (bytes) => {
      simulator.writeMemory(partition, 0, bytes);
    }),
    ...quantities('gpa', 2n ** 64n - 1n)('writeMmio', (gpa) =>
      simulator.writeMmio(partition, gpa, 1, 0),
    ),
    ...sizes(3, 16)('writeMmio', (size) => simulator.writeMmio(partition, 0, size, 0)),
    ...quantities('value', 0xffffn)('writeMmio', (value) =>
      simulator.writeMmio(partition, 0, 2, value),
    ),
    ...wrong(
      'options',
      type,
      null,
      5,
      '',
      [],
    )('refuse', (options) => {
      simulator.refuse(options);
    }),
    ...wrong('options', value, { hypercall: 1, status: 5, time: 1 })('refuse', (options) => {
      simulator.refuse(options);
    }),
    ...integers(
      'options.hypercall',
      0,
      0xffff,
      true,
    )('refuse', (hypercall) => {
      simulator.refuse({ hypercall, status: 5 });
    }),
    ...wrong(
      'options.hypercall',
      range,
      'HVCALL_NOTHING',
    )('refuse', (hypercall) => {
      simulator.refuse({ hypercall, status: 5 });
    }),
    ...integers(
      'options.status',
      1,
      0xffff,
      true,
    )('refuse', (status) => {
      simulator.refuse({ hypercall: 0x44, status });
    }),
    ...wrong(
      'options.status',
      range,
      'HV_STATUS_NOTHING',
      'HV_STATUS_SUCCESS',
    )('refuse', (status) => {
      simulator.refuse({ hypercall: 0x44, status });
    }),
    ...integers(
      'options.after',
      0,
      2 ** 32 - 1,
    )('refuse', (after) => {
      simulator.refuse({ hypercall: 0x44, status: 5, after });
    }),
    ...integers(
      'options.count',
      0,
      2 ** 32 - 1,
    )('refuse', (count) => {
      simulator.refuse({ hypercall: 0x44, status: 5, count });
    }),
    ...integers(
      'options.reps',
      0,
      4095,
    )('refuse', (reps) => {
      simulator.refuse({ hypercall: 0x44, status: 5, reps });
    }),
    ...integers('port', 0, 0xffff)('out', (port) => guest.out(port, 1, 0)),
    ...sizes(3, 8)('out', (size) => guest.out(1, size, 0)),
    ...integers('value', 0, 0xffff)('out', (value) => guest.out(1, 2, value)),
    ...integers('port', 0, 0xffff)('in', (port) => guest.in(port, 1)),
    ...sizes(3, 8)('in', (size) => guest.in(1, size)),
    ...integers('msr', 0, 0xffff_ffff)('rdmsr', (msr) => guest.rdmsr(msr)),
    ...integers('msr', 0, 0xffff_ffff)('wrmsr', (msr) => guest.wrmsr(msr, 0)),
    ...quantities('value', 2n ** 64n - 1n)('wrmsr', (value) => guest.wrmsr(1, value)),
    ...integers('leaf', 0, 0xffff_ffff)('cpuid', (leaf) => guest.cpuid(leaf)),
    ...integers('subleaf', 0, 0xffff_ffff)('cpuid', (subleaf) => guest.cpuid(1, subleaf)),
    ...wrong('type', range, 'restart')('reset', (kind) => guest.reset(kind)),
    ...wrong('type', type, 1, null, undefined)('reset', (kind) => guest.reset(kind)),
    ...integers('code', 0, 0xffff_ffff)('reset', (code) => guest.reset('reboot', code)),
    ...quantities('control', 2n ** 64n - 1n)('hypercall', (control) => guest.hypercall(control)),
    ...quantities('input', 2n ** 64n - 1n)('hypercall', (input) => guest.hypercall(1, input)),
    ...quantities('output', 2n ** 64n - 1n)('hypercall', (output) => guest.hypercall(1, 2, output)),
    ...quantities('gpa', 2n ** 64n - 1n)('mmioWrite', (gpa) => guest.mmioWrite(gpa, 1, 0)),
    ...sizes(3, 16)('mmioWrite', (size) => guest.mmioWrite(0, size, 0)),
    ...quantities('value', 0xffn)('mmioWrite', (value) => guest.mmioWrite(0, 1, value)),
    ...quantities('gpa', 2n ** 64n - 1n)('mmioRead', (gpa) => guest.mmioRead(gpa, 1)),
    ...sizes(3, 16)('mmioRead', (size) => guest.mmioRead(0, size)),
    ...wrong('setup', type, null, 5, '', [])('enableSynic', (setup) => guest.enableSynic(setup)),
    ...wrong('setup', value, { sint: 2 })('enableSynic', (setup) => guest.enableSynic(setup)),
    ...pages('setup.simp')('enableSynic', (simp) => guest.enableSynic({ simp })),
    ...pages('setup.siefp')('enableSynic', (siefp) => guest.enableSynic({ simp: 0, siefp })),
    ...wrong(
      'setup.sints',
      type,
      null,
      5,
      '',
      [],
    )('enableSynic', (sints) => guest.enableSynic({ simp: 0, sints })),
    ...wrong(
      'setup.sints',
      range,
      { 16: 32 },
      { '-1': 32 },
      { '': 32 },
      { '0x2': 32 },
      { a: 32 },
    )('enableSynic', (sints) => guest.enableSynic({ simp: 0, sints })),
    ...integers(
      'setup.sints[2]',
      16,
      255,
    )('enableSynic', (vector) => guest.enableSynic({ sints: { 1: 32, 2: vector } })),
    ...integers(
      'connectionId',
      0,
      0xffff_ffff,
    )('postMessage', (connection) => guest.postMessage(connection, 1, new Uint8Array(1), 0)),
    ...integers(
      'type',
      0,
      0xffff_ffff,
    )('postMessage', (type) => guest.postMessage(1, type, new Uint8Array(1), 0)),
    ...wrong(
      'payload',
      type,
      '',
      null,
      5,
      [1],
      new Uint32Array(4),
    )('postMessage', (payload) => guest.postMessage(1, 1, payload, 0)),
    ...wrong(
      'payload',
      range,
      new Uint8Array(241),
    )('postMessage', (payload) => guest.postMessage(1, 1, payload, 0)),
    ...quantities('inputGpa', 2n ** 64n - 256n)('postMessage', (gpa) =>
      guest.postMessage(1, 1, new Uint8Array(1), gpa),
    ),
    ...integers(
      'connectionId',
      0,
      0xffff_ffff,
    )('signalEvent', (connection) => guest.signalEvent(connection)),
    ...integers('flag', 0, 0xffff)('signalEvent', (flag) => guest.signalEvent(1, flag)),
    ...pages('simp')('takeMessage', (simp) => guest.takeMessage(simp, 0)),
    ...integers('sint', 0, 15)('takeMessage', (sint) => guest.takeMessage(0, sint)),
    ['partition', 'partition', type, () => simulator.interrupts({ fd: 3 } as never)],
    ['partition', 'partition', type, () => simulator.routes(3 as never)],
    ['partition', 'partition', type, () => simulator.irqFds(undefined as never)],
    ['partition', 'partition', type, () => simulator.watchInterrupts(null as never)],
    [
      'signal',
      'options.signal',
      type,
      () => simulator.watchInterrupts(partition, { signal: {} as never }),
    ],
    [
      'options of watchInterrupts',
      'options',
      value,
      () => simulator.watchInterrupts(partition, { abort: 1 } as never),
    ],
    ['vp', 'vp', type, () => simulator.endOfInterrupt(partition, '0' as never, 0x41)],
    ['vp', 'vp', range, () => simulator.endOfInterrupt(partition, 256, 0x41)],
    ['an absent vp', 'vp', range, () => simulator.endOfInterrupt(partition, 2, 0x41)],
    ['vector', 'vector', range, () => simulator.endOfInterrupt(partition, 0, 256)],
    ['vector', 'vector', range, () => simulator.endOfInterrupt(partition, 0, NaN)],
    [
      'ioctl',
      'ioctl',
      range,
      () => {
        simulator.failNext('MSHV_IRQ' as never, 'EIO');
      },
    ],
    ['ioctl', 'ioctl', type, () => simulator.calls(0x4010b803 as never)],
    [
      'error',
      'error',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'ENOTHING');
      },
    ],
    [
      'error',
      'error',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', -5);
      },
    ],
    [
      'error',
      'error',
      type,
      () => {
        simulator.failNext('MSHV_IRQFD', null as never);
      },
    ],
    [
      'after',
      'options.after',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'EIO', { after: -1 });
      },
    ],
    [
      'count',
      'options.count',
      range,
      () => {
        simulator.failNext('MSHV_IRQFD', 'EIO', { count: 0.5 });
      },
    ],
  ];

  it.each(rows)('%s: names "%s" with %s and changes nothing', (_, argument, code, use) => {
    expect(use).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining(`"${argument}"`) as string,
      }),
    );
    expect(partition.createVp(2).index).toBe(2);
    expect(guest.pending).toBe(0);
  });

  it('are known for every method that takes an argument', () => {
    const without = ['constructor', 'open', 'settle', 'close', 'halt', 'tripleFault'];
    for (const { prototype } of [Simulator, ScriptedGuest]) {
      const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype))
        .filter(([name, { value }]) => typeof value === 'function' && !without.includes(name))
        .map(([name]) => name);
      for (const name of methods) {
        const known = rows.some(
          ([label, , , use]) => label.startsWith(`${name}(`) || String(use).includes(`.${name}(`),
        );
        expect({ name, known }).toEqual({ name, known: true });
      }
    }
  });

  it('refuses a partition of another simulator, or a closed one', () => {
    using other = new Simulator();
    expect(() => other.interrupts(partition)).toThrow(
      expect.objectContaining({ code: range, name: 'RangeError' }),
    );
    partition.close();
    expect(() => simulator.interrupts(partition)).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }),
    );
  });
});
