import { constants } from 'node:os';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';

import { translateGvaFlags } from '../../lib/abi/hypercall-outputs.js';
import { hypercalls, type HypercallName } from '../../lib/abi/hypercalls.js';
import { partitionProperties, syntheticProcessorFeatures } from '../../lib/abi/properties.js';
import {
  DirectGuestEventPort,
  Doorbell,
  EventFd,
  FailureReports,
  GsiAllocator,
  GuestMemory,
  type GuestMessagePort,
  GuestMessages,
  HypercallDispatcher,
  hvStatusCodes,
  Interrupt,
  IrqFd,
  IrqFdRoute,
  MappedMemory,
  MonitorPages,
  Mshv,
  MsiRouteTable,
  PageBitmap,
  Partition,
  PartitionCalls,
  PartitionSynic,
  PolledMonitorPages,
  RegisterPage,
  SharedPartition,
  type SynicMonitorAccess,
  SynicPortMap,
  SynicPorts,
  Vp,
  VpRun,
} from '../../lib/index.js';
import { encodeMessage, type EncodableType } from '../../lib/sim/encode-message.js';
import { InterceptMessages } from '../../lib/abi/intercepts.js';
import { registerPageFields, registerPageLayout } from '../../lib/abi/register-page.js';
import { vpStateTypes } from '../../lib/abi/vp-state.js';
import { openDescriptors } from '../open-descriptors.js';
import { FakeHost } from './fake-host.js';
import { constructorsNotForCallers, functionsOf, publicFunctions } from './public-members.js';

// Every argument of every public function, given everything that it does not take. The table says
// what each argument is; the wrong values follow from that. The last tests find what the table lacks.

/** What is there when a function gets its wrong argument. */
interface Subjects {
  Mshv: typeof Mshv;
  EventFd: typeof EventFd;
  MsiRouteTable: typeof MsiRouteTable;
  mshv: Mshv;
  partition: Partition;
  /** The same. */
  calls: PartitionCalls;
  SharedPartition: typeof SharedPartition;
  sharedPartition: SharedPartition;
  Vp: typeof Vp;
  /** VP 0. */
  vp: Vp;
  /** Of VP 1. */
  vpRun: VpRun;
  /** Of VP 0. */
  page: RegisterPage;
  GuestMemory: typeof GuestMemory;
  /** 64 KiB, of which 0x4000 bytes are mapped at GPA 0x10000. */
  memory: GuestMemory;
  mapping: MappedMemory;
  /** Of the pages at GPA 0x10000. */
  bitmap: PageBitmap;
  /** At GPA 0xd0000000, 4 bytes. */
  doorbell: Doorbell;
  irqfd: IrqFd;
  /** Live, GSI 256. */
  route: IrqFdRoute;
  /** GSI 96. */
  resampleRoute: IrqFdRoute;
  event: EventFd;
  gsis: GsiAllocator;
  table: MsiRouteTable;
  PartitionSynic: typeof PartitionSynic;
  synic: PartitionSynic;
  SynicPorts: typeof SynicPorts;
  /** Of `synic`, as all that follow. */
  ports: SynicPorts;
  monitorAccess: SynicMonitorAccess;
  SynicPortMap: typeof SynicPortMap;
  portMap: SynicPortMap;
  HypercallDispatcher: typeof HypercallDispatcher;
  dispatcher: HypercallDispatcher;
  GuestMessages: typeof GuestMessages;
  messages: GuestMessages;
  /** SINT 2 of VP 0. */
  messagePort: GuestMessagePort;
  DirectGuestEventPort: typeof DirectGuestEventPort;
  /** Flag 3 of SINT 2 of VP 0. */
  eventPort: DirectGuestEventPort;
  MonitorPages: typeof MonitorPages;
  monitors: MonitorPages;
  PolledMonitorPages: typeof PolledMonitorPages;
  polledMonitors: PolledMonitorPages;
  Interrupt: typeof Interrupt;
  FailureReports: typeof FailureReports;
  failures: FailureReports;
}

/** What a wrong argument is refused with. */
const refusals = {
  type: { class: TypeError, code: 'ERR_INVALID_ARG_TYPE' },
  value: { class: TypeError, code: 'ERR_INVALID_ARG_VALUE' },
  range: { class: RangeError, code: 'ERR_OUT_OF_RANGE' },
} as const;

/** A value that an argument does not take. */
interface Wrong {
  readonly value: unknown;
  readonly error: keyof typeof refusals;
  /** How the message shows the value, where not as `inspect` does. */
  readonly shown?: string;
}

const type = (...values: unknown[]): Wrong[] =>
  values.map((value) => ({ value, error: 'type' as const }));
const range = (...values: unknown[]): Wrong[] =>
  values.map((value) => ({ value, error: 'range' as const }));

const symbol = Symbol('a symbol');
const largestWord = 2n ** 64n - 1n;

interface Argument {
  /** Its name in messages. */
  readonly name: string;
  /** What messages say it accepts. */
  readonly accepts: string;
  readonly wrong: readonly Wrong[];
  /** Whether it takes 0, as a number: then -0 as well, which is the same. */
  readonly takesZero?: boolean;
}

function integer(name: string, least: number, most: number): Argument {
  return {
    name,
    accepts: `a whole number from ${least} to ${most}`,
    takesZero: least <= 0 && most >= 0,
    wrong: [
      ...type('1', '', null, 1n, {}, [1], true, symbol, () => 1, new Date(0)),
      ...range(NaN, Infinity, -Infinity, least - 1, most + 1, least + 0.5, -1.5, -(2 ** 31)),
      ...range(2 ** 53, 2 ** 64, -(2 ** 53), Number.MAX_VALUE),
    ],
  };
}

function quantity(name: string, least: bigint, most: bigint): Argument {
  return {
    name,
    accepts: `a bigint or safe integer from ${least} to ${most}`,
    wrong: [
      ...type('1', '', null, {}, [1n], true, symbol, () => 1n),
      ...range(NaN, Infinity, -Infinity, -1, -1n, least - 1n, most + 1n, 1.5, 2n ** 64n, 2n ** 70n),
      ...range(2 ** 53, 2 ** 64, Number.MAX_VALUE),
    ],
  };
}

function boolean(name: string): Argument {
  const wrong = type(0, 1, 1n, 'true', '', null, {}, [], symbol, () => true);
  return { name, accepts: 'true or false', wrong };
}

function string(name: string): Argument[] {
  const wrong = type(1, 1n, null, {}, ['a'], true, symbol, () => 'a', '');
  const nulInside = { value: 'a\0b', error: 'range', shown: "'a\\x00b'" } as const;
  return [
    { name, accepts: 'a string that is not empty', wrong },
    { name, accepts: 'a string without NUL characters', wrong: [nulInside] },
  ];
}

function callback(name: string): Argument {
  const wrong = type(undefined, null, '1', 1, 1n, {}, [], true, symbol, Promise.resolve());
  return { name, accepts: 'a function', wrong };
}

/** An `onError`. */
function listener(name: string): Argument {
  return { ...optional(callback(name)), accepts: 'a function or an instance of FailureReports' };
}

function instance(name: string, of: string, ...lookalikes: unknown[]): Argument {
  const wrong = type(null, 1, 1n, 'x', true, {}, [], symbol, () => 1, ...lookalikes);
  return { name, accepts: `an instance of ${of}`, wrong };
}

function addon(name: string): Argument {
  const wrong = type(null, 1, 1n, 'mshv', true, {}, [], symbol, () => 1, { open: () => 3 });
  return { name, accepts: 'an addon of this package', wrong };
}

function choice(name: string, ...choices: string[]): Argument {
  const accepts = `one of ${choices.map((one) => `'${one}'`).join(', ')}`;
  const wrong = [
    ...type(null, 1, 1n, {}, [choices[0]], true, symbol, () => 1),
    ...range('', 'colour', 'Fixed', '0', 'toString', '__proto__').filter(
      ({ value }) => !choices.includes(String(value)),
    ),
  ];
  return { name, accepts, wrong };
}

function array(name: string): Argument {
  const wrong = type(null, 1, 1n, 'text', true, {}, symbol, () => [], new Set(['hv1']), {
    length: 0,
  });
  return { name, accepts: 'an array', wrong };
}

function typedArray(name: string, kind: 'Uint8Array' | 'Uint32Array' | 'BigUint64Array'): Argument {
  const others = {
    Uint8Array: new Uint8ClampedArray(8),
    Uint32Array: new Int32Array(8),
    BigUint64Array: new BigInt64Array(8),
  };
  const wrong = type(null, 1, 1n, 'x', true, {}, [], symbol, () => 1, others[kind]);
  const proxy = new Proxy(new { Uint8Array, Uint32Array, BigUint64Array }[kind](8), {});
  return {
    name,
    accepts: `a ${kind}`,
    wrong: [...wrong, ...type(new ArrayBuffer(8), new DataView(new ArrayBuffer(8)), proxy)],
  };
}

/** An object with these keys, and no others. */
function keyed(name: string, ...keys: string[]): Argument[] {
  const wrong = type(null, 1, 1n, '', 'text', true, symbol, [], () => ({}));
  const unknown = ['colour', `${keys[0] ?? ''}s`, '__proto'].map(
    (key) => ({ value: { [key]: 1 }, error: 'value', shown: `'${key}'` }) as const,
  );
  return [
    { name, accepts: 'an object', wrong },
    { name, accepts: `an object with no other keys than ${keys.join(', ')}`, wrong: unknown },
  ];
}

/** Nothing is wrong too. */
function required(argument: Argument): Argument {
  return { ...argument, wrong: [...argument.wrong, ...type(undefined)] };
}

/** Nothing is not. */
function optional(argument: Argument): Argument {
  return { ...argument, wrong: argument.wrong.filter(({ value }) => value !== undefined) };
}

/** What no MSI may be, whoever takes it: the address and the data. */
function msi(owner: string, resampled = false): { address: Argument[]; data: Argument[] } {
  const data = (accepts: string, ...wrong: [number, string][]): Argument => ({
    name: `${owner}data`,
    accepts,
    wrong: wrong.map(([value, shown]) => ({ value, error: 'range', shown })),
  });
  const address = (accepts: string, ...wrong: [number | bigint, string][]): Argument => ({
    name: `${owner}address`,
    accepts,
    wrong: wrong.map(([value, shown]) => ({ value, error: 'range', shown })),
  });
  const meantForNobody = [
    address(
      'an MSI address with the APIC id of an existing VP as its physical destination in bits 19:12',
      [0xfee04000, '0xfee04000 (no VP has APIC id 4: create it first)'],
      [0xfeefe000n, '0xfeefe000 (no VP has APIC id 254: create it first)'],
    ),
    address('an MSI address with one VP as its physical destination in bits 19:12', [
      0xfeeff000,
      '0xfeeff000 (all VPs)',
    ]),
    address(
      'an MSI address, from 0xfee00000 to 0xfeefffff',
      [0, '0x0'],
      [0xfec00000, '0xfec00000'],
      [0xffffffffn, '0xffffffff'],
    ),
    address('an MSI address in compatibility format, without bit 4', [0xfee00258, '0xfee00258']),
    address('an MSI address without bits 11:5', [0xfee01060n, '0xfee01060']),
  ];
  return {
    address: [
      required(quantity(`${owner}address`, 0n, 2n ** 64n - 1n)),
      address(
        'below 2^32',
        [0x1_fee00000, '0x1fee00000'],
        [0xfee00000_00000000n, '0xfee0000000000000'],
      ),
      ...(process.arch === 'x64' ? meantForNobody : []),
    ],
    data: [
      required(integer(`${owner}data`, 0, 0xffffffff)),
      data(
        `an MSI with delivery mode ${process.arch !== 'x64' ? '0, 1, 2, 4, 5 or 7' : resampled ? '0, 1, 4, 5 or 7' : '0, 1, 4 or 5'} in bits 10:8`,
        [0x0341, '0x341 (mode 3)'],
        [0x0641, '0x641 (mode 6)'],
        [0xfffffe60, '0xfffffe60 (mode 6)'],
      ),
      data(
        'an MSI with a vector from 16 to 255 in bits 7:0',
        [0, '0x0 (vector 0)'],
        [15, '0xf (vector 15)'],
        [0x10f, '0x10f (vector 15)'],
        [0x8000, '0x8000 (vector 0)'],
        [0x12340000, '0x12340000 (vector 0)'],
      ),
    ],
  };
}

interface Row {
  readonly subject: keyof Subjects;
  /** `new` is the constructor. */
  readonly method: string;
  /** The arguments, all right but one. */
  readonly args: (wrong: unknown) => unknown[];
  readonly argument: Argument;
}

function rows(
  subject: keyof Subjects,
  method: string,
  ...positions: [args: Row['args'], ...ofArguments: (Argument | Argument[])[]][]
): Row[] {
  return positions.flatMap(([args, ...ofArguments]) =>
    ofArguments.flat().map((argument) => ({ subject, method, args, argument })),
  );
}

const only = (wrong: unknown): unknown[] => [wrong];
const option =
  (key: string, others: object = {}) =>
  (wrong: unknown): unknown[] => [{ ...others, [key]: wrong }];
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

const shortValues: Argument = {
  name: 'values',
  accepts: 'a BigUint64Array with two words for each of 2 names',
  wrong: [0, 2, 3].map((length) => ({
    value: new BigUint64Array(length),
    error: 'range',
    shown: `${length} words`,
  })),
};

const propertyArguments: readonly Argument[] = [
  {
    ...integer('property', 0, 0xffffffff),
    wrong: range(-1, 0.5, NaN, Infinity, 2 ** 32, Number.MAX_VALUE),
  },
  ...[required(choice('property', ...Object.keys(partitionProperties)))].map((argument) => ({
    ...argument,
    wrong: argument.wrong.filter(({ value }) => typeof value !== 'number'),
  })),
];

function propertyRows(subject: 'calls' | 'mshv'): Row[] {
  return [
    ...rows(subject, 'property', [only, ...propertyArguments]),
    ...rows(
      subject,
      'propertyEx',
      [only, ...propertyArguments],
      [(wrong) => [1, wrong], ...keyed('options', 'argument', 'size')],
      [(wrong) => [1, { argument: wrong }], quantity('options.argument', 0n, 2n ** 64n - 1n)],
      [(wrong) => [1, { size: wrong }], integer('options.size', 1, 4072)],
    ),
  ];
}

/** An object of the caller's making, right but for one method. */
function implementationRows(
  subject: keyof Subjects,
  method: string,
  args: (value: unknown) => unknown[],
  name: string,
  right: object,
  ...methods: string[]
): Row[] {
  const wrong = type(undefined, null, 1, 1n, 'x', true, symbol, () => right);
  return rows(
    subject,
    method,
    [args, { name, accepts: 'an object', wrong }],
    ...methods.map((key): [Row['args'], Argument] => [
      (value) => args({ ...right, [key]: value }),
      callback(`${name}.${key}`),
    ]),
  );
}

/** The same rows, but that some arguments may be absent. */
const orNothing =
  (...names: string[]) =>
  (row: Row): Row =>
    names.includes(row.argument.name) ? { ...row, argument: optional(row.argument) } : row;

const multiple = (name: string): Argument => ({
  name,
  accepts: 'a multiple of 4096',
  wrong: range(4097, 8191n, 5000),
});

function hypercallRows(subject: 'calls' | 'mshv' | 'vp', descriptor: string): Row[] {
  const named = (name: string, ...accepted: [string, ...[unknown, string][]][]): Argument[] =>
    accepted.map(([accepts, ...wrong]) => ({
      name,
      accepts,
      wrong: wrong.map(([value, shown]) => ({ value, error: 'range', shown })),
    }));
  const names = (Object.keys(hypercalls) as HypercallName[]).filter(
    (name) => subject === 'calls' || hypercalls[name][subject === 'vp' ? 'vp' : 'device'],
  );
  const notPassed = { calls: [], vp: [0x45], mshv: [0x45, 0x50] }[subject];
  const property = { code: 'HVCALL_GET_PARTITION_PROPERTY', input: new Uint8Array(16) };
  const registers = { code: 0x50, input: new Uint8Array(24), reps: 2 };
  const bytes = (length: number): [Uint8Array, string] => [
    new Uint8Array(length),
    `${length} bytes`,
  ];
  const repRows = rows(
    subject,
    'hypercall',
    [
      option('input', registers),
      named('options.input', [
        '24 bytes for HVCALL_GET_VP_REGISTERS',
        ...[0, 16, 23, 25, 4096].map(bytes),
      ]),
    ],
    [option('reps', registers), required(integer('options.reps', 1, 2 ** 28))],
    [
      option('outputSize', registers),
      named('options.outputSize', [
        'absent: the output of HVCALL_GET_VP_REGISTERS has 16 bytes for each rep',
        [0, '0'],
        [32, '32'],
      ]),
    ],
  );
  const simpleRows = rows(
    subject,
    'hypercall',
    [only, keyed('options', 'code', 'input', 'reps', 'outputSize')],
    [
      option('code', { input: new Uint8Array(16) }),
      {
        name: 'options.code',
        accepts: `one of ${names.map((name) => `'${name}'`).join(', ')}`,
        wrong: [
          ...type(undefined, null, 1n, {}, [0x44], true, symbol, () => 1),
          ...range('', 'HVCALL_POST_MESSAGE', 'toString'),
        ],
      },
      named('options.code', [
        `a code that the driver passes through on a ${descriptor} descriptor`,
        ...[0, 0x43, 0x5c, 0x10050, -1, 0.5, ...notPassed].map((code): [number, string] => [
          code,
          `0x${code.toString(16)}`,
        ]),
      ]),
    ],
    [
      option('input', property),
      required(typedArray('options.input', 'Uint8Array')),
      named('options.input', [
        '16 to 4096 bytes for HVCALL_GET_PARTITION_PROPERTY',
        ...[0, 8, 15, 4097].map(bytes),
      ]),
    ],
    [
      option('reps', property),
      named('options.reps', [
        'absent: HVCALL_GET_PARTITION_PROPERTY is no rep call',
        [0, '0'],
        [1, '1'],
      ]),
    ],
    [option('outputSize', property), integer('options.outputSize', 1, 8)],
  );
  return [...simpleRows, ...(subject === 'mshv' ? [] : repRows)];
}

// Nobody ever owned these descriptors: arguments are refused before they are looked at.
const offerOf = (descriptors: number): Int32Array =>
  new Int32Array(new SharedArrayBuffer(4 * (2 + descriptors)));
const apicIds = new SharedArrayBuffer(2048);
const partitionToken = { type: 'mshv-partition', offer: offerOf(1), apicIds } as const;
const memoryToken = { type: 'mshv-memory', offer: offerOf(1), offset: 0, size: 4096 } as const;
const vpToken = { type: 'mshv-vp', index: 0, offer: offerOf(3), apicIds } as const;

function token(of: string, valid: { type: string; offer: Int32Array }): Argument {
  const wrong = type(undefined, null, 1, 1n, 'mshv-vp', true, {}, [], symbol, () => valid);
  const damaged = [
    { ...valid, type: 'mshv-other' },
    { ...valid, offer: undefined },
    { ...valid, offer: [...valid.offer] },
    { ...valid, offer: valid.offer.slice() },
    { ...valid, offer: offerOf(valid.offer.length) },
    { ...valid, offer: new Uint32Array(valid.offer.buffer) },
  ];
  return {
    name: 'token',
    accepts: `a token that ${of}.share() returned in this process`,
    wrong: [...wrong, ...type(...damaged)],
  };
}

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

const memoryRows: Row[] = [
  ...rows(
    'GuestMemory',
    'allocate',
    [only, required(quantity('size', 4096n, largestMemory)), multiple('size')],
    [(wrong) => [4096, wrong], ...keyed('options', 'shared', 'hugePages', 'native')],
    [(wrong) => [4096, { shared: wrong }], boolean('options.shared')],
    [(wrong) => [4096, { hugePages: wrong }], boolean('options.hugePages')],
    [(wrong) => [4096, { native: wrong }], addon('options.native')],
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
];

function registerName(name: string): Argument {
  return {
    name,
    accepts: 'the name of a register of x64',
    wrong: [
      ...type(undefined, null, 1, 1n, {}, ['RAX'], true, symbol, () => 'RAX'),
      ...range('', 'rax', 'HV_X64_REGISTER_RAX', 'toString', '__proto__'),
    ],
  };
}

/** Lets VP 0 stop with an exit, which it is to be completed of. */
function stopWith(...[kind, fields]: Parameters<typeof encodeMessage>): unknown {
  const { vp } = subjects;
  host.native.vps.of(vp.fd).queue(encodeMessage(kind, fields));
  const exit = vp.run();
  host.native.record();
  return exit;
}

/** An exit that no VP has stopped with. */
const exitOf = (...[kind, fields]: Parameters<typeof encodeMessage>) =>
  new InterceptMessages(encodeMessage(kind, fields)).current;

function exitArgument(className: string, ...others: EncodableType[]): Argument {
  return required(instance('exit', className, ...others.map((kind) => exitOf(kind, {}))));
}

const absent = (name: string, instruction: string): Argument => ({
  name,
  accepts: `absent: the guest's ${instruction} takes no result`,
  wrong: range(0, 0n, null),
});
const read = { access: 'read', instructionLength: 2 } as const;
const write = { access: 'write', instructionLength: 2 } as const;
const cpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const vpRows: readonly Row[] = [
  ...rows(
    'SharedPartition',
    'receive',
    [only, token('partition', partitionToken)],
    [(wrong) => [partitionToken, wrong], keyed('options', 'native')],
    [(wrong) => [partitionToken, { native: wrong }], addon('options.native')],
  ),
  ...rows(
    'Vp',
    'receive',
    [only, token('vp', vpToken)],
    [(wrong) => [{ ...vpToken, index: wrong }], required(integer('token.index', 0, 255))],
    [(wrong) => [vpToken, wrong], keyed('options', 'native')],
    [(wrong) => [vpToken, { native: wrong }], addon('options.native')],
  ),
  ...rows('vp', 'start', [only, callback('handler')]),
  ...rows(
    'vp',
    'getRegisters',
    [
      only,
      {
        name: 'names',
        accepts: 'an array of register names',
        wrong: type(undefined, null, 1, 'RAX', {}, new Set(['RAX']), { length: 1, 0: 'RAX' }),
      },
    ],
    [(wrong) => [['RIP', wrong]], registerName('names[1]')],
  ),
  ...rows(
    'vp',
    'setRegisters',
    [
      only,
      {
        name: 'values',
        accepts: 'an object with registers by name',
        wrong: type(undefined, null, 1, 1n, 'RAX', true, ['RAX'], symbol, () => ({})),
      },
    ],
    [
      (wrong) => [{ RIP: 0, [String(wrong)]: 0 }],
      {
        name: 'a key of values',
        accepts: 'the name of a register of x64',
        wrong: range('', 'rax', 'toString', '__proto'),
      },
    ],
    // A right value before the wrong one must not be set either.
    [(wrong) => [{ RIP: 0, RAX: wrong }], quantity('RAX', 0n, largestWord)],
    [
      (wrong) => [{ RIP: 0, RAX: wrong }],
      { name: 'RAX', accepts: 'the value of a register', wrong: type(undefined) },
    ],
    [
      (wrong) => [{ XMM0: wrong }],
      {
        name: 'XMM0',
        accepts: `a bigint or safe integer from 0 to ${2n ** 128n - 1n}`,
        wrong: [...type(null, '1', {}), ...range(-1n, 2n ** 128n, 2 ** 53)],
      },
    ],
    [
      (wrong) => [{ CS: wrong }],
      {
        name: 'CS',
        accepts: 'an object with base, limit, selector, attributes',
        wrong: type(null, 1, 1n, 'x', true, symbol, () => 1),
      },
    ],
    [
      (wrong) => [{ CS: { base: 0, limit: wrong, selector: 0, attributes: 0 } }],
      required(integer('CS.limit', 0, 0xffffffff)),
    ],
  ),
  ...rows('vp', 'getState', [only, required(choice('type', ...Object.keys(vpStateTypes)))]),
  ...rows(
    'vp',
    'setState',
    [
      (wrong) => [wrong, new Uint8Array(4096)],
      required(choice('type', ...Object.keys(vpStateTypes))),
    ],
    [(wrong) => ['lapic', wrong], required(typedArray('state', 'Uint8Array'))],
    ...(['lapic', 'simp', 'siefp', 'synthetic-timers'] as const).map(
      (kind): [Row['args'], Argument] => {
        const size = kind === 'synthetic-timers' ? 200 : 4096;
        return [
          (wrong) => [kind, wrong],
          {
            name: 'state',
            accepts: `the ${size} bytes of the ${kind} state`,
            wrong: [0, 1, size - 1, size + 1, 8192].map((length) => ({
              value: new Uint8Array(length),
              error: 'range',
              shown: `${length} bytes`,
            })),
          },
        ];
      },
    ),
  ),
  ...rows(
    'vp',
    'completeIoPort',
    [only, exitArgument('IoPortIntercept', 'msr', 'halt')],
    ...([1, 2, 4] as const).map((size): [Row['args'], Argument] => [
      (wrong) => [stopWith('io-port', { ...read, size }), wrong],
      required(integer('value', 0, 2 ** (8 * size) - 1)),
    ]),
    [(wrong) => [stopWith('io-port', { ...write, size: 1 }), wrong], absent('value', 'OUT')],
  ),
  ...rows(
    'vp',
    'completeMsr',
    [only, exitArgument('MsrIntercept', 'io-port')],
    [(wrong) => [stopWith('msr', read), wrong], required(quantity('value', 0n, largestWord))],
    [(wrong) => [stopWith('msr', write), wrong], absent('value', 'WRMSR')],
  ),
  ...rows(
    'vp',
    'completeCpuid',
    [(wrong) => [wrong, cpuidResult], exitArgument('CpuidIntercept', 'io-port')],
    [
      (wrong) => [stopWith('cpuid', read), wrong],
      keyed('result', 'eax', 'ebx', 'ecx', 'edx'),
      { name: 'result', accepts: 'an object', wrong: type(undefined) },
    ],
    ...(['eax', 'ebx', 'ecx', 'edx'] as const).map((name): [Row['args'], Argument] => [
      (wrong) => [stopWith('cpuid', read), { ...cpuidResult, [name]: wrong }],
      required(integer(`result.${name}`, 0, 0xffffffff)),
    ]),
  ),
  ...rows(
    'vp',
    'completeHypercall',
    [(wrong) => [wrong, { status: 0 }], exitArgument('HypercallIntercept', 'io-port')],
    [
      (wrong) => [stopWith('hypercall', read), wrong],
      // A function gives the result.
      keyed('result', 'status', 'repsCompleted').map((argument) => ({
        ...argument,
        wrong: argument.wrong.filter(({ value }) => typeof value !== 'function'),
      })),
      { name: 'result', accepts: 'an object', wrong: type(undefined) },
    ],
    [
      (wrong) => [stopWith('hypercall', read), { status: wrong }],
      required(integer('result.status', 0, 0xffff)),
    ],
    [
      (wrong) => [stopWith('hypercall', read), { status: 0, repsCompleted: wrong }],
      integer('result.repsCompleted', 0, 0xfff),
    ],
  ),
  ...rows('vp', 'checkExit', [only, required(instance('exit', 'Message', { type: 'hypercall' }))]),
  ...rows('vp', 'skipInstruction', [only, exitArgument('X64Intercept', 'timer-expired')]),
  ...rows('page', 'get', [only, required(choice('name', ...Object.keys(registerPageFields)))]),
  ...rows(
    'page',
    'set',
    [
      (wrong) => [wrong, 0n],
      required(
        choice(
          'name',
          ...Object.entries(registerPageFields).flatMap(([name, { dirty }]) =>
            dirty === 0 ? [] : [name],
          ),
        ),
      ),
    ],
    [(wrong) => ['RAX', wrong], required(quantity('RAX', 0n, largestWord))],
    [
      (wrong) => ['CS', { base: 0n, limit: 0, selector: wrong, attributes: 0 }],
      required(integer('CS.selector', 0, 0xffff)),
    ],
  ),
  ...rows('page', 'copyGeneral', [
    only,
    required(typedArray('out', 'BigUint64Array')),
    {
      name: 'out.length',
      accepts: 'at least 18',
      wrong: [0, 1, 17].map((length) => ({
        value: new BigUint64Array(length),
        error: 'range',
        shown: String(length),
      })),
    },
  ]),
];

const notResampled: Argument = {
  name: 'data',
  accepts: "a level-triggered MSI (bit 15) with the route's vector 96",
  wrong: [
    { value: 0x60, error: 'range', shown: '0x60 (vector 96, edge)' },
    { value: 0xc061, error: 'range', shown: '0xc061 (vector 97, level)' },
    { value: 0x41, error: 'range', shown: '0x41 (vector 65, edge)' },
  ],
};

const noVp = (): boolean => false;
const handleMessage = (): undefined => undefined;
const handleEvent = (): undefined => undefined;
const monitorInfo = { monitorId: 1, latency: 0 };
const emptyQueue = { vtl: 0, vp: 0, sint: 2, messages: [] };
const hypercallDefinition = { code: 1, name: 'HvMine', inputSize: 0, handle: () => 0 };
const noBytes = new Uint8Array();
const optionalMemoryMethods = ['page', 'allocatePage', 'freePage'].map(
  (method) => `options.memory.${method}`,
);
const owner = { setDeliverabilityNotifications: handleEvent };
const messagePartition = { hasVp: noVp, postMessage: () => 0 };
const eventPartition = { hasVp: noVp, signalEvent: noVp };

const connectionId = required(integer('connectionId', 0, 0xffffff));
const minimumVtl = required(integer('minimumVtl', 0, 15));
const ofTarget = {
  vtl: required(integer('vtl', 0, 15)),
  vp: required(integer('vp', 0, 255)),
  sint: required(integer('sint', 0, 15)),
  flag: required(integer('flag', 0, 2047)),
};

/** The VTL, the VP and the SINT that a method begins with. */
function targetRows(subject: keyof Subjects, method: string, ...others: unknown[]): Row[] {
  return rows(
    subject,
    method,
    [(wrong) => [wrong, 0, 2, ...others], ofTarget.vtl],
    [(wrong) => [0, wrong, 2, ...others], ofTarget.vp],
    [(wrong) => [0, 0, wrong, ...others], ofTarget.sint],
  );
}

/** The type and the payload of a message, after `before`. */
function messageRows(
  subject: keyof Subjects,
  method: string,
  args: (...message: unknown[]) => unknown[],
  owner = '',
): Row[] {
  return rows(
    subject,
    method,
    [(wrong) => args(wrong, noBytes), required(integer(`${owner}type`, 1, 0xffffffff))],
    [
      (wrong) => args(1, wrong),
      required(typedArray(`${owner}payload`, 'Uint8Array')),
      {
        name: `${owner}payload`,
        accepts: 'up to 240 bytes',
        wrong: [241, 4096].map((length) => ({
          value: new Uint8Array(length),
          error: 'range',
          shown: `${length} bytes`,
        })),
      },
    ],
  );
}

function addPortRows(subject: 'ports' | 'portMap'): Row[] {
  return [
    ...(['addMessagePort', 'addEventPort'] as const).flatMap((method) =>
      rows(
        subject,
        method,
        [(wrong) => [wrong, 0, { handleMessage, handleEvent }], connectionId],
        [(wrong) => [1, wrong, { handleMessage, handleEvent }], minimumVtl],
      ),
    ),
    ...implementationRows(
      subject,
      'addMessagePort',
      (port) => [1, 0, port],
      'port',
      { handleEvent },
      'handleMessage',
    ),
    ...implementationRows(
      subject,
      'addEventPort',
      (port) => [1, 0, port],
      'port',
      { handleMessage },
      'handleEvent',
    ),
    ...rows(
      subject,
      'addEventPort',
      [
        (wrong) => [1, 0, { handleEvent: wrong, osEvent: subjects.event }],
        optional(callback('port.handleEvent')),
      ],
      [
        (wrong) => [1, 0, { handleEvent, osEvent: wrong }],
        instance('port.osEvent', 'EventFd', { fd: 3, signal: handleEvent }, EventFd),
      ],
      [(wrong) => [1, 0, { handleEvent, flagCount: wrong }], integer('port.flagCount', 1, 2048)],
    ),
  ];
}

function monitorPagesRows(
  constructed: 'MonitorPages' | 'PolledMonitorPages',
  subject: 'monitors' | 'polledMonitors',
): Row[] {
  return [
    ...rows(
      constructed,
      'new',
      [(wrong) => [wrong], required(instance('portMap', 'SynicPortMap', new Map(), SynicPortMap))],
      [(wrong) => [subjects.portMap, wrong], ...keyed('options', 'memory', 'onError')],
      [(wrong) => [subjects.portMap, { onError: wrong }], listener('options.onError')],
    ),
    ...implementationRows(
      constructed,
      'new',
      (memory) => [subjects.portMap, { memory }],
      'options.memory',
      {},
      ...['page', 'allocatePage', 'freePage'],
    ).map(orNothing('options.memory', ...optionalMemoryMethods)),
    ...rows(
      subject,
      'registerMonitor',
      [(wrong) => [wrong, 1, 0], required(integer('monitorId', 0, 127))],
      [(wrong) => [1, wrong, 0], connectionId],
      [(wrong) => [1, 1, wrong], required(integer('latency', 0, 0xffff))],
    ),
    ...rows(
      subject,
      'setMonitorPage',
      [(wrong) => [wrong, 0x1000n], ofTarget.vtl],
      [(wrong) => [0, wrong], quantity('gpa', 0n, largestWord), multiple('gpa')],
    ),
    ...rows(subject, 'allocateMonitorPage', [only, ofTarget.vtl]),
  ];
}

const partitionMethods = [
  ...['hasVp', 'postMessageDirect', 'signalEventDirect', 'getRegisters', 'setRegisters'],
  'installIntercept',
];

const synicRows: readonly Row[] = [
  ...implementationRows(
    'PartitionSynic',
    'new',
    only,
    'partition',
    Object.fromEntries(partitionMethods.map((method) => [method, noVp])),
    ...partitionMethods,
  ),
  ...rows(
    'PartitionSynic',
    'new',
    [
      (wrong) => [subjects.partition, wrong],
      ...keyed(
        'options',
        ...['memory', 'messageBound', 'hostEventDoorbell', 'monitorPages'],
        ...['retargetDeviceInterrupt', 'native', 'onError'],
      ),
    ],
    ...[
      integer('options.messageBound', 1, 65_536),
      optional(callback('options.hostEventDoorbell')),
      array('options.monitorPages'),
      optional(callback('options.retargetDeviceInterrupt')),
      addon('options.native'),
      listener('options.onError'),
    ].map((argument): [Row['args'], Argument] => [
      (wrong) => [subjects.partition, { [argument.name.slice('options.'.length)]: wrong }],
      argument,
    ]),
    [
      (wrong) => [subjects.partition, { monitorPages: [0x1000n, wrong] }],
      required(quantity('options.monitorPages[1]', 0n, largestWord)),
      multiple('options.monitorPages[1]'),
    ],
    [
      (wrong) => [subjects.partition, { memory: { read: noVp }, monitorPages: wrong }],
      {
        name: 'options.monitorPages',
        accepts: 'absent where there is a memory',
        wrong: range([], [0x1000n]),
      },
    ],
    [
      (wrong) => [subjects.sharedPartition, { memory: wrong }],
      {
        name: 'options.memory',
        accepts: 'an object, for a partition without mappings',
        wrong: type(undefined),
      },
    ],
    [
      (wrong) => [subjects.sharedPartition, { memory: { read: noVp }, hostEventDoorbell: wrong }],
      {
        name: 'options.hostEventDoorbell',
        accepts: 'absent: this partition has no doorbells',
        wrong: range(noVp),
      },
    ],
  ),
  ...implementationRows(
    'PartitionSynic',
    'new',
    (memory) => [subjects.partition, { memory }],
    'options.memory',
    { read: noVp },
    ...['read', 'page', 'allocatePage', 'freePage'],
  ).map(orNothing('options.memory', ...optionalMemoryMethods)),
  ...rows('synic', 'attachVp', [only, ofTarget.vp], [(wrong) => [wrong, owner], ofTarget.vp]),
  ...implementationRows(
    'synic',
    'attachVp',
    (wrong) => [1, wrong],
    'owner',
    {},
    'setDeliverabilityNotifications',
  ).map(orNothing('owner')),
  ...implementationRows(
    'synic',
    'handleExit',
    (wrong) => [wrong, exitOf('hypercall', {})],
    'vp',
    {},
    'completeHypercall',
  ),
  ...rows('synic', 'handleExit', [
    (wrong) => [subjects.vp, wrong],
    required(instance('exit', 'Message', { type: 'hypercall' })),
  ]),
  ...rows(
    'synic',
    'newHostEventPort',
    [(wrong) => [wrong, 0, subjects.event], connectionId],
    [(wrong) => [1, wrong, subjects.event], minimumVtl],
    [(wrong) => [1, 0, wrong], required(instance('event', 'EventFd', { fd: 3 }, EventFd))],
  ),
  ...(['synic', 'messages', 'ports'] as const).flatMap((subject) => [
    ...targetRows(subject, 'postMessage', 1, noBytes),
    ...messageRows(subject, 'postMessage', (...message) => [0, 0, 2, ...message]),
  ]),
  ...targetRows('synic', 'newGuestMessagePort'),
  ...targetRows('ports', 'newGuestMessagePort'),
  ...targetRows('messages', 'newPort'),
  ...messageRows('messagePort', 'post', (...message) => message),
  ...rows('messagePort', 'setTargetVp', [only, ofTarget.vp]),
  ...implementationRows(
    'SynicPorts',
    'new',
    only,
    'synic',
    { portMap: new SynicPortMap(), postMessage: noVp, newGuestEventPort: noVp },
    ...['postMessage', 'newGuestEventPort'],
  ),
  ...rows('SynicPorts', 'new', [
    (wrong) => [{ portMap: wrong, postMessage: noVp, newGuestEventPort: noVp }],
    required(instance('synic.portMap', 'SynicPortMap', new Map(), SynicPortMap)),
  ]),
  ...addPortRows('ports'),
  ...addPortRows('portMap'),
  ...rows(
    'ports',
    'addEventPort',
    [(wrong) => [1, 0, { handleEvent }, wrong], ...keyed('monitorInfo', 'monitorId', 'latency')],
    [
      (wrong) => [1, 0, { handleEvent }, { ...monitorInfo, monitorId: wrong }],
      required(integer('monitorInfo.monitorId', 0, 127)),
    ],
    [
      (wrong) => [1, 0, { handleEvent }, { ...monitorInfo, latency: wrong }],
      required(integer('monitorInfo.latency', 0, 0xffff)),
    ],
  ),
  ...rows(
    'ports',
    'newGuestEventPort',
    [(wrong) => [wrong, 0, 0, 2, 3], required(integer('portId', 0, 0xffffff))],
    [(wrong) => [1, wrong, 0, 2, 3], ofTarget.vtl],
    [(wrong) => [1, 0, wrong, 2, 3], ofTarget.vp],
    [(wrong) => [1, 0, 0, wrong, 3], ofTarget.sint],
    [(wrong) => [1, 0, 0, 2, wrong], ofTarget.flag],
    [(wrong) => [1, 0, 0, 2, 3, wrong], ...keyed('monitorInfo', 'monitorId', 'latency')],
    [
      (wrong) => [1, 0, 0, 2, 3, { ...monitorInfo, monitorId: wrong }],
      required(integer('monitorInfo.monitorId', 0, 127)),
    ],
    [
      (wrong) => [1, 0, 0, 2, 3, { ...monitorInfo, latency: wrong }],
      required(integer('monitorInfo.latency', 0, 0xffff)),
    ],
  ),
  ...rows(
    'monitorAccess',
    'setMonitorPage',
    [(wrong) => [wrong, undefined], ofTarget.vtl],
    [(wrong) => [0, wrong], ...keyed('gpas', 'parentToChild', 'childToParent')],
    ...(['parentToChild', 'childToParent'] as const).map((key): [Row['args'], ...Argument[]] => [
      (wrong) => [0, { parentToChild: 0n, childToParent: 0n, [key]: wrong }],
      required(quantity(`gpas.${key}`, 0n, largestWord)),
      multiple(`gpas.${key}`),
    ]),
  ),
  ...rows('monitorAccess', 'allocateMonitorPage', [only, ofTarget.vtl]),
  ...rows(
    'SynicPortMap',
    'new',
    [only, ...keyed('options', 'onError')],
    [option('onError'), listener('options.onError')],
  ),
  ...rows('portMap', 'kind', [only, connectionId]),
  ...rows(
    'portMap',
    'handlePostMessage',
    [(wrong) => [wrong, 1, false, noBytes], ofTarget.vtl],
    [(wrong) => [0, wrong, false, noBytes], required(integer('connectionId', 0, 0xffffffff))],
    [(wrong) => [0, 1, wrong, noBytes], required(boolean('secure'))],
    [(wrong) => [0, 1, false, wrong], required(typedArray('message', 'Uint8Array'))],
    [(wrong) => [0, 1, false, noBytes, wrong], integer('type', 0, 0xffffffff)],
  ),
  ...rows(
    'portMap',
    'handleSignalEvent',
    [(wrong) => [wrong, 1, 0], ofTarget.vtl],
    [(wrong) => [0, wrong, 0], required(integer('connectionId', 0, 0xffffffff))],
    [(wrong) => [0, 1, wrong], required(integer('flag', 0, 0xffff))],
  ),
  ...rows(
    'HypercallDispatcher',
    'new',
    [only, ...keyed('options', 'portMap', 'memory', 'retargetDeviceInterrupt', 'onError')],
    [
      option('portMap', { memory: { read: noVp } }),
      required(instance('options.portMap', 'SynicPortMap', new Map(), SynicPortMap)),
    ],
    ...[optional(callback('options.retargetDeviceInterrupt')), listener('options.onError')].map(
      (argument): [Row['args'], Argument] => [
        (wrong) => [
          {
            portMap: subjects.portMap,
            memory: { read: noVp },
            [argument.name.slice('options.'.length)]: wrong,
          },
        ],
        argument,
      ],
    ),
  ),
  ...implementationRows(
    'HypercallDispatcher',
    'new',
    (memory) => [{ portMap: subjects.portMap, memory }],
    'options.memory',
    {},
    'read',
  ),
  ...rows(
    'dispatcher',
    'add',
    [
      only,
      ...keyed(
        'definition',
        ...['code', 'name', 'inputSize', 'variableHeader', 'repInputSize', 'handle'],
      ),
    ],
    ...[
      required(integer('definition.code', 0, 0xffff)),
      ...string('definition.name'),
      required(integer('definition.inputSize', 0, 4096)),
      boolean('definition.variableHeader'),
      integer('definition.repInputSize', 0, 4096),
      callback('definition.handle'),
    ].map((argument): [Row['args'], Argument] => [
      option(argument.name.slice('definition.'.length), hypercallDefinition),
      argument,
    ]),
  ),
  ...implementationRows('dispatcher', 'dispatch', only, 'hypercall', {}, 'copyFastInput'),
  ...implementationRows(
    'GuestMessages',
    'new',
    only,
    'partition',
    { hasVp: noVp, postMessage: noVp },
    ...['hasVp', 'postMessage'],
  ),
  ...rows(
    'GuestMessages',
    'new',
    [(wrong) => [messagePartition, wrong], ...keyed('options', 'bound', 'onError')],
    [(wrong) => [messagePartition, { bound: wrong }], integer('options.bound', 1, 65_536)],
    [(wrong) => [messagePartition, { onError: wrong }], listener('options.onError')],
  ),
  ...rows('messages', 'attachVp', [(wrong) => [wrong, owner], ofTarget.vp]),
  ...implementationRows(
    'messages',
    'attachVp',
    (wrong) => [1, wrong],
    'owner',
    {},
    'setDeliverabilityNotifications',
  ),
  ...rows(
    'messages',
    'sintsDeliverable',
    [(wrong) => [wrong, 0, 0], ofTarget.vtl],
    [(wrong) => [0, wrong, 0], ofTarget.vp],
    [(wrong) => [0, 0, wrong], required(integer('sints', 0, 0xffff))],
  ),
  ...rows(
    'messages',
    'restore',
    [
      only,
      ...keyed('saved', 'queues'),
      { name: 'saved', accepts: 'an object', wrong: type(undefined) },
    ],
    [option('queues'), required(array('saved.queues'))],
    [
      (wrong) => [{ queues: [emptyQueue, wrong] }],
      ...keyed('saved.queues[1]', 'vtl', 'vp', 'sint', 'messages'),
    ],
    ...(['vtl', 'vp', 'sint'] as const).map((key): [Row['args'], Argument] => [
      (wrong) => [{ queues: [emptyQueue, { ...emptyQueue, [key]: wrong }] }],
      { ...ofTarget[key], name: `saved.queues[1].${key}` },
    ]),
    [
      (wrong) => [{ queues: [emptyQueue, { ...emptyQueue, messages: wrong }] }],
      required(array('saved.queues[1].messages')),
    ],
    [
      (wrong) => [{ queues: [{ ...emptyQueue, messages: [wrong] }] }],
      ...keyed('saved.queues[0].messages[0]', 'type', 'payload'),
    ],
  ),
  ...messageRows(
    'messages',
    'restore',
    (messageType, payload) => [
      { queues: [{ ...emptyQueue, messages: [{ type: messageType, payload }] }] },
    ],
    'saved.queues[0].messages[0].',
  ),
  ...implementationRows(
    'DirectGuestEventPort',
    'new',
    only,
    'partition',
    { hasVp: noVp, signalEvent: noVp },
    ...['hasVp', 'signalEvent'],
  ),
  ...rows(
    'DirectGuestEventPort',
    'new',
    [(wrong) => [eventPartition, wrong], ...keyed('options', 'native', 'onError')],
    [(wrong) => [eventPartition, { native: wrong }], addon('options.native')],
    [(wrong) => [eventPartition, { onError: wrong }], listener('options.onError')],
  ),
  ...targetRows('eventPort', 'set', 0),
  ...rows('eventPort', 'set', [(wrong) => [0, 0, 2, wrong], ofTarget.flag]),
  ...rows('eventPort', 'setTargetVp', [only, ofTarget.vp]),
  ...monitorPagesRows('MonitorPages', 'monitors'),
  ...rows('monitors', 'monitorPage', [only, ofTarget.vtl]),
  ...(['handleWrite', 'handleRead'] as const).flatMap((method) =>
    rows(
      'monitors',
      method,
      [(wrong) => [wrong, noBytes], required(quantity('gpa', 0n, largestWord))],
      [(wrong) => [0, wrong], required(typedArray('bytes', 'Uint8Array'))],
    ),
  ),
  ...rows('monitors', 'poll', [only, required(quantity('now', 0n, largestWord))]),
  ...monitorPagesRows('PolledMonitorPages', 'polledMonitors'),
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
  ...rows('FailureReports', 'new', [only, callback('listener')]),
  ...rows(
    'failures',
    'report',
    [
      (wrong) => [wrong, handleEvent],
      {
        name: 'what',
        accepts: 'an object',
        wrong: type(undefined, null, 1, 1n, '', 'text', true, symbol, () => ({})),
      },
    ],
    [(wrong) => [{}, wrong], callback('makeError')],
  ),
];

const table: readonly Row[] = [
  ...rows(
    'Mshv',
    'open',
    [only, keyed('options', 'path', 'native', 'fastInjection')],
    [option('fastInjection'), boolean('options.fastInjection')],
    [option('path'), string('options.path').slice(0, 1)],
    [option('native'), addon('options.native')],
  ),
  ...rows(
    'mshv',
    'createPartition',
    [
      only,
      keyed(
        'options',
        'lapic',
        'x2apic',
        'gpaSuperPages',
        'nestedVirtualization',
        'smt',
        'disabledCpuFeatures',
        'disabledXsaveFeatures',
        'syntheticFeatures',
        'unimplementedMsrAction',
      ),
    ],
    [option('syntheticFeatures'), array('options.syntheticFeatures')],
    [
      (wrong) => [{ syntheticFeatures: ['hv1', wrong] }],
      required(choice('options.syntheticFeatures[1]', ...Object.keys(syntheticProcessorFeatures))),
    ],
    [
      option('unimplementedMsrAction'),
      choice('options.unimplementedMsrAction', 'fault', 'ignore-write-read-zero'),
    ],
    ...['lapic', 'x2apic', 'gpaSuperPages', 'nestedVirtualization', 'smt'].map(
      (key): [Row['args'], Argument] => [option(key), boolean(`options.${key}`)],
    ),
    [
      option('disabledCpuFeatures'),
      {
        name: 'options.disabledCpuFeatures',
        accepts: 'an array of two banks',
        wrong: type(null, 1, 1n, 'ab', {}, [], [1n], [1n, 2n, 3n], { length: 2 }),
      },
    ],
    [
      (wrong) => [{ disabledCpuFeatures: [wrong, 0n] }],
      required(quantity('options.disabledCpuFeatures[0]', 0n, 2n ** 64n - 1n)),
    ],
    [
      (wrong) => [{ disabledCpuFeatures: [0, wrong] }],
      required(quantity('options.disabledCpuFeatures[1]', 0n, 2n ** 64n - 1n)),
    ],
    [
      option('disabledXsaveFeatures'),
      quantity('options.disabledXsaveFeatures', 0n, 2n ** 64n - 1n),
    ],
  ),
  ...vpRows,
  ...memoryRows,
  ...synicRows,
  ...rows(
    'partition',
    'createVp',
    [only, required(integer('index', 0, 255))],
    [(wrong) => [9, wrong], keyed('options', 'apicId')],
    [(wrong) => [9, { apicId: wrong }], integer('options.apicId', 0, 0xfffffffe)],
  ),
  ...hypercallRows('mshv', 'device'),
  ...hypercallRows('calls', 'partition'),
  ...hypercallRows('vp', 'vp'),
  ...propertyRows('mshv'),
  ...propertyRows('calls'),
  ...rows(
    'calls',
    'setProperty',
    [(wrong) => [wrong, 1], ...propertyArguments],
    [(wrong) => ['SUSPEND', wrong], required(quantity('value', 0n, 2n ** 64n - 1n))],
  ),
  ...rows(
    'calls',
    'installIntercept',
    [
      only,
      ...keyed(
        'intercept',
        ...['type', 'access', 'port', 'first', 'last', 'msr', 'leaf', 'vector', 'registers'],
      ),
    ],
    [
      option('type'),
      required(
        choice(
          'intercept.type',
          ...['io-port', 'io-port-range', 'msr', 'msr-index', 'cpuid', 'global-cpuid', 'exception'],
          ...['mmio', 'hypercall', 'apic-smi', 'apic-init-sipi', 'apic-write', 'apic-eoi'],
          ...['microcode-revision', 'unknown-synic-connection', 'unknown-device-retarget'],
        ),
      ),
    ],
    [
      option('access', { type: 'msr' }),
      choice('intercept.access', 'none', 'read', 'write', 'read-write', 'execute'),
    ],
    [option('port', { type: 'io-port' }), required(integer('intercept.port', 0, 0xffff))],
    [
      option('first', { type: 'io-port-range', last: 0xffff }),
      required(integer('intercept.first', 0, 0xffff)),
    ],
    [
      option('last', { type: 'io-port-range', first: 0 }),
      required(integer('intercept.last', 0, 0xffff)),
    ],
    [
      option('last', { type: 'io-port-range', first: 0x80 }),
      { ...integer('intercept.last', 0x80, 0xffff), wrong: range(0, 0x7f) },
    ],
    [option('msr', { type: 'msr-index' }), required(integer('intercept.msr', 0, 0xffffffff))],
    [option('leaf', { type: 'cpuid' }), required(integer('intercept.leaf', 0, 0xffffffff))],
    [option('vector', { type: 'exception' }), required(integer('intercept.vector', 0, 31))],
    [
      option('registers', { type: 'apic-write' }),
      required(integer('intercept.registers', 0, 0xffffffff)),
    ],
    [
      option('port', { type: 'msr' }),
      { name: 'intercept.port', accepts: "absent with type 'msr'", wrong: range(0, 1, null) },
    ],
  ),
  ...rows(
    'calls',
    'registerCpuidResult',
    [
      only,
      ...keyed(
        'result',
        ...['vp', 'leaf', 'subleaf', 'alwaysOverride', 'eax', 'ebx', 'ecx', 'edx'],
      ),
    ],
    [option('vp', { leaf: 1 }), integer('result.vp', 0, 255)],
    [option('leaf'), required(integer('result.leaf', 0, 0xffffffff))],
    [option('subleaf', { leaf: 1 }), integer('result.subleaf', 0, 0xffffffff)],
    [option('alwaysOverride', { leaf: 1 }), boolean('result.alwaysOverride')],
    ...['eax', 'ebx', 'ecx', 'edx'].flatMap((register): [Row['args'], ...Argument[]][] => [
      [
        option(register, { leaf: 1 }),
        { ...integer(`result.${register}`, 0, 0xffffffff), wrong: range(-1, 1.5, 2 ** 32, NaN) },
        ...keyed(`result.${register}`, 'value', 'mask').map((argument) => ({
          ...argument,
          wrong: argument.wrong.filter(({ value }) => typeof value !== 'number'),
        })),
      ],
      [
        (wrong) => [{ leaf: 1, [register]: { value: wrong, mask: 1 } }],
        required(integer(`result.${register}.value`, 0, 0xffffffff)),
      ],
      [
        (wrong) => [{ leaf: 1, [register]: { value: 1, mask: wrong } }],
        required(integer(`result.${register}.mask`, 0, 0xffffffff)),
      ],
    ]),
  ),
  ...rows(
    'calls',
    'registerMsrResult',
    [only, ...keyed('result', 'vp', 'msr', 'access', 'action')],
    [option('vp', { msr: 1, action: 'fault' }), integer('result.vp', 0, 255)],
    [option('msr', { action: 'fault' }), required(integer('result.msr', 0, 0xffffffff))],
    [
      option('access', { msr: 1, action: 'fault' }),
      choice('result.access', 'read', 'write', 'read-write'),
    ],
    [
      option('action', { msr: 1 }),
      required(choice('result.action', 'fault', 'ignore-write-read-zero')),
    ],
  ),
  ...rows(
    'calls',
    'translateGva',
    [only, ...keyed('options', 'vp', 'gva', 'flags')],
    [option('vp', { gva: 0 }), required(integer('options.vp', 0, 255))],
    [option('gva', { vp: 0 }), required(quantity('options.gva', 0n, 2n ** 64n - 1n))],
    [option('flags', { vp: 0, gva: 0 }), array('options.flags')],
    [
      (wrong) => [{ vp: 0, gva: 0, flags: [wrong] }],
      required(choice('options.flags[0]', ...Object.keys(translateGvaFlags))),
    ],
  ),
  ...rows(
    'calls',
    'accessStates',
    [
      only,
      ...keyed(
        'options',
        ...['gpa', 'pages', 'clearAccessed', 'setAccessed', 'clearDirty', 'setDirty'],
      ),
    ],
    [
      option('gpa', { pages: 1 }),
      required(quantity('options.gpa', 0n, 2n ** 64n - 1n)),
      {
        name: 'options.gpa',
        accepts: 'a multiple of 4096',
        wrong: range(1, 4095n, 2n ** 64n - 1n),
      },
    ],
    [option('pages', { gpa: 0 }), required(integer('options.pages', 1, 2 ** 28))],
    [
      option('pages', { gpa: 2n ** 64n - 4096n }),
      {
        name: 'options.pages',
        accepts: 'a number of pages that ends below 2^64',
        wrong: range(2, 2 ** 28),
      },
    ],
    ...['clearAccessed', 'setAccessed', 'clearDirty', 'setDirty'].map(
      (key): [Row['args'], Argument] => [
        option(key, { gpa: 0, pages: 1 }),
        boolean(`options.${key}`),
      ],
    ),
  ),
  ...rows(
    'calls',
    'signalEventDirect',
    [only, ...keyed('event', 'vp', 'vtl', 'sint', 'flag')],
    [option('vp', { sint: 2, flag: 0 }), required(integer('event.vp', 0, 255))],
    [option('vtl', { vp: 0, sint: 2, flag: 0 }), integer('event.vtl', 0, 15)],
    [option('sint', { vp: 0, flag: 0 }), required(integer('event.sint', 0, 15))],
    [option('flag', { vp: 0, sint: 2 }), required(integer('event.flag', 0, 2047))],
  ),
  ...rows(
    'calls',
    'postMessageDirect',
    [only, ...keyed('message', 'vp', 'vtl', 'sint', 'type', 'payload')],
    [option('vp', { sint: 2, type: 1 }), required(integer('message.vp', 0, 255))],
    [option('vtl', { vp: 0, sint: 2, type: 1 }), integer('message.vtl', 0, 15)],
    [option('sint', { vp: 0, type: 1 }), required(integer('message.sint', 0, 15))],
    [option('type', { vp: 0, sint: 2 }), required(integer('message.type', 1, 0xffffffff))],
    [
      option('payload', { vp: 0, sint: 2, type: 1 }),
      typedArray('message.payload', 'Uint8Array'),
      {
        name: 'message.payload',
        accepts: 'up to 240 bytes',
        wrong: [{ value: new Uint8Array(241), error: 'range', shown: '241 bytes' }],
      },
    ],
  ),
  ...rows(
    'calls',
    'cpuidValues',
    [only, ...keyed('options', 'vp', 'leaves', 'useVpXfemXss', 'applyRegisteredValues')],
    [option('vp', { leaves: [] }), required(integer('options.vp', 0, 255))],
    [option('leaves', { vp: 0 }), required(array('options.leaves'))],
    [option('useVpXfemXss', { vp: 0, leaves: [] }), boolean('options.useVpXfemXss')],
    [
      option('applyRegisteredValues', { vp: 0, leaves: [] }),
      boolean('options.applyRegisteredValues'),
    ],
    [
      (wrong) => [{ vp: 0, leaves: [{ eax: 1 }, wrong] }],
      ...keyed('options.leaves[1]', 'eax', 'ecx', 'xfem', 'xss'),
    ],
    ...(['eax', 'ecx'] as const).map((key): [Row['args'], Argument] => [
      (wrong) => [{ vp: 0, leaves: [{ eax: 1 }, { eax: 1, [key]: wrong }] }],
      integer(`options.leaves[1].${key}`, 0, 0xffffffff),
    ]),
    ...(['xfem', 'xss'] as const).map((key): [Row['args'], Argument] => [
      (wrong) => [{ vp: 0, leaves: [{ eax: 1 }, { eax: 1, [key]: wrong }] }],
      quantity(`options.leaves[1].${key}`, 0n, 2n ** 64n - 1n),
    ]),
  ),
  ...(['requestInterrupt', 'tryRequestInterrupt'] as const).flatMap((name) =>
    rows(
      'calls',
      name,
      [only, keyed('request', 'type', 'vector', 'destination', 'vtl', 'level', 'logical')],
      [
        option('type', { vector: 0x41 }),
        choice(
          'request.type',
          ...['fixed', 'lowest-priority', 'smi', 'nmi', 'init', 'sipi', 'extint'],
          ...['local-int0', 'local-int1'],
        ),
      ],
      [option('vector'), required(integer('request.vector', 0, 255))],
      [option('destination', { vector: 0x41 }), integer('request.destination', 0, 0xffffffff)],
      [option('level', { vector: 0x41 }), boolean('request.level')],
      [option('logical', { vector: 0x41 }), boolean('request.logical')],
      [option('vtl', { vector: 0x41 }), integer('request.vtl', 0, 15)],
    ),
  ),
  // What the other one answers for a guest's values.
  ...rows(
    'calls',
    'requestInterrupt',
    [
      option('vector'),
      { name: 'request.vector', accepts: 'a whole number from 16 to 255', wrong: range(0, 15) },
    ],
    [option('vector', { type: 'nmi' }), required(integer('request.vector', 0, 255))],
    [
      option('destination', { vector: 0x41 }),
      {
        name: 'request.destination',
        accepts: 'the APIC id of an existing VP',
        wrong: range(4, 255, 0xffffffff),
      },
    ],
  ),
  ...rows(
    'calls',
    'requestMsi',
    [(wrong) => [wrong, 0x41], msi('').address],
    [(wrong) => [0xfee00000, wrong], msi('').data],
  ),
  ...(
    [
      ['calls', 'tryRequestMsi'],
      ['route', 'trySetMsi'],
    ] as const
  ).flatMap(([target, name]) =>
    rows(
      target,
      name,
      [(wrong) => [wrong, 0x41], required(quantity('address', 0n, 2n ** 64n - 1n))],
      [(wrong) => [0xfee00000, wrong], required(integer('data', 0, 0xffffffff))],
    ),
  ),
  ...rows('calls', 'hasVp', [only, required(integer('index', 0, 255))]),
  ...rows(
    'calls',
    'getRegisters',
    [(wrong) => [wrong, new Uint32Array(1)], required(integer('vp', 0, 255))],
    [(wrong) => [0, wrong], required(typedArray('names', 'Uint32Array'))],
    [(wrong) => [0, new Uint32Array(1), wrong], typedArray('values', 'BigUint64Array')],
    [(wrong) => [0, new Uint32Array(2), wrong], shortValues],
    [(wrong) => [0, new Uint32Array(1), undefined, wrong], integer('vtl', 0, 15)],
  ),
  ...rows(
    'calls',
    'setRegisters',
    [
      (wrong) => [wrong, new Uint32Array(1), new BigUint64Array(2)],
      required(integer('vp', 0, 255)),
    ],
    [(wrong) => [0, wrong, new BigUint64Array(2)], required(typedArray('names', 'Uint32Array'))],
    [(wrong) => [0, new Uint32Array(1), wrong], required(typedArray('values', 'BigUint64Array'))],
    [(wrong) => [0, new Uint32Array(2), wrong], shortValues],
    [
      () => [0, Uint32Array.of(0, 0x8000c), BigUint64Array.of(0n, 0n, 0xffffffffn, 0n)],
      {
        name: 'values[2]',
        accepts: 'an APIC id from 0 to 4294967294',
        wrong: [{ value: undefined, error: 'range', shown: '4294967295n' }],
      },
    ],
    [(wrong) => [0, new Uint32Array(1), new BigUint64Array(2), wrong], integer('vtl', 0, 15)],
  ),
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
  ...rows(
    'EventFd',
    'create',
    [only, keyed('options', 'initial', 'semaphore', 'native')],
    [option('initial'), integer('options.initial', 0, 2 ** 32 - 1)],
    [option('semaphore'), boolean('options.semaphore')],
    [option('native'), addon('options.native')],
  ),
  ...rows(
    'EventFd',
    'adopt',
    [only, required(integer('fd', 0, 2 ** 31 - 1))],
    [(wrong) => [2 ** 31 - 1, wrong], keyed('options', 'native')],
    [(wrong) => [2 ** 31 - 1, { native: wrong }], addon('options.native')],
  ),
  ...rows('event', 'signal', [only, quantity('n', 1n, 2n ** 64n - 2n)]),
  ...rows(
    'event',
    'wait',
    [only, keyed('options', 'signal')],
    [option('signal'), instance('options.signal', 'AbortSignal', new AbortController())],
  ),
  ...rows('event', 'watch', [only, callback('listener')]),
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
];

/** Calls whatever it is with whatever there is, and returns the error, thrown or by rejection. */
async function errorOf(
  subject: object,
  method: string | symbol,
  args: readonly unknown[],
): Promise<unknown> {
  try {
    const called: unknown = method === 'new' ? subject : Reflect.get(subject, method);
    if (typeof called !== 'function') throw new Error(`there is no ${String(method)}()`);
    const result: unknown =
      method === 'new' ? Reflect.construct(called, args) : Reflect.apply(called, subject, args);
    await result;
  } catch (error) {
    return error;
  }
  throw new Error(`${String(method)}(${shown(args)}) is accepted`);
}

let host: FakeHost;
let subjects: Subjects;
let pushes: number;

beforeEach(() => {
  const before = openDescriptors();
  host = new FakeHost();
  pushes = 0;
  const { irqfd, vps } = host.partition;
  const [vp, running] = vps;
  if (vp === undefined || running === undefined) throw new Error('the host has no VPs');
  host.native.vps.of(vp.fd).pages[0]?.set([1], registerPageLayout.isValid);
  const page = vp.registerPage;
  if (page === undefined) throw new Error('VP 0 has no register page');
  const memory = GuestMemory.allocate(0x10000, { native: host.native, shared: true });
  const synic = new PartitionSynic(host.partition, { native: host.native });
  const ports = new SynicPorts(synic);
  const monitorAccess = ports.monitorSupport;
  if (monitorAccess === undefined) throw new Error('the SynIC has no monitor pages');
  const eventPort = synic.newGuestEventPort();
  eventPort.set(0, 0, 2, 3);
  // Waits for its slot.
  host.native.hypervisor = () => ({ status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE });
  void synic.postMessage(0, 1, 2, 1, noBytes);
  host.native.hypervisor = () => undefined;
  subjects = {
    Mshv,
    EventFd,
    MsiRouteTable,
    mshv: host.device,
    partition: host.partition,
    calls: host.partition,
    SharedPartition,
    sharedPartition: SharedPartition.receive(host.partition.share(), { native: host.native }),
    Vp,
    vp,
    vpRun: running.start(() => undefined),
    page,
    GuestMemory,
    memory,
    mapping: host.partition.mapMemory(memory, { gpa: 0x10000, size: 0x4000 }),
    bitmap: host.partition.dirtyPages({ gpa: 0x10000, size: 0x4000 }),
    doorbell: host.partition.registerDoorbell({ gpa: 0xd0000000, size: 4 }),
    irqfd,
    route: irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x50 } }),
    resampleRoute: irqfd.newResampleRoute({ vector: 0x60 }),
    event: EventFd.create({ native: host.native }),
    gsis: new GsiAllocator(),
    table: new MsiRouteTable(() => {
      pushes++;
      return 0;
    }),
    PartitionSynic,
    synic,
    SynicPorts,
    ports,
    monitorAccess,
    SynicPortMap,
    portMap: synic.portMap,
    HypercallDispatcher,
    dispatcher: synic.hypercalls,
    GuestMessages,
    messages: synic.messages,
    messagePort: ports.newGuestMessagePort(0, 0, 2),
    DirectGuestEventPort,
    eventPort,
    MonitorPages,
    monitors: new MonitorPages(synic.portMap),
    PolledMonitorPages,
    polledMonitors: synic.monitorSupport,
    Interrupt,
    FailureReports,
    failures: new FailureReports(() => undefined),
  };
  host.native.record();
  return () => {
    subjects.event.close();
    subjects.sharedPartition.close();
    subjects.memory.close();
    host[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  };
});

/** Everything that a call could have changed. */
function state() {
  const { partition, page, route, resampleRoute, event, gsis, table: routes } = subjects;
  const seen = {
    routes: host.snapshot([route, resampleRoute]),
    partitions: host.native.partitions.size,
    vps: partition.vps.length,
    running: !subjects.vpRun.ended,
    mappings: partition.mappings.length,
    doorbells: partition.doorbells.length,
    memory: subjects.memory.read(0, 16).join(),
    pageDirty: page.dirty,
    pending: event.pending,
    gsisInUse: gsis.inUse,
    routed: routes.size,
    synic: inspect([
      ...[subjects.synic, subjects.portMap, subjects.messages, subjects.messagePort],
      ...[subjects.eventPort, subjects.monitors, subjects.polledMonitors],
    ]),
    pushes,
    descriptors: openDescriptors(),
  };
  host.native.record();
  return seen;
}

const shown = (value: unknown): string =>
  inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 64 });

const titled = table.map((row): [title: string, Row] => {
  const { subject, method, argument } = row;
  return [`${subject}.${method}(): ${argument.name} is ${argument.accepts}`, row];
});

/** Whatever is done with these throws, and so looking what they are. */
const revoked: readonly unknown[] = [{}, [], () => undefined].flatMap((target) => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return [proxy, new Proxy(proxy, {})];
});

const takesTypes = titled.filter(([, { argument }]) =>
  argument.wrong.some(({ error }) => error === 'type'),
);

it.each(takesTypes)('%s: no revoked proxy', async (_, row) => {
  const before = state();
  for (const value of revoked) {
    expect(await errorOf(subjects[row.subject], row.method, row.args(value))).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining(`The "${row.argument.name}" argument must be `) as string,
    });
    expect(host.native.calls).toEqual([]);
  }
  expect(state()).toEqual(before);
});

it.each(titled)('%s', async (_, row) => {
  const { name, accepts, wrong } = row.argument;
  const before = state();
  for (const { value, error, shown: special = shown(value) } of wrong) {
    const refused = await errorOf(subjects[row.subject], row.method, row.args(value));
    expect(refused).toBeInstanceOf(refusals[error].class);
    expect(refused).toMatchObject({
      code: refusals[error].code,
      message: `The "${name}" argument must be ${accepts}, received ${special}`,
    });
    expect(host.native.calls).toEqual([]);
  }
  expect(state()).toEqual(before);
});

/**
 * Where -0 is to be seen in a value: in what it has, what its accessors say, and in how it shows itself.
 * Not in what belongs to the test.
 */
function negativeZeros(value: unknown, path: string, depth = 3, seen = new Set()): string[] {
  if (typeof value === 'string') return /(?<![\w.])-0(?![\w.])/.test(value) ? [path] : [];
  if (typeof value === 'number') return Object.is(value, -0) ? [path] : [];
  if (typeof value !== 'object' || value === null || seen.has(value) || depth === 0) return [];
  seen.add(value);
  if (value === host.native || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return [];
  const found =
    typeof Reflect.get(value, inspect.custom) === 'function'
      ? negativeZeros(inspect(value), path, depth, seen)
      : [];
  const prototype: unknown = Object.getPrototypeOf(value);
  const keys = [value, prototype === Object.prototype ? {} : prototype].flatMap((holder) =>
    Object.entries(Object.getOwnPropertyDescriptors(holder ?? {}))
      .filter(([, property]) => property.get !== undefined || typeof property.value !== 'function')
      .map(([key]) => key),
  );
  for (const key of keys) {
    let inside: unknown;
    try {
      inside = Reflect.get(value, key);
    } catch {
      continue; // An accessor of something that is closed, or not there.
    }
    found.push(...negativeZeros(inside, `${path}.${key}`, depth - 1, seen));
  }
  return found;
}

describe('-0 is 0', () => {
  // receive() takes over the descriptor of a token, and these have none to give away.
  const taken = titled.filter(([, row]) => row.argument.takesZero && row.method !== 'receive');

  it('for many arguments', () => {
    expect(taken.length).toBeGreaterThan(100);
  });

  it.each(taken)('%s', (_, { subject, method, args, argument }) => {
    const given = args(-0);
    const holder = subjects[subject];
    const called: unknown = method === 'new' ? holder : Reflect.get(holder, method);
    if (typeof called !== 'function') throw new Error(`there is no ${method}()`);
    let result: unknown;
    let error: unknown;
    try {
      result =
        method === 'new'
          ? Reflect.construct(called, given)
          : (Reflect.apply(called, holder, given) as unknown);
    } catch (thrown) {
      error = thrown;
    }
    // Not awaited: some of these promises are about what only a guest does.
    if (result instanceof Promise) result.catch(() => undefined);
    expect(String(error)).not.toContain(`"${argument.name}" argument must be ${argument.accepts},`);
    const { calls } = host.native;
    // What is refused is shown as it was given: a fixed interrupt has no vector 0.
    const text = error instanceof Error ? error.message.replace(/received -0$/, '') : undefined;
    expect(negativeZeros({ result, text, calls, subjects }, 'seen', 6)).toEqual([]);
    if (typeof result === 'object' && result !== null && Symbol.dispose in result) {
      (result as Disposable)[Symbol.dispose]();
    }
  });
});

it('cuts long values short in messages', async () => {
  const error = await errorOf(subjects.event, 'signal', ['x'.repeat(10_000)]);
  expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  expect(String(error).length).toBeLessThan(250);
});

it('refuses an asynchronous batch and does nothing of it', async () => {
  const { irqfd, route } = subjects;
  const before = state();
  const record = async () => {
    route.mask();
    irqfd.newRoute();
    await Promise.resolve();
  };
  expect(await errorOf(irqfd, 'batch', [record])).toMatchObject({
    code: 'ERR_INVALID_RETURN_VALUE',
    message: expect.stringContaining(
      'record() must not be asynchronous, it returned Promise',
    ) as string,
  });
  expect(state()).toEqual(before);
});

describe('what only the state of an object refuses', () => {
  const refuses = async (subject: object, method: string, args: unknown[], error: object) => {
    const before = state();
    expect(await errorOf(subject, method, args)).toMatchObject(error);
    expect(state()).toEqual(before);
  };

  it.each([
    ['newRoute', {}],
    ['newResampleRoute', { vector: 0x61 }],
  ])('%s() with an EventFd of another addon', async (method, others) => {
    using event = EventFd.create();
    await refuses(subjects.irqfd, method, [{ ...others, event }], {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "options.event" argument must be an EventFd of the partition's own addon, received ${shown(event)}`,
    });
  });

  it.each([
    ['newRoute', {}],
    ['newResampleRoute', { vector: 0x61 }],
  ])('%s() with a semaphore', async (method, others) => {
    const event = EventFd.create({ native: host.native, semaphore: true });
    await refuses(subjects.irqfd, method, [{ ...others, event }], {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "options.event" argument must be an EventFd that is no semaphore, received ${shown(event)}`,
    });
    event.close();
  });

  it('newRoute() with a closed EventFd', async () => {
    const event = EventFd.create({ native: host.native });
    event.close();
    await refuses(subjects.irqfd, 'newRoute', [{ event }], { code: 'ERR_MSHV_CLOSED' });
  });

  it('a GSI in use', async () => {
    await refuses(subjects.irqfd, 'newResampleRoute', [{ vector: 0x60 }], {
      name: 'MshvError',
      code: 'ERR_MSHV_GSI_IN_USE',
      message: 'GSI 96 is in use by an unnamed route',
    });
    const named = subjects.irqfd.newResampleRoute({ vector: 0x61, name: 'the timer' });
    await refuses(subjects.irqfd, 'newResampleRoute', [{ vector: 0x61 }], {
      message: "GSI 97 is in use by route 'the timer'",
    });
    named.close();
  });

  it('a batch in a batch', async () => {
    const { irqfd } = subjects;
    let inner: unknown;
    const before = state();
    irqfd.batch(() => {
      try {
        irqfd.batch(() => undefined);
      } catch (error) {
        inner = error;
      }
    });
    expect(inner).toMatchObject({ name: 'MshvError', code: 'ERR_MSHV_BATCH_NESTED' });
    expect(state()).toEqual(before);
    await refuses(
      irqfd,
      'batch',
      [
        () => {
          irqfd.batch(() => undefined);
        },
      ],
      {
        code: 'ERR_MSHV_BATCH_NESTED',
      },
    );
  });

  it.each(['event', 'resampleEvent'] as const)(
    "closing or releasing a route's %s",
    async (name) => {
      const event = subjects.resampleRoute[name];
      if (event === undefined) throw new Error('no such event');
      for (const method of ['close', 'release', Symbol.dispose]) {
        const before = state();
        expect(await errorOf(event, method, [])).toMatchObject({
          name: 'MshvError',
          code: 'ERR_MSHV_OWNED',
          message: expect.stringContaining('it belongs to the route of GSI 96') as string,
        });
        expect(state()).toEqual(before);
      }
    },
  );
});

/** The class behind each subject. */
const classes = {
  Mshv,
  EventFd,
  MsiRouteTable,
  mshv: Mshv,
  partition: Partition,
  calls: PartitionCalls,
  SharedPartition,
  sharedPartition: SharedPartition,
  Vp,
  vp: Vp,
  vpRun: VpRun,
  page: RegisterPage,
  GuestMemory,
  memory: GuestMemory,
  mapping: MappedMemory,
  bitmap: PageBitmap,
  doorbell: Doorbell,
  irqfd: IrqFd,
  route: IrqFdRoute,
  resampleRoute: IrqFdRoute,
  event: EventFd,
  gsis: GsiAllocator,
  table: MsiRouteTable,
  PartitionSynic,
  synic: PartitionSynic,
  SynicPorts,
  ports: SynicPorts,
  SynicPortMap,
  portMap: SynicPortMap,
  HypercallDispatcher,
  dispatcher: HypercallDispatcher,
  GuestMessages,
  messages: GuestMessages,
  DirectGuestEventPort,
  eventPort: DirectGuestEventPort,
  MonitorPages,
  monitors: MonitorPages,
  PolledMonitorPages,
  polledMonitors: PolledMonitorPages,
  Interrupt,
  FailureReports,
  failures: FailureReports,
} as const;

describe('a closed object', () => {
  const args: ReadonlyMap<string | symbol, unknown[]> = new Map([
    ['createVp', [4]],
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

describe('the table', () => {
  /** Functions that take nothing. */
  const withoutArguments = [
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
    'MappedMemory#[Symbol.dispose]',
    'SharedPartition#share',
    'Vp#run',
    'Vp#cancel',
    'Vp#share',
    'VpRun#stop',
    'VpRun#ref',
    'VpRun#unref',
    'PartitionCalls#clearVirtualInterrupt',
    'EventFd#tryRead',
    'EventFd#clone',
    'EventFd#release',
    'EventFd#ref',
    'EventFd#unref',
    'EventFd#[Symbol.asyncIterator]',
    ...[
      ...['Mshv', 'Partition', 'SharedPartition', 'Vp', 'GuestMemory', 'Doorbell'],
      ...['IrqFdRoute', 'EventFd'],
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
    ...[
      ...['PartitionSynic', 'DirectGuestEventPort', 'MonitorPages', 'PolledMonitorPages'],
      'Interrupt',
    ].map((name) => `${name}#[Symbol.dispose]`),
    ...[
      ...['Partition', 'SharedPartition', 'Vp', 'VpRun', 'GuestMemory', 'MappedMemory'],
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
