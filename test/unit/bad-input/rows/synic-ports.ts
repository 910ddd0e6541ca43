import { EventFd, SynicPortMap } from '../../../../lib/index.js';
import {
  type Argument,
  addon,
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
  required,
  type,
  typedArray,
} from '../argument.js';
import { type Row, implementationRows, only, option, rows } from '../row.js';
import { subjects } from '../subjects.js';
import {
  connectionId,
  handleEvent,
  handleMessage,
  minimumVtl,
  noBytes,
  noVp,
  ofTarget,
  targetRows,
  memoryRows,
  monitorInfoRows,
} from '../synic.js';

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
    ...implementationRows(subject, 'addEventPort', (port) => [1, 0, port], 'port', {
      handleMessage,
    }),
    ...rows(
      subject,
      'addEventPort',
      [
        (wrong) => [1, 0, wrong],
        {
          name: 'port',
          accepts: 'an object with a handleEvent function, an osEvent, or both',
          wrong: type({}, { handleMessage }, { handleEvent: undefined, flagCount: 1 }),
        },
      ],
      [(wrong) => [1, 0, { handleEvent: wrong }], optional(callback('port.handleEvent'))],
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
    ...memoryRows(constructed, (memory) => [subjects.portMap, { memory }]),
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

const eventPartition = { hasVp: noVp, signalEvent: noVp };

export const synicPortRows: readonly Row[] = [
  ...targetRows('ports', 'newGuestMessagePort'),
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
  ...monitorInfoRows('ports', 'addEventPort', 1, 0, { handleEvent }),
  ...rows(
    'ports',
    'newGuestEventPort',
    [(wrong) => [wrong, 0, 0, 2, 3], required(integer('portId', 0, 0xffffff))],
    [(wrong) => [1, wrong, 0, 2, 3], ofTarget.vtl],
    [(wrong) => [1, 0, wrong, 2, 3], ofTarget.vp],
    [(wrong) => [1, 0, 0, wrong, 3], ofTarget.sint],
    [(wrong) => [1, 0, 0, 2, wrong], ofTarget.flag],
  ),
  ...monitorInfoRows('ports', 'newGuestEventPort', 1, 0, 0, 2, 3),
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
];
