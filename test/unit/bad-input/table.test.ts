import { describe, expect, it } from 'vitest';

import { constructorsNotForCallers, publicFunctions } from '../public-members.js';
import { classes } from './classes.js';
import { table } from './table.js';

describe('the table', () => {
  /** Functions that take nothing. */
  const withoutArguments = [
    // Of `instanceof`.
    'MshvError.[Symbol.hasInstance]',
    'new GsiAllocator',
    'MsiRouteTable#markUnknown',
    'IrqFdRoute#clearMsi',
    'IrqFdRoute#mask',
    'IrqFdRoute#unmask',
    'IrqFdRoute#takePending',
    'Partition#initialize',
    'Mshv#hostProperties',
    'Partition#share',
    'GuestMemory#share',
    'PageBitmap#[Symbol.iterator]',
    'MappedMemory#unmap',
    'SharedPartition#share',
    'Vp#run',
    'Vp#cancel',
    'Vp#share',
    'StartedRun#stop',
    'StartedRun#ref',
    'StartedRun#unref',
    'PartitionCalls#clearVirtualInterrupt',
    'EventFd#tryRead',
    'EventFd#clone',
    'EventFd#release',
    'EventFd#share',
    'EventFd#ref',
    'EventFd#unref',
    'EventFd#[Symbol.asyncIterator]',
    ...[
      ...['Mshv', 'Partition', 'SharedPartition', 'Vp', 'GuestMemory', 'Doorbell'],
      ...['IrqFdRoute', 'EventFd', 'PartitionSynic', 'DirectGuestEventPort', 'MonitorPages'],
      ...['Interrupt', 'MappedMemory'],
    ].flatMap((name) => [`${name}#close`, `${name}#[Symbol.dispose]`]),
    'PartitionSynic#installIntercepts',
    'PartitionSynic#newGuestEventPort',
    'PartitionSynic#reset',
    'SynicPortMap#reset',
    'GuestMessages#save',
    'GuestMessages#reset',
    'DirectGuestEventPort#interrupt',
    'DirectGuestEventPort#signal',
    'DirectGuestEventPort#clear',
    'Interrupt#deliver',
    'PolledMonitorPages#close',
    ...[
      ...['Partition', 'SharedPartition', 'Vp', 'StartedRun', 'GuestMemory', 'MappedMemory'],
      ...['PageBitmap', 'Doorbell', 'IrqFd', 'IrqFdRoute', 'EventFd', 'PartitionSynic'],
      ...['SynicPorts', 'SynicPortMap', 'GuestMessages', 'DirectGuestEventPort', 'MonitorPages'],
      ...['FailureReports', 'GsiAllocator', 'HypercallDispatcher', 'Mshv', 'MsiRouteTable'],
      ...['Interrupt', 'RegisterPage'],
    ].map((name) => `${name}#[nodejs.util.inspect.custom]`),
  ];

  const inTable = new Set(
    table.flatMap(({ subject, method }) => {
      // Others are known by their interfaces only.
      if (!(subject in classes)) return [];
      const { name } = classes[subject as keyof typeof classes];
      if (method === 'new') return `new ${name}`;
      return subject === name ? `${name}.${method}` : `${name}#${method}`;
    }),
  );

  it('has every function that takes an argument', () => {
    expect(publicFunctions().sort()).toEqual(
      [...inTable, ...withoutArguments, ...constructorsNotForCallers].sort(),
    );
  });

  it('has every option', () => {
    const accepted = / with no other keys than (.*)$/;
    for (const { subject, method, argument } of table) {
      const keys = accepted.exec(argument.accepts)?.[1]?.split(', ') ?? [];
      const names = table
        .filter((row) => row.subject === subject && row.method === method)
        .map((row) => row.argument.name);
      for (const key of keys) expect(names).toContain(`${argument.name}.${key}`);
    }
  });
});
