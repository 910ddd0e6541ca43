import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { GuestMemory, PartitionSynic, SharedPartition, SynicPorts } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { simulatedMachine, type SimulatedMachine } from '../../simulated-machine.js';

let machine: SimulatedMachine;

beforeEach(() => {
  machine = simulatedMachine(1);
});

afterEach(() => {
  machine.simulator.close();
});

describe('what a partition makes', () => {
  it('is of its own addon: events for routes and doorbells, none of whose signals are lost', () => {
    const { partition, simulator } = machine;
    using event = partition.createEvent({ initial: 2 });
    expect(event.tryRead()).toBe(2n);
    partition.irqfd.newRoute({ event, msi: { address: 0xfee00000, data: 0x41 } });
    for (let i = 0; i < 100; i++) event.signal();
    expect(simulator.interrupts(partition)).toHaveLength(100);
    using shared = SharedPartition.receive(partition.share());
    using other = shared.createEvent({ semaphore: true });
    expect(other.semaphore).toBe(true);
    partition.registerDoorbell({ gpa: 0xf0000000, event: other });
    simulator.writeMmio(partition, 0xf0000000, 4, 1);
    expect(other.tryRead()).toBe(1n);
  });

  it('is of its own addon: interrupts of its SynIC, also of one that was shared', () => {
    const { partition, simulator } = machine;
    using shared = SharedPartition.receive(partition.share());
    for (const one of [partition, shared]) {
      using synic = new PartitionSynic(
        one,
        one === shared ? { memory: { read: () => false } } : {},
      );
      const ports = new SynicPorts(synic);
      using port = ports.newGuestEventPort(1, 0, 0, 2, 7);
      const { event } = port.interrupt();
      using doorbell = partition.registerDoorbell({ gpa: 0xf0000000, event });
      simulator.writeMmio(partition, 0xf0000000, 4, 1);
      expect(doorbell.event.tryRead()).toBe(1n);
    }
  });

  it('is of its own addon: memory to map', () => {
    const { partition } = machine;
    using memory = partition.allocateMemory(0x2000, { shared: true });
    expect([memory.size, memory.shared, partition.allocateMemory(4096).shared]).toEqual([
      0x2000,
      true,
      false,
    ]);
    partition.mapMemory(memory, { gpa: 0 });
    expect(partition.writeMemory(0x1000, Uint8Array.of(7))).toBe(true);
    expect(memory.read(0x1000, 1)).toEqual(Uint8Array.of(7));
  });
});

it('what a device makes is of its own addon, too', () => {
  const { device, partition, simulator } = machine;
  using memory = device.allocateMemory(0x1000);
  partition.mapMemory(memory, { gpa: 0 });
  using event = device.createEvent();
  partition.irqfd.newRoute({ event, msi: { address: 0xfee00000, data: 0x41 } });
  for (let i = 0; i < 100; i++) event.signal();
  expect(simulator.interrupts(partition)).toHaveLength(100);
});

describe('memory.fd', () => {
  it('is of the same pages, the same each time, and closed with the memory', () => {
    const memory = machine.partition.allocateMemory(0x3000, { shared: true });
    const before = openDescriptors();
    const { fd } = memory;
    expect([memory.fd, openDescriptors(), memory.fileOffset]).toEqual([fd, before + 1, 0]);
    memory.write(0x1000, Uint8Array.of(1, 2, 3));
    const read = new Uint8Array(3);
    readSync(fd, read, 0, 3, 0x1000);
    expect(read).toEqual(Uint8Array.of(1, 2, 3));
    memory.close();
    expect(() => fstatSync(fd)).toThrow('EBADF');
    expect(() => memory.fd).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });

  it('comes with where a window begins', () => {
    using memory = machine.partition.allocateMemory(0x3000, { shared: true });
    using window = memory.window(0x1000, 0x1000);
    expect(window.fileOffset).toBe(0x1000);
    memory.write(0x1000, Uint8Array.of(9));
    const read = new Uint8Array(1);
    readSync(window.fd, read, 0, 1, window.fileOffset);
    expect(read).toEqual(Uint8Array.of(9));
  });

  it('is another one where somebody has closed it, and leaves to others what is there now', () => {
    const memory = machine.partition.allocateMemory(0x1000, { shared: true });
    const { fd } = memory;
    closeSync(fd);
    const others = openSync('/dev/null', 'r');
    expect(others).toBe(fd);
    const again = memory.fd;
    expect(again).not.toBe(fd);
    expect(fstatSync(again).ino).not.toBe(fstatSync(others).ino);
    closeSync(again);
    const last = openSync('/dev/null', 'r');
    expect(last).toBe(again);
    memory.close();
    for (const descriptor of [others, last]) closeSync(descriptor);
  });

  it('is refused where there is no file', () => {
    using memory = GuestMemory.allocate(4096, { native: Simulator.native });
    expect(() => memory.fd).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_NOT_SHARED',
        message: expect.stringContaining('it has no file; allocate it with shared: true') as string,
      }),
    );
  });
});
