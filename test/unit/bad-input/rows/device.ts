import { syntheticProcessorFeatures } from '../../../../lib/abi/properties.js';
import {
  type Argument,
  addon,
  array,
  boolean,
  choice,
  integer,
  keyed,
  quantity,
  required,
  string,
  type,
} from '../argument.js';
import { type Row, only, option, rows } from '../row.js';

export const deviceRows: readonly Row[] = [
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
  ...rows(
    'partition',
    'createVp',
    [only, required(integer('index', 0, 255))],
    [(wrong) => [9, wrong], keyed('options', 'apicId')],
    [(wrong) => [9, { apicId: wrong }], integer('options.apicId', 0, 0xfffffffe)],
  ),
];
