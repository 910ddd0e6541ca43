import { translateGvaFlags } from '../../../../lib/abi/hypercall-outputs.js';
import { type HypercallName, hypercalls } from '../../../../lib/abi/hypercalls.js';
import { partitionProperties } from '../../../../lib/abi/properties.js';
import {
  type Argument,
  addon,
  array,
  boolean,
  choice,
  integer,
  keyed,
  quantity,
  range,
  required,
  symbol,
  type,
  typedArray,
} from '../argument.js';
import { msi } from '../msi.js';
import { type Row, only, option, rows } from '../row.js';
import { partitionToken, token } from '../token.js';

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

function hypercallRowsOf(subject: 'calls' | 'mshv' | 'vp', descriptor: string): Row[] {
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

export const hypercallRows: readonly Row[] = [
  ...hypercallRowsOf('mshv', 'device'),
  ...hypercallRowsOf('calls', 'partition'),
  ...hypercallRowsOf('vp', 'vp'),
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
  ...rows(
    'SharedPartition',
    'receive',
    [only, token('partition', partitionToken)],
    [(wrong) => [partitionToken, wrong], keyed('options', 'native')],
    [(wrong) => [partitionToken, { native: wrong }], addon('options.native')],
  ),
];
