import { registerPageFields } from '../../../../lib/abi/register-page.js';
import { vpStateTypes } from '../../../../lib/abi/vp-state.js';
import {
  type Argument,
  addon,
  callback,
  choice,
  instance,
  integer,
  keyed,
  largestWord,
  quantity,
  range,
  required,
  symbol,
  type,
  typedArray,
} from '../argument.js';
import { cpuidResult, exitArgument, read, stopWith, write } from '../exit.js';
import { type Row, only, rows, waitRows } from '../row.js';
import { token, vpToken } from '../token.js';

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

const absent = (name: string, instruction: string): Argument => ({
  name,
  accepts: `absent: the guest's ${instruction} takes no result`,
  wrong: range(0, 0n, null),
});

export const vpRows: readonly Row[] = [
  ...rows(
    'Vp',
    'receive',
    [only, token('vp', vpToken)],
    [(wrong) => [{ ...vpToken, index: wrong }], required(integer('token.index', 0, 255))],
    [(wrong) => [vpToken, wrong], keyed('options', 'native')],
    [(wrong) => [vpToken, { native: wrong }], addon('options.native')],
  ),
  ...rows('vp', 'start', [only, callback('handler')]),
  ...waitRows('vp', 'start', (options) => [() => 'stop', options]),
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
        wrong: [
          ...type(undefined, null, 1, 1n, 'RAX', true, ['RAX'], symbol, () => ({})),
          ...type(new Map([['RAX', 1n]]), new Set(['RAX']), new Date(0)),
        ],
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
        wrong: type(null, 1, 1n, 'x', true, symbol, new Map([['base', 1n]]), () => 1),
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
    [
      (wrong) => [wrong, { status: 0 }],
      exitArgument('HypercallIntercept or Arm64HypercallIntercept', 'io-port'),
    ],
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
  ...rows('vp', 'skipInstruction', [
    only,
    exitArgument('X64Intercept or Arm64Intercept', 'timer-expired'),
  ]),
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
