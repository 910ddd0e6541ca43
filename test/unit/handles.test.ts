import { afterEach, beforeEach, expect, test } from 'vitest';

import { EventFd, type Handle, PartitionSynic, SynicPorts } from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';
import { simulatedMachine, type SimulatedMachine } from '../simulated-machine.js';

let machine: SimulatedMachine;
let synic: PartitionSynic;
let ports: SynicPorts;
let event: EventFd;

beforeEach(() => {
  machine = simulatedMachine(2);
  synic = new PartitionSynic(machine.partition, {
    native: Simulator.native,
    hostEventDoorbell: () => ({ gpa: 0xf0000000 }),
  });
  ports = new SynicPorts(synic);
  event = EventFd.create({ native: Simulator.native });
});

afterEach(() => {
  event.close();
  synic.close();
  machine.simulator.close();
});

const port = { handleMessage: () => undefined, handleEvent: () => undefined };
const making: Record<string, () => Handle> = {
  'ports.addMessagePort()': () => ports.addMessagePort(1, 0, port),
  'ports.addEventPort()': () =>
    ports.addEventPort(1, 0, { osEvent: event }, { monitorId: 3, latency: 10 }),
  'portMap.addMessagePort()': () => synic.portMap.addMessagePort(1, 0, port),
  'portMap.addEventPort()': () => synic.portMap.addEventPort(1, 0, port),
  'synic.attachVp()': () => synic.attachVp(1),
  'messages.attachVp()': () =>
    synic.messages.attachVp(1, { setDeliverabilityNotifications: () => undefined }),
  'hypercalls.add()': () =>
    synic.hypercalls.add({ code: 0x7777, name: 'HvNothing', inputSize: 0, handle: () => 0 }),
  'registerMonitor()': () => synic.monitorSupport.registerMonitor(3, 1, 10),
};

test.each(Object.entries(making))(
  '%s can be closed by name, once, and not for who came later',
  (_, make) => {
    const first = make();
    expect(first.closed).toBe(false);
    expect(make).toThrow(/already|in use/);
    first.close();
    expect(first.closed).toBe(true);
    const second = make();
    first.close();
    first[Symbol.dispose]();
    expect([first.closed, second.closed]).toEqual([true, false]);
    expect(make).toThrow(/already|in use/);
    {
      using third = second;
      expect(third.closed).toBe(false);
    }
    expect(second.closed).toBe(true);
    make().close();
  },
);

test('a watch is closed by name, and with its eventfd', () => {
  const [one, other] = [event.watch(() => undefined), event.watch(() => undefined)];
  one.close();
  expect([one.closed, other.closed]).toEqual([true, false]);
  event.close();
  expect(other.closed).toBe(true);
  other.close();
});

test('an event port whose doorbell is refused is open until closing it succeeds', () => {
  const { simulator, partition } = machine;
  const handle = ports.addEventPort(1, 0, { osEvent: event });
  simulator.failNext('MSHV_IOEVENTFD', 'EIO');
  expect(() => {
    handle.close();
  }).toThrow(/the doorbell/);
  expect([handle.closed, partition.doorbells.length]).toEqual([false, 1]);
  handle.close();
  expect([handle.closed, partition.doorbells.length]).toEqual([true, 0]);
});

test('guest ports, mapped memory and the SynIC are closed by name', () => {
  const { partition } = machine;
  using memory = partition.allocateMemory(4096);
  const mapped = partition.mapMemory(memory, { gpa: 0x4000_0000 });
  const closable = [ports.newGuestMessagePort(0, 0, 2), ports.newGuestEventPort(), mapped, synic];
  for (const one of closable) {
    expect(one.closed).toBe(false);
    one.close();
    one.close();
    expect(one.closed).toBe(true);
  }
  expect(partition.mappingAt(0x4000_0000)).toBeUndefined();
});
