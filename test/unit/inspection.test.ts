import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';

import { InterceptMessages } from '../../lib/abi/intercepts.js';
import { x64Messages } from '../../lib/abi/messages/table.js';
import {
  DirectGuestEventPort,
  EventFd,
  FailureReports,
  GsiAllocator,
  GuestMemory,
  GuestMessages,
  HypercallDispatcher,
  Interrupt,
  MonitorPages,
  MsiRouteTable,
  PartitionSynic,
  PolledMonitorPages,
  SharedPartition,
  SynicPortMap,
  SynicPorts,
} from '../../lib/index.js';
import { simNative } from '../../lib/sim/sim-native.js';
import { encodeMessage, Simulator } from '../../lib/sim/index.js';
import { publicClasses } from './public-members.js';

const native = simNative();
const open: Disposable[] = [];
const opened = <Thing extends Disposable>(thing: Thing): Thing => {
  open.push(thing);
  return thing;
};

afterEach(() => {
  for (const thing of open.splice(0).reverse()) thing[Symbol.dispose]();
});

interface Seen {
  readonly object: object;
  /** What closes it, where it can be closed. */
  readonly close?: () => void;
}

/** An object of every class that there is to see. */
function everything(): Seen[] {
  const simulator = opened(new Simulator());
  const device = simulator.open();
  const partition = device.createPartition();
  partition.initialize();
  const vp = partition.createVp(0);
  const other = partition.createVp(1);
  const memory = opened(GuestMemory.allocate(0x2000, { native }));
  const mapped = partition.mapMemory(memory, { gpa: 0x1000 });
  const event = opened(EventFd.create({ native }));
  const route = partition.irqfd.newRoute({ name: 'net' });
  const doorbell = partition.registerDoorbell({ gpa: 0x1_0000, event, size: 4, match: 7 });
  const shared = opened(SharedPartition.receive(partition.share(), { native }));
  const synic = opened(new PartitionSynic(partition));
  const ports = new SynicPorts(synic);
  const messagePort = ports.newGuestMessagePort(0, 0, 2);
  const eventPort = ports.newGuestEventPort(1, 0, 0, 2, 3);
  const directPort = new DirectGuestEventPort({ hasVp: () => true, signalEvent: () => true });
  const portMap = new SynicPortMap();
  const { registerPage } = vp;
  if (registerPage === undefined) throw new Error('there is no register page');
  const handles = [
    ports.addMessagePort(1, 0, { handleMessage: () => undefined }),
    ports.addEventPort(2, 0, { handleEvent: () => undefined }, { monitorId: 3, latency: 10 }),
    portMap.addMessagePort(1, 0, { handleMessage: () => undefined }),
    portMap.addEventPort(2, 0, { handleEvent: () => undefined }),
    synic.attachVp(0),
    synic.messages.attachVp(1, { setDeliverabilityNotifications: () => undefined }),
    synic.hypercalls.add({ code: 0x7777, name: 'HvNothing', inputSize: 0, handle: () => 0 }),
    synic.monitorSupport.registerMonitor(4, 2, 10),
    event.watch(() => undefined),
  ];
  const closable = [
    ...[...handles, messagePort, eventPort, directPort, synic],
    ...[shared, event, route, doorbell, memory, vp, partition, device, simulator],
  ];
  return [
    {
      object: registerPage,
      close: () => {
        vp.close();
      },
    },
    ...closable.map((object) => ({
      object,
      close: () => {
        object.close();
      },
    })),
    ...[
      ...[mapped, other.start(() => 'stop'), partition.irqfd, ports, portMap],
      ...[opened(new MonitorPages(portMap)), opened(new PolledMonitorPages(portMap))],
      ...[partition.dirtyPages({ gpa: 0x1000, size: 0x2000 }), event[Symbol.asyncIterator]()],
      ...[Interrupt.null, new GsiAllocator(), new MsiRouteTable(() => 0)],
      ...[
        new FailureReports(() => undefined),
        new GuestMessages({ hasVp: () => true, postMessage: () => 0 }),
      ],
      new HypercallDispatcher({ portMap, memory: { read: () => false } }),
      ...Object.values(x64Messages).map(({ view }) => new view(new Uint8Array(256))),
      ...[new InterceptMessages(encodeMessage('halt'), 'x64'), simulator.guest(partition, 0)],
    ].map((object) => ({ object })),
  ];
}

const inLine = { breakLength: Infinity };
const nameOf = (object: object): string => inspect(object, { depth: -1 }).slice(1, -1);

describe('inspection', () => {
  test('is of every class that is exported', () => {
    const seen = everything().map(({ object }) => object);
    const unseen = publicClasses
      .filter(
        ({ prototype }) => !seen.some((one) => Object.prototype.isPrototypeOf.call(prototype, one)),
      )
      .map(({ name }) => name);
    // The first is an error, which Node shows.
    expect(unseen).toEqual(['MshvError']);
  });

  test('shows something of each, to the depth and with the options that it is asked for', () => {
    for (const { object } of everything()) {
      const shown = inspect(object, { breakLength: Infinity });
      const name = nameOf(object);
      expect(shown, name).toMatch(/^\w+ \{ \w+: .* \}$/);
      expect(shown.startsWith(`${name} {`), name).toBe(true);
      expect(inspect({ object }, { depth: 0 })).toBe(`{ object: [${name}] }`);
      expect(inspect(object, { colors: true, breakLength: Infinity }), name).not.toBe(shown);
      // One line for each property.
      expect(inspect(object, { compact: false }), name).toMatch(/^\w+ \{\n {2}\w+: /);
      expect(inspect(object, { depth: null }), name).not.toContain('[Object]');
    }
  });

  test('says last of what can be closed whether it is, alike', () => {
    for (const [i, { object }] of everything().entries()) {
      const name = nameOf(object);
      const shows = (closed: boolean): RegExp => new RegExp(`[ {]closed: ${closed} \\}$`);
      expect(inspect(object, inLine), name).not.toMatch(shows(true));
      // What closes one may close others.
      const { object: closed, close } = everything()[i] ?? { object };
      if (close !== undefined) {
        expect(inspect(closed, inLine), name).toMatch(shows(false));
        close();
        expect(inspect(closed, inLine), name).toMatch(shows(true));
        expect(Reflect.get(closed, 'closed'), name).toBe(
          name === 'RegisterPage' ? undefined : true,
        );
        // Once more does nothing.
        close();
      }
    }
  });
});
