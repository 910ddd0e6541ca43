import { beforeEach, describe, expect, it } from 'vitest';

import {
  EventFd,
  FailureReports,
  GuestMemory,
  HypercallDispatcher,
  Interrupt,
  type Intercept,
  MonitorPages,
  PartitionSynic,
  SynicPortMap,
  SynicPorts,
  type Vp,
} from '../../lib/index.js';
import { encodeMessage, Simulator } from '../../lib/sim/index.js';
import { FakeHost } from './fake-host.js';
import { SmallMemory } from '../guest-hypercall.js';
import { vpOf } from '../vp-of.js';

// What is taken for an instance of a class: nothing but what its constructor has made. What only inherits from the class
// would pass a look at its prototypes and fail later, inside this library.

let host: FakeHost;
let vp: Vp;
beforeEach(() => {
  host = new FakeHost();
  vp = vpOf(host.partition, 0);
  return () => {
    host[Symbol.dispose]();
  };
});

/** An exit that the VP stops with. */
function exitOf(...message: Parameters<typeof encodeMessage>): Intercept {
  host.native.vps.of(vp.fd).queue(encodeMessage(...message));
  const exit = vp.run();
  if (exit === undefined) throw new Error('the VP has not stopped');
  return exit;
}

/** By what takes it: an instance, and the call. */
const takers: Record<string, [instance: () => object, take: (value: never) => unknown]> = {
  'completeIoPort()': [
    () => exitOf('io-port', { size: 1, access: 'write', instructionLength: 1 }),
    (exit) => {
      vp.completeIoPort(exit);
    },
  ],
  'completeMsr()': [
    () => exitOf('msr', { access: 'write', instructionLength: 2 }),
    (exit) => {
      vp.completeMsr(exit);
    },
  ],
  'completeCpuid()': [
    () => exitOf('cpuid', { instructionLength: 2 }),
    (exit) => {
      vp.completeCpuid(exit, { eax: 0, ebx: 0, ecx: 0, edx: 0 });
    },
  ],
  'completeHypercall()': [
    () => exitOf('hypercall', { instructionLength: 3 }),
    (exit) => {
      vp.completeHypercall(exit, { status: 0 });
    },
  ],
  'skipInstruction()': [
    () => exitOf('halt', { instructionLength: 1 }),
    (exit) => {
      vp.skipInstruction(exit);
    },
  ],
  'checkExit()': [
    () => exitOf('halt', {}),
    (exit) => {
      vp.checkExit(exit);
    },
  ],
  'handleExit()': [
    () => exitOf('halt', {}),
    (exit) => new PartitionSynic(host.partition).handleExit(vp, exit),
  ],
  'mapMemory()': [
    () => GuestMemory.allocate(4096, { native: host.native }),
    (memory) => host.partition.mapMemory(memory, { gpa: 0 }),
  ],
  'newRoute()': [
    () => EventFd.create({ native: host.native }),
    (event) => host.partition.irqfd.newRoute({ event }),
  ],
  'registerDoorbell()': [
    () => EventFd.create({ native: host.native }),
    (event) => host.partition.registerDoorbell({ gpa: 0, event }),
  ],
  'Interrupt.fromEvent()': [
    () => EventFd.create({ native: host.native }),
    (event) => Interrupt.fromEvent(event),
  ],
  'newHostEventPort()': [
    () => EventFd.create({ native: host.native }),
    (event) => new PartitionSynic(host.partition).newHostEventPort(1, 0, event),
  ],
  'addEventPort()': [
    () => EventFd.create({ native: host.native }),
    (osEvent) => new SynicPortMap().addEventPort(1, 0, { handleEvent: () => undefined, osEvent }),
  ],
  'new MonitorPages()': [() => new SynicPortMap(), (portMap) => new MonitorPages(portMap)],
  'new HypercallDispatcher()': [
    () => new SynicPortMap(),
    (portMap) => new HypercallDispatcher({ portMap, memory: new SmallMemory() }),
  ],
  'new SynicPorts()': [
    () => new SynicPortMap(),
    (portMap) => {
      const synic = new PartitionSynic(host.partition);
      return new SynicPorts(Object.create(synic, { portMap: { value: portMap } }) as never);
    },
  ],
  'new SynicPortMap()': [
    () => new FailureReports(() => undefined),
    (onError) => new SynicPortMap({ onError }),
  ],
  'simulator.interrupts()': [
    () => new Simulator().open().createPartition(),
    (partition) => new Simulator().interrupts(partition),
  ],
};

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** What looks like an instance. */
const likenesses: Record<string, (instance: object) => object> = {
  'inherits from the class': (instance) =>
    Object.create(Object.getPrototypeOf(instance) as object) as object,
  'inherits from an instance': (instance) => Object.create(instance) as object,
  'is a proxy of an instance': (instance) => new Proxy(instance, {}),
  'is a revoked proxy': revoked,
};

describe.each(Object.entries(takers))('%s', (_, [instanceOf, take]) => {
  it.each(Object.entries(likenesses))('refuses what %s', (_likeness, make) => {
    const instance = instanceOf();
    const value = make(instance);
    expect(() => take(value as never)).toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });
});
