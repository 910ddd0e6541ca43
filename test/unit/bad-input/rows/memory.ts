import { GuestMemory } from '../../../../lib/index.js';
import {
  addon,
  boolean,
  instance,
  integer,
  keyed,
  largestWord,
  multiple,
  optional,
  quantity,
  range,
  required,
  string,
  symbol,
  type,
  typedArray,
} from '../argument.js';
import { type Row, only, option, rows } from '../row.js';
import { subjects } from '../subjects.js';
import { memoryToken, token } from '../token.js';

function rangeRows(
  method: string,
  name: string,
  least: bigint,
  most: bigint,
  ...keys: string[]
): Row[] {
  return rows(
    'partition',
    method,
    [only, ...keyed(name, 'gpa', 'size', ...keys)],
    [
      option('gpa', { size: 4096 }),
      required(quantity(`${name}.gpa`, 0n, 2n ** 64n - 4096n)),
      multiple(`${name}.gpa`),
    ],
    [
      option('size', { gpa: 2n ** 64n - least }),
      required(quantity(`${name}.size`, 4096n, most)),
      multiple(`${name}.size`),
    ],
  );
}

const largestMemory = 2n ** 47n;

export const memoryRows: readonly Row[] = [
  ...rows(
    'GuestMemory',
    'allocate',
    [only, required(quantity('size', 4096n, largestMemory)), multiple('size')],
    [(wrong) => [4096, wrong], ...keyed('options', 'shared', 'hugePages', 'native')],
    [(wrong) => [4096, { shared: wrong }], boolean('options.shared')],
    [(wrong) => [4096, { hugePages: wrong }], boolean('options.hugePages')],
    [(wrong) => [4096, { native: wrong }], addon('options.native')],
  ),
  ...(['mshv', 'partition'] as const).flatMap((maker) =>
    rows(
      maker,
      'allocateMemory',
      [only, required(quantity('size', 4096n, largestMemory)), multiple('size')],
      [(wrong) => [4096, wrong], ...keyed('options', 'shared', 'hugePages')],
      [(wrong) => [4096, { shared: wrong }], boolean('options.shared')],
      [(wrong) => [4096, { hugePages: wrong }], boolean('options.hugePages')],
    ),
  ),
  ...rows(
    'GuestMemory',
    'fromFd',
    [only, required(integer('fd', 0, 2 ** 31 - 1))],
    [(wrong) => [0, wrong], ...keyed('options', 'offset', 'size', 'native')],
    [
      (wrong) => [0, { offset: wrong, size: 4096 }],
      quantity('options.offset', 0n, 2n ** 52n),
      multiple('options.offset'),
    ],
    [
      (wrong) => [0, { size: wrong }],
      quantity('options.size', 4096n, largestMemory),
      multiple('options.size'),
    ],
    [(wrong) => [0, { size: 4096, native: wrong }], addon('options.native')],
  ),
  ...rows(
    'GuestMemory',
    'receive',
    [only, token('memory', memoryToken)],
    [
      (wrong) => [{ ...memoryToken, offset: wrong }],
      required(quantity('token.offset', 0n, 2n ** 52n)),
      multiple('token.offset'),
    ],
    [
      (wrong) => [{ ...memoryToken, size: wrong }],
      required(quantity('token.size', 4096n, largestMemory)),
      multiple('token.size'),
    ],
    [(wrong) => [memoryToken, wrong], keyed('options', 'native')],
    [(wrong) => [memoryToken, { native: wrong }], addon('options.native')],
  ),
  ...rows(
    'memory',
    'view',
    [
      only,
      {
        name: 'type',
        accepts: 'the constructor of typed arrays of one kind',
        wrong: type(undefined, null, 'Uint8Array', 1, {}, [], symbol, Array, DataView, Buffer, {
          BYTES_PER_ELEMENT: 1,
        }),
      },
    ],
    [(wrong) => [Uint8Array, wrong], quantity('offset', 0n, 0x10000n)],
    [
      (wrong) => [BigUint64Array, wrong],
      { name: 'offset', accepts: 'a multiple of 8, for BigUint64Array', wrong: range(1, 4, 12n) },
    ],
    [(wrong) => [Uint32Array, 0xfff0, wrong], integer('length', 0, 4)],
    [(wrong) => [Uint32Array, 0x10000, wrong], integer('length', 0, 0)],
  ),
  ...rows(
    'memory',
    'bytes',
    [only, quantity('offset', 0n, 0x10000n)],
    [(wrong) => [0xff00, wrong], integer('length', 0, 0x100)],
  ),
  ...rows(
    'memory',
    'read',
    [(wrong) => [wrong, 1], required(quantity('offset', 0n, 0x10000n))],
    [(wrong) => [0xff00, wrong], required(integer('length', 0, 0x100))],
  ),
  ...rows(
    'memory',
    'write',
    [(wrong) => [wrong, new Uint8Array(1)], required(quantity('offset', 0n, 0x10000n))],
    [
      (wrong) => [0xffff, wrong],
      required(typedArray('bytes', 'Uint8Array')),
      {
        name: 'bytes',
        accepts: 'at most 1 bytes at offset 65535',
        wrong: [2, 4096].map((length) => ({
          value: new Uint8Array(length),
          error: 'range',
          shown: `${length} bytes`,
        })),
      },
    ],
  ),
  ...rows(
    'memory',
    'fill',
    [only, required(integer('value', 0, 255))],
    [(wrong) => [1, wrong], quantity('offset', 0n, 0x10000n)],
    [(wrong) => [1, 0xff00, wrong], integer('length', 0, 0x100)],
  ),
  ...rows(
    'memory',
    'window',
    [(wrong) => [wrong, 4096], required(quantity('offset', 0n, 0xf000n)), multiple('offset')],
    [(wrong) => [0x2000, wrong], required(quantity('size', 4096n, 0xe000n)), multiple('size')],
  ),
  ...rows(
    'partition',
    'mapMemory',
    [
      (wrong) => [wrong, { gpa: 0x100000 }],
      required(instance('memory', 'GuestMemory', new Uint8Array(4096), GuestMemory)),
    ],
    [
      (wrong) => [subjects.memory, wrong],
      ...keyed('options', 'gpa', 'offset', 'size', 'writable', 'executable', 'name'),
    ],
    [
      (wrong) => [subjects.memory, { gpa: wrong }],
      required(quantity('options.gpa', 0n, 2n ** 64n - 4096n)),
      multiple('options.gpa'),
      {
        name: 'options.gpa',
        accepts: 'an address from which 65536 bytes end by 2^64',
        wrong: range(2n ** 64n - 0xf000n, 2n ** 64n - 4096n),
      },
    ],
    [
      (wrong) => [subjects.memory, { gpa: 0x100000, offset: wrong }],
      quantity('options.offset', 0n, 0xf000n),
      multiple('options.offset'),
    ],
    [
      (wrong) => [subjects.memory, { gpa: 0x100000, offset: 0x2000, size: wrong }],
      quantity('options.size', 4096n, 0xe000n),
      multiple('options.size'),
    ],
    [(wrong) => [subjects.memory, { gpa: 0x100000, writable: wrong }], boolean('options.writable')],
    [
      (wrong) => [subjects.memory, { gpa: 0x100000, executable: wrong }],
      boolean('options.executable'),
    ],
    [(wrong) => [subjects.memory, { gpa: 0x100000, name: wrong }], ...string('options.name')],
  ),
  ...rangeRows('unmapMemory', 'range', 0x2000n, 0x2000n),
  ...(['dirtyPages', 'accessedPages'] as const).flatMap((method) => [
    ...rangeRows(method, 'options', 0x2000n, 0x2000n, 'clear'),
    ...rangeRows(method, 'options', 2n ** 64n, 2n ** 40n, 'clear'),
    ...rows('partition', method, [
      option('clear', { gpa: 0x10000, size: 4096 }),
      boolean('options.clear'),
    ]),
  ]),
  ...rows('bitmap', 'has', [only, required(quantity('gpa', 0x10000n, 0x13fffn))]),
  ...rows('partition', 'mappingAt', [only, required(quantity('gpa', 0n, largestWord))]),
  ...rows(
    'partition',
    'readMemory',
    [(wrong) => [wrong, new Uint8Array(1)], required(quantity('gpa', 0n, largestWord))],
    [(wrong) => [0x10000, wrong], required(typedArray('into', 'Uint8Array'))],
  ),
  ...rows(
    'partition',
    'writeMemory',
    [(wrong) => [wrong, new Uint8Array(1)], required(quantity('gpa', 0n, largestWord))],
    [(wrong) => [0x10000, wrong], required(typedArray('bytes', 'Uint8Array'))],
    [(wrong) => [0x10000, new Uint8Array(1), wrong], ...keyed('options', 'asGuest').map(optional)],
    [(wrong) => [0x10000, new Uint8Array(1), { asGuest: wrong }], boolean('options.asGuest')],
  ),
];
