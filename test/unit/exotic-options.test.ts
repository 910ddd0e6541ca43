import { expect, it } from 'vitest';

import { EventFd } from '../../lib/index.js';
import { integerArgument } from '../../lib/arguments.js';
import { Simulator } from '../../lib/sim/index.js';

it.each([
  new Map([['initial', 1]]),
  new Set(),
  new Date(0),
  [],
  () => undefined,
  new Uint8Array(1),
])('options are no %s', (options) => {
  expect(() => EventFd.create(options as object)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
  );
});

it('-0 is 0', () => {
  expect(Object.is(integerArgument('n', -0, 0, 1), 0)).toBe(true);
});

it('a VP of index -0 is VP 0', () => {
  using simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  expect(Object.is(partition.createVp(-0).index, 0)).toBe(true);
});
