import { inspect } from 'node:util';
import { beforeEach, expect } from 'vitest';

import { registerPageLayout } from '../../../lib/abi/register-page.js';
import {
  DirectGuestEventPort,
  Doorbell,
  EventFd,
  FailureReports,
  GsiAllocator,
  GuestMemory,
  type GuestMessagePort,
  GuestMessages,
  HypercallDispatcher,
  Interrupt,
  IrqFd,
  IrqFdRoute,
  MappedMemory,
  MonitorPages,
  Mshv,
  MsiRouteTable,
  PageBitmap,
  Partition,
  PartitionCalls,
  PartitionSynic,
  PolledMonitorPages,
  RegisterPage,
  SharedPartition,
  type SynicMonitorAccess,
  SynicPortMap,
  SynicPorts,
  Vp,
  StartedRun,
  hvStatusCodes,
} from '../../../lib/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { FakeHost } from '../fake-host.js';

/** What is there when a function gets its wrong argument. */
export interface Subjects {
  Mshv: typeof Mshv;
  EventFd: typeof EventFd;
  MsiRouteTable: typeof MsiRouteTable;
  mshv: Mshv;
  partition: Partition;
  /** The same. */
  calls: PartitionCalls;
  SharedPartition: typeof SharedPartition;
  sharedPartition: SharedPartition;
  Vp: typeof Vp;
  /** VP 0. */
  vp: Vp;
  /** Of VP 1. */
  vpRun: StartedRun;
  /** Of VP 0. */
  page: RegisterPage;
  GuestMemory: typeof GuestMemory;
  /** 64 KiB, of which 0x4000 bytes are mapped at GPA 0x10000. */
  memory: GuestMemory;
  mapping: MappedMemory;
  /** Of the pages at GPA 0x10000. */
  bitmap: PageBitmap;
  /** At GPA 0xd0000000, 4 bytes. */
  doorbell: Doorbell;
  irqfd: IrqFd;
  /** Live, GSI 256. */
  route: IrqFdRoute;
  /** GSI 96. */
  resampleRoute: IrqFdRoute;
  event: EventFd;
  gsis: GsiAllocator;
  table: MsiRouteTable;
  PartitionSynic: typeof PartitionSynic;
  synic: PartitionSynic;
  SynicPorts: typeof SynicPorts;
  /** Of `synic`, as all that follow. */
  ports: SynicPorts;
  monitorAccess: SynicMonitorAccess;
  SynicPortMap: typeof SynicPortMap;
  portMap: SynicPortMap;
  HypercallDispatcher: typeof HypercallDispatcher;
  dispatcher: HypercallDispatcher;
  GuestMessages: typeof GuestMessages;
  messages: GuestMessages;
  /** SINT 2 of VP 0. */
  messagePort: GuestMessagePort;
  DirectGuestEventPort: typeof DirectGuestEventPort;
  /** Flag 3 of SINT 2 of VP 0. */
  eventPort: DirectGuestEventPort;
  MonitorPages: typeof MonitorPages;
  monitors: MonitorPages;
  PolledMonitorPages: typeof PolledMonitorPages;
  polledMonitors: PolledMonitorPages;
  Interrupt: typeof Interrupt;
  FailureReports: typeof FailureReports;
  failures: FailureReports;
}

export let host: FakeHost;

export let subjects: Subjects;
let pushes: number;

/** Has each test of the file find new ones, and leave nothing. */
export function useSubjects(): void {
  beforeEach(() => {
    const before = openDescriptors();
    host = new FakeHost();
    pushes = 0;
    const { irqfd, vps } = host.partition;
    const [vp, running] = vps;
    if (vp === undefined || running === undefined) throw new Error('the host has no VPs');
    host.native.vps.of(vp.fd).pages[0]?.set([1], registerPageLayout.isValid);
    const page = vp.registerPage;
    if (page === undefined) throw new Error('VP 0 has no register page');
    const memory = GuestMemory.allocate(0x10000, { native: host.native, shared: true });
    const synic = new PartitionSynic(host.partition, { native: host.native });
    const ports = new SynicPorts(synic);
    const monitorAccess = ports.monitorSupport;
    if (monitorAccess === undefined) throw new Error('the SynIC has no monitor pages');
    const eventPort = synic.newGuestEventPort();
    eventPort.set(0, 0, 2, 3);
    // Waits for its slot.
    host.native.hypervisor = () => ({ status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE });
    void synic.postMessage(0, 1, 2, 1, new Uint8Array());
    host.native.hypervisor = () => undefined;
    subjects = {
      Mshv,
      EventFd,
      MsiRouteTable,
      mshv: host.device,
      partition: host.partition,
      calls: host.partition,
      SharedPartition,
      sharedPartition: SharedPartition.receive(host.partition.share(), { native: host.native }),
      Vp,
      vp,
      vpRun: running.start(() => undefined),
      page,
      GuestMemory,
      memory,
      mapping: host.partition.mapMemory(memory, { gpa: 0x10000, size: 0x4000 }),
      bitmap: host.partition.dirtyPages({ gpa: 0x10000, size: 0x4000 }),
      doorbell: host.partition.registerDoorbell({ gpa: 0xd0000000, size: 4 }),
      irqfd,
      route: irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x50 } }),
      resampleRoute: irqfd.newResampleRoute({ vector: 0x60 }),
      event: EventFd.create({ native: host.native }),
      gsis: new GsiAllocator(),
      table: new MsiRouteTable(() => {
        pushes++;
        return 0;
      }),
      PartitionSynic,
      synic,
      SynicPorts,
      ports,
      monitorAccess,
      SynicPortMap,
      portMap: synic.portMap,
      HypercallDispatcher,
      dispatcher: synic.hypercalls,
      GuestMessages,
      messages: synic.messages,
      messagePort: ports.newGuestMessagePort(0, 0, 2),
      DirectGuestEventPort,
      eventPort,
      MonitorPages,
      monitors: new MonitorPages(synic.portMap),
      PolledMonitorPages,
      polledMonitors: synic.monitorSupport,
      Interrupt,
      FailureReports,
      failures: new FailureReports(() => undefined),
    };
    host.native.record();
    return () => {
      subjects.event.close();
      subjects.sharedPartition.close();
      subjects.memory.close();
      host[Symbol.dispose]();
      expect(openDescriptors()).toBe(before);
    };
  });
}

/** Everything that a call could have changed. */
export function state() {
  const { partition, page, route, resampleRoute, event, gsis, table: routes } = subjects;
  const seen = {
    routes: host.snapshot([route, resampleRoute]),
    partitions: host.native.partitions.size,
    vps: partition.vps.length,
    running: !subjects.vpRun.ended,
    mappings: partition.mappings.length,
    doorbells: partition.doorbells.length,
    memory: subjects.memory.read(0, 16).join(),
    pageDirty: page.dirty,
    pending: event.pending,
    gsisInUse: gsis.inUse,
    routed: routes.size,
    synic: inspect([
      ...[subjects.synic, subjects.portMap, subjects.messages, subjects.messagePort],
      ...[subjects.eventPort, subjects.monitors, subjects.polledMonitors],
    ]),
    pushes,
    descriptors: openDescriptors(),
  };
  host.native.record();
  return seen;
}

/** Calls whatever it is with whatever there is, and returns the error, thrown or by rejection. */
export async function errorOf(
  subject: object,
  method: string | symbol,
  args: readonly unknown[],
): Promise<unknown> {
  try {
    const called: unknown = method === 'new' ? subject : Reflect.get(subject, method);
    if (typeof called !== 'function') throw new Error(`there is no ${String(method)}()`);
    const result: unknown =
      method === 'new' ? Reflect.construct(called, args) : Reflect.apply(called, subject, args);
    await result;
  } catch (error) {
    return error;
  }
  throw new Error(`${String(method)}(${shown(args)}) is accepted`);
}

export const shown = (value: unknown): string =>
  inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 64 });
