import { EventFd, Mshv } from '../../../../lib/index.js';
import {
  type Argument,
  addon,
  boolean,
  callback,
  instance,
  integer,
  keyed,
  quantity,
  range,
  required,
  string,
  type,
} from '../argument.js';
import { msi } from '../msi.js';
import { type Row, only, option, rows } from '../row.js';
import { handleEvent } from '../synic.js';

const change = { gsi: 5, msi: { address: 0xfee00000n, data: 0x41 } };

function routeRows(method: 'newRoute' | 'newResampleRoute', others: object, keys: string[]): Row[] {
  const { address, data } = msi('options.msi.', method === 'newResampleRoute');
  return rows(
    'irqfd',
    method,
    [only, keyed('options', ...keys)],
    [option('masked', others), boolean('options.masked')],
    [option('event', others), instance('options.event', 'EventFd', { fd: 3 }, EventFd, Mshv)],
    [option('name', others), string('options.name')],
    [option('msi', others), keyed('options.msi', 'address', 'data')],
    [
      (wrong) =>
        option('msi', others)({ address: wrong, data: method === 'newRoute' ? 0x60 : 0xc060 }),
      address,
    ],
    [(wrong) => option('msi', others)({ address: 0xfee00000n, data: wrong }), data],
  );
}

const notResampled: Argument = {
  name: 'data',
  accepts: "a level-triggered MSI (bit 15) with the route's vector 96",
  wrong: [
    { value: 0x60, error: 'range', shown: '0x60 (vector 96, edge)' },
    { value: 0xc061, error: 'range', shown: '0xc061 (vector 97, level)' },
    { value: 0x41, error: 'range', shown: '0x41 (vector 65, edge)' },
  ],
};

export const irqRows: readonly Row[] = [
  ...routeRows('newRoute', {}, ['msi', 'masked', 'event', 'name']),
  ...routeRows('newResampleRoute', { vector: 0x60 }, ['vector', 'msi', 'masked', 'event', 'name']),
  ...rows(
    'irqfd',
    'newResampleRoute',
    [option('vector'), required(integer('options.vector', 16, 255))],
    [
      (wrong) => [{ vector: 0x60, msi: { address: 0xfee00000n, data: wrong } }],
      { ...notResampled, name: 'options.msi.data' },
    ],
  ),
  ...rows('irqfd', 'batch', [only, callback('record')]),
  ...rows(
    'route',
    'setMsi',
    [(wrong) => [wrong, 0x41], msi('').address],
    [(wrong) => [0xfee00000, wrong], msi('').data],
  ),
  ...rows('resampleRoute', 'setMsi', [(wrong) => [0xfee00000n, wrong], notResampled]),
  ...rows('gsis', 'holder', [only, required(integer('gsi', 1, 4095))]),
  ...rows('gsis', 'allocate', [only, string('holder')]),
  ...rows(
    'gsis',
    'allocateExact',
    [only, required(integer('gsi', 1, 4095))],
    [(wrong) => [7, wrong], string('holder')],
  ),
  ...rows('gsis', 'free', [only, required(integer('gsi', 1, 4095))]),
  ...rows('MsiRouteTable', 'new', [only, callback('push')]),
  ...rows('table', 'get', [only, required(integer('gsi', 1, 4095))]),
  ...rows(
    'table',
    'commit',
    [
      only,
      {
        name: 'changes',
        accepts: 'an array',
        wrong: type(undefined, null, 1, 'ab', {}, new Set([change]), { length: 1, 0: change }),
      },
    ],
    // A right change before the wrong one must not be made either.
    [(wrong) => [[change, wrong]], keyed('change', 'gsi', 'msi')],
    [(wrong) => [[change, { ...change, gsi: wrong }]], required(integer('change.gsi', 1, 4095))],
    [(wrong) => [[change, { gsi: 6, msi: wrong }]], keyed('change.msi', 'address', 'data')],
    [
      (wrong) => [[change, { gsi: 6, msi: { address: wrong, data: 0x41 } }]],
      {
        name: 'change.msi.address',
        accepts: 'a bigint',
        wrong: type(undefined, null, 1, 0xfee00000, '1', {}, [1n]),
      },
      {
        name: 'change.msi.address',
        accepts: 'a bigint or safe integer from 0 to 4294967295',
        wrong: range(-1n, 2n ** 32n, 2n ** 64n),
      },
    ],
    [
      (wrong) => [[change, { gsi: 6, msi: { address: 0n, data: wrong } }]],
      required(integer('change.msi.data', 0, 0xffffffff)),
    ],
  ),
  ...rows(
    'partition',
    'registerDoorbell',
    [only, ...keyed('options', 'gpa', 'size', 'match', 'event', 'name')],
    [
      option('gpa', { size: 8 }),
      required(quantity('options.gpa', 0n, 2n ** 64n - 1n)),
      {
        name: 'options.gpa',
        accepts: 'an address from which 8 bytes end below 2^64',
        wrong: range(2n ** 64n - 8n, 2n ** 64n - 1n),
      },
    ],
    [
      option('size', { gpa: 0x1000 }),
      {
        name: 'options.size',
        accepts: 'one of 0, 1, 2, 4, 8',
        wrong: [...type(null, '4', 4n, {}, true), ...range(3, 16, -1, NaN, 0.5)],
      },
    ],
    ...([0, 1, 2, 4, 8] as const).map((size): [Row['args'], Argument] => [
      option('match', { gpa: 0x1000, size }),
      quantity('options.match', 0n, 2n ** BigInt(8 * (size === 0 ? 8 : size)) - 1n),
    ]),
    [
      option('event', { gpa: 0x1000 }),
      instance('options.event', 'EventFd', { fd: 3 }, EventFd, Mshv),
    ],
    [option('name', { gpa: 0x1000 }), ...string('options.name')],
  ),
  ...rows(
    'Interrupt',
    'fromFunction',
    [only, callback('deliver')],
    [(wrong) => [handleEvent, wrong], ...keyed('options', 'native')],
    [(wrong) => [handleEvent, { native: wrong }], addon('options.native')],
  ),
  ...rows('Interrupt', 'fromEvent', [
    only,
    required(instance('event', 'EventFd', { fd: 3, signal: handleEvent }, EventFd)),
  ]),
];
