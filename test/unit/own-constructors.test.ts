import { expect, it } from 'vitest';

import { Handle } from '../../lib/handle.js';
import * as library from '../../lib/index.js';

type Constructor = new (...args: unknown[]) => object;

/** What anybody can make, or inherit from. */
const open: readonly unknown[] = [
  library.DirectGuestEventPort,
  library.FailureReports,
  library.GsiAllocator,
  library.GuestMessages,
  library.HypercallDispatcher,
  library.MonitorPages,
  library.MsiRouteTable,
  library.MshvError,
  library.PartitionCalls,
  library.PartitionSynic,
  library.PolledMonitorPages,
  library.SynicPortMap,
  library.SynicPorts,
];

const own = Object.entries({ ...library, Handle })
  .filter(([, value]) => typeof value === 'function' && !open.includes(value))
  .map(([name, value]) => [name, value as unknown as Constructor] as const);

it.each(own)('%s is made by the library alone', (name, Class) => {
  class Inheriting extends Class {}
  for (const construct of [
    () => new Class(),
    () => new Class(Symbol('mshv'), 1),
    () => new Inheriting(),
  ]) {
    expect(construct).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ERR_ILLEGAL_CONSTRUCTOR',
        message: expect.stringContaining(name) as unknown,
      }),
    );
  }
});

it('these are fifteen classes', () => {
  expect(own.length).toBe(15);
});
