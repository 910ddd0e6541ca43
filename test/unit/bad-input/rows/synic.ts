import { EventFd, SynicPortMap } from '../../../../lib/index.js';
import {
  type Argument,
  addon,
  array,
  boolean,
  callback,
  instance,
  integer,
  keyed,
  largestWord,
  listener,
  multiple,
  optional,
  quantity,
  range,
  required,
  string,
  type,
} from '../argument.js';
import { exitOf } from '../exit.js';
import { type Row, implementationRows, only, option, orNothing, rows, waitRows } from '../row.js';
import { subjects } from '../subjects.js';
import {
  connectionId,
  handleEvent,
  messageRows,
  minimumVtl,
  noBytes,
  noVp,
  ofTarget,
  targetRows,
  memoryRows,
  ownerRows,
} from '../synic.js';

const emptyQueue = { vtl: 0, vp: 0, sint: 2, messages: [] };

const hypercallDefinition = { code: 1, name: 'HvMine', inputSize: 0, handle: () => 0 };

const owner = { setDeliverabilityNotifications: handleEvent };

const messagePartition = { hasVp: noVp, postMessage: () => 0 };

const partitionMethods = [
  ...['hasVp', 'postMessageDirect', 'signalEventDirect', 'getRegisters', 'setRegisters'],
  'installIntercept',
];

export const synicRows: readonly Row[] = [
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
  ...memoryRows(
    'PartitionSynic',
    (memory) => [subjects.partition, { memory }],
    { read: noVp },
    'read',
  ),
  ...rows('synic', 'attachVp', [only, ofTarget.vp], [(wrong) => [wrong, owner], ofTarget.vp]),
  ...ownerRows('synic').map(orNothing('owner')),
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
    ...waitRows(subject, 'postMessage', (options) => [0, 0, 2, 1, noBytes, options]),
  ]),
  ...targetRows('synic', 'newGuestMessagePort'),
  ...targetRows('messages', 'newPort'),
  ...messageRows('messagePort', 'post', (...message) => message),
  ...waitRows('messagePort', 'post', (options) => [1, noBytes, options]),
  ...rows('messagePort', 'setTargetVp', [only, ofTarget.vp]),
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
  ...ownerRows('messages'),
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
];
