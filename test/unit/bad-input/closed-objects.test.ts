import { constants } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { openDescriptors } from '../../open-descriptors.js';
import { functionsOf } from '../public-members.js';
import { classes } from './classes.js';
import { cpuidResult, exitOf, read, write } from './exit.js';
import { errorOf, host, subjects, useSubjects } from './subjects.js';

useSubjects();

describe('a closed object', () => {
  const args: ReadonlyMap<string | symbol, unknown[]> = new Map([
    ['createVp', [4]],
    ['allocateMemory', [4096]],
    ['view', [Uint8Array]],
    ['read', [0, 1]],
    ['write', [0, new Uint8Array(1)]],
    ['fill', [0]],
    ['window', [0, 4096]],
    ['unmapMemory', [{ gpa: 0x10000, size: 0x4000 }]],
    ['dirtyPages', [{ gpa: 0x10000, size: 0x4000 }]],
    ['accessedPages', [{ gpa: 0x10000, size: 0x4000, clear: true }]],
    ['registerDoorbell', [{ gpa: 0x1000 }]],
    ['readMemory', [0x10000, new Uint8Array(1)]],
    ['writeMemory', [0x10000, new Uint8Array(1)]],
    ['newResampleRoute', [{ vector: 0x70 }]],
    ['batch', [() => undefined]],
    ['setMsi', [0xfee00000n, 0x51]],
    ['trySetMsi', [0xfee00000n, 0x51]],
    ['watch', [() => undefined]],
    ['hypercall', [{ code: 'HVCALL_GET_PARTITION_PROPERTY', input: new Uint8Array(16) }]],
    ['property', ['SUSPEND']],
    ['setProperty', ['SUSPEND', 0]],
    ['propertyEx', ['VMM_CAPABILITIES']],
    ['installIntercept', [{ type: 'hypercall' }]],
    ['registerCpuidResult', [{ leaf: 1 }]],
    ['registerMsrResult', [{ msr: 1, action: 'fault' }]],
    ['translateGva', [{ vp: 0, gva: 0 }]],
    ['accessStates', [{ gpa: 0, pages: 1 }]],
    ['signalEventDirect', [{ vp: 0, sint: 2, flag: 1 }]],
    ['postMessageDirect', [{ vp: 0, sint: 2, type: 1 }]],
    ['cpuidValues', [{ vp: 0, leaves: [{ eax: 1 }] }]],
    ['requestInterrupt', [{ vector: 0x41 }]],
    ['requestMsi', [0xfee00000, 0x41]],
    ['tryRequestInterrupt', [{ vector: 0x41 }]],
    ['tryRequestMsi', [0xfee00000, 0x41]],
    ['getRegisters', [0, new Uint32Array(1)]],
    ['setRegisters', [0, new Uint32Array(1), new BigUint64Array(2)]],
    ['vp.getRegisters', [['RAX']]],
    ['vp.setRegisters', [{ RAX: 0 }]],
    ['start', [() => undefined]],
    ['getState', ['xsave']],
    ['setState', ['xsave', new Uint8Array(64)]],
    ['completeIoPort', [exitOf('io-port', { ...read, size: 1 }), 0]],
    ['completeMsr', [exitOf('msr', write)]],
    ['completeCpuid', [exitOf('cpuid', read), cpuidResult]],
    ['completeHypercall', [exitOf('hypercall', read), { status: 0 }]],
    ['checkExit', [exitOf('halt', read)]],
    ['skipInstruction', [exitOf('halt', read)]],
    ['get', ['RIP']],
    ['set', ['RIP', 0]],
    ['copyGeneral', [new BigUint64Array(18)]],
  ]);
  const harmless = new Set<string | symbol>([
    'close',
    Symbol.dispose,
    Symbol.asyncIterator,
    'counts',
    inspect.custom,
    'hasVp',
    'mappingAt',
  ]);
  const closings = {
    mshv: () => {
      subjects.mshv.close();
    },
    partition: () => {
      subjects.partition.close();
    },
    calls: () => {
      subjects.partition.close();
    },
    sharedPartition: () => {
      subjects.sharedPartition.close();
    },
    vp: () => {
      subjects.vp.close();
    },
    page: () => {
      subjects.vp.close();
    },
    memory: () => {
      subjects.memory.close();
    },
    irqfd: () => {
      subjects.partition.close();
    },
    route: () => {
      subjects.route.close();
    },
    event: () => {
      subjects.event.close();
    },
  };
  const names = [
    ...(['mshv', 'partition', 'calls', 'sharedPartition', 'vp', 'page'] as const),
    ...(['memory', 'irqfd', 'route', 'event'] as const),
  ];
  const calls = names.flatMap((name) =>
    functionsOf(classes[name].prototype)
      .filter((method) => !harmless.has(method))
      .map((method) => [name, String(method), method] as const),
  );

  it.each(calls)('%s.%s() is ERR_MSHV_CLOSED', async (name, _, method) => {
    closings[name]();
    host.native.record();
    const before = openDescriptors();
    const given =
      method === 'mapMemory'
        ? [subjects.memory, { gpa: 0x100000 }]
        : (args.get(`${name}.${String(method)}`) ?? args.get(method) ?? []);
    expect(await errorOf(subjects[name], method, given)).toMatchObject({
      name: 'MshvError',
      code: 'ERR_MSHV_CLOSED',
      message: expect.stringContaining('is closed') as string,
    });
    expect(openDescriptors()).toBe(before);
    // At most the addon was asked, which knows no descriptor -1.
    for (const call of host.native.calls) {
      expect(call.args[0]).toBe(-1);
      expect(call).toMatchObject({ result: -constants.errno.EBADF });
    }
  });

  it.each(['mshv', 'partition', 'sharedPartition', 'vp', 'memory', 'route', 'event'] as const)(
    '%s.close() again is harmless',
    (name) => {
      closings[name]();
      const before = openDescriptors();
      host.native.record();
      closings[name]();
      expect(host.native.calls).toEqual([]);
      expect(openDescriptors()).toBe(before);
    },
  );

  it.each<[string, () => unknown]>([
    ['partition.fd', () => subjects.partition.fd],
    ['sharedPartition.fd', () => subjects.sharedPartition.fd],
    ['vp.fd', () => subjects.vp.fd],
    ['vp.registerPage', () => subjects.vp.registerPage],
    ['vp.interceptPage', () => subjects.vp.interceptPage],
    ['page.valid', () => subjects.page.valid],
    ['page.dirty', () => subjects.page.dirty],
    ['page.rip', () => subjects.page.rip],
    ['page.rflags', () => subjects.page.rflags],
    ['memory.buffer', () => subjects.memory.buffer],
    ['memory.dataView', () => subjects.memory.dataView],
    ['event.fd', () => subjects.event.fd],
    ['event.pending', () => subjects.event.pending],
    ['route.event.fd', () => subjects.route.event.fd],
    ['route.pending', () => subjects.route.pending],
  ])('%s is ERR_MSHV_CLOSED', (_, get) => {
    expect(get).not.toThrow();
    subjects.partition.close();
    subjects.sharedPartition.close();
    subjects.memory.close();
    subjects.event.close();
    expect(get).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });
});
