import { inspect } from 'node:util';

import { expect } from 'vitest';

import {
  DirectGuestEventPort,
  FailureReports,
  GsiAllocator,
  GuestMessages,
  HypercallDispatcher,
  Interrupt,
  MonitorPages,
  MshvError,
  MsiRouteTable,
  PartitionSynic,
  PolledMonitorPages,
  SynicPortMap,
  SynicPorts,
} from '../../../../lib/index.js';
import { hypercall } from '../../../guest-hypercall.js';
import { entering } from '../entered.js';
import type { Operation } from '../engine.js';

// What makes no call: each of these is shown not to. What comes to make one has faults to be tried then.

const noBytes = new Uint8Array(8);
const msi = { address: 0xfee00000n, data: 0x41 };

/** An operation whose steps are none. */
function quiet(name: string, arrange: Operation['arrange']): Operation {
  return { name, steps: '', arrange };
}

export const quietOperations: readonly Operation[] = [
  quiet('GSIs and the routing table', () => () => {
    const gsis = entering('new GsiAllocator', () => new GsiAllocator());
    expect(gsis.allocate('one')).toBe(256);
    gsis.allocateExact(5, 'other');
    expect(gsis.holder(5)).toBe('other');
    gsis.free(5);
    expect([gsis.inUse, gsis.capacity]).toEqual([1, 4095]);
    expect(inspect(gsis)).toMatch(/^GsiAllocator /);
    const table = entering('new MsiRouteTable', () => new MsiRouteTable(() => 0));
    table.commit([{ gsi: 5, msi }]);
    table.markUnknown();
    expect([table.get(5), table.size, table.unknown]).toEqual([msi, 1, true]);
  }),
  quiet('a register page that is valid', (situation) => {
    const page = situation.validRegisterPage(0);
    return () => {
      page.set('RAX', 1);
      page.rip = 2;
      page.rflags = 2;
      const general = page.copyGeneral(new BigUint64Array(18));
      expect([general[0], page.get('RAX'), page.rip, page.rflags]).toEqual([1n, 1n, 2n, 2n]);
      expect([page.valid, page.dirty === 0]).toEqual([true, false]);
      expect(inspect(page)).toMatch(/^RegisterPage /);
    };
  }),
  quiet('the constructors of the SynIC', ({ partition, native }) => () => {
    const synic = entering('new PartitionSynic', () => new PartitionSynic(partition, { native }));
    entering('new SynicPorts', () => new SynicPorts(synic));
    entering('new GuestMessages', () => new GuestMessages(postsNothing));
    entering('new DirectGuestEventPort', () => new DirectGuestEventPort(signalsNothing));
  }),
  quiet('the ports of the host, and what the guest does to them', () => () => {
    const portMap = entering('new SynicPortMap', () => new SynicPortMap());
    const seen: unknown[] = [];
    const messages = portMap.addMessagePort(1, 0, {
      handleMessage: (message) => seen.push(message),
    });
    const events = portMap.addEventPort(2, 0, { handleEvent: (flag) => seen.push(flag) });
    portMap.handlePostMessage(0, 1, false, noBytes);
    portMap.handleSignalEvent(0, 2, 3);
    expect([portMap.size, portMap.kind(1), seen.length]).toEqual([2, 'message', 2]);
    const options = { portMap, memory: { read: () => false } };
    const dispatcher = entering('new HypercallDispatcher', () => new HypercallDispatcher(options));
    const call = dispatcher.add({
      code: 0x7777,
      name: 'HvNothing',
      inputSize: 0,
      handle: () => 0,
    });
    dispatcher.dispatch(hypercall({ code: 0x7777, fast: true }));
    portMap.reset();
    for (const one of [messages, events, call]) one.close();
  }),
  quiet('reports of failures', () => () => {
    const told: string[] = [];
    const failures = entering(
      'new FailureReports',
      () => new FailureReports(({ code }) => told.push(code)),
    );
    failures.report({}, () => new MshvError('no', { code: 'EIO' }));
    expect(told).toEqual(['EIO']);
    expect(inspect(failures)).toMatch(/^FailureReports /);
  }),
  ...([MonitorPages, PolledMonitorPages] as const).map((Pages) =>
    quiet(Pages.name, () => () => {
      const portMap = new SynicPortMap();
      using pages = entering(`new ${Pages.name}`, () => new Pages(portMap));
      pages.setMonitorPage(0, 0x4000n);
      pages.allocateMonitorPage(0);
      pages.registerMonitor(3, 7, 10).close();
      expect(pages.monitorPage(0)).toBe(0x4000n);
      pages.handleWrite(0x4000n, noBytes);
      pages.handleRead(0x4000n, noBytes);
      pages.poll(0n);
      expect(pages.unclaimed).toBe(0);
      pages.close();
    }),
  ),
  quiet('ports that nobody uses', (situation) => {
    const { partition, native } = situation;
    const synic = situation.own(new PartitionSynic(partition, { native }));
    const ports = situation.own(new SynicPorts(synic));
    return () => {
      ports.addMessagePort(1, 0, { handleMessage: () => undefined }).close();
      ports.addEventPort(2, 0, { handleEvent: () => undefined }).close();
      synic.newGuestMessagePort(0, 1, 2).close();
      situation.own(ports.newGuestMessagePort(0, 1, 2));
      synic.messages.newPort(0, 1, 2)[Symbol.dispose]();
      using guestPort = synic.newGuestEventPort();
      guestPort.set(0, 1, 2, 3);
      guestPort.setTargetVp(2);
      guestPort.clear();
      expect(guestPort.signal()).toBe(false);
      expect([guestPort.closed, synic.closed]).toEqual([false, false]);
      guestPort.interrupt().deliver();
      guestPort.close();
      expect(synic.messages.save().queues).toEqual([]);
      expect([synic.preferOsEvents, ports.preferOsEvents]).toEqual([false, false]);
      expect(ports.monitorSupport).toBeDefined();
      Interrupt.fromFunction(() => undefined).deliver();
      Interrupt.null.deliver();
      Interrupt.null.close();
    };
  }),
];

const postsNothing = { hasVp: () => true, postMessage: () => 0 };
const signalsNothing = { hasVp: () => true, signalEvent: () => true };
