import { inspect, type InspectOptions } from 'node:util';

import type { WaitOptions } from '../abort-signal.js';
import { flagArgument, vtlArgument } from '../abi/arguments.js';
import { monitorPageLayout, synicLimits } from '../abi/synic.js';
import { instanceArgument, integerArgument } from '../arguments.js';
import { closeEach } from '../closing.js';
import { isClosedError, MshvError } from '../errors.js';
import { createHandle, type Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import {
  integer,
  optional,
  pageMultiple,
  table,
  takeOptions,
  type OptionTable,
} from '../options.js';
import { implementationArgument, messageArguments, targetArguments } from './arguments.js';
import { reasonOf } from '../failures.js';
import type { GuestEventPort, GuestMessagePort, PostResult } from './guest-ports.js';
import type { HostEventPort, HostMessagePort } from './host-ports.js';
import { SintMessagePort } from './sint-message-port.js';
import { synicPortMapBrand } from './synic-port-map.js';
import type {
  MonitorInfo,
  MonitorPageGpas,
  SynicMonitorAccess,
  SynicPortAccess,
} from './synic-port-access.js';
import type { Synic, SynicMonitor } from './synic.js';

const monitorInfoOptions = {
  monitorId: integer(0, monitorPageLayout.monitors - 1),
  latency: integer(0, 0xffff),
} satisfies OptionTable<MonitorInfo>;

const monitorInfoArgument = optional(table(monitorInfoOptions));

const monitorPageGpas = {
  parentToChild: pageMultiple(),
  childToParent: pageMultiple(),
} satisfies OptionTable<MonitorPageGpas>;

/**
 * The ports of one partition, over its `PartitionSynic`: see `SynicPortAccess`.
 *
 * @example
 * ```ts
 * import { PartitionSynic, SynicPorts } from 'mshv';
 *
 * using synic = new PartitionSynic(partition);
 * const ports = new SynicPorts(synic);
 * using port = ports.addEventPort(0x2001, 0, { handleEvent: (flag) => console.log(flag) });
 * console.log(port.closed); // false
 * ```
 */
export class SynicPorts implements SynicPortAccess {
  readonly #synic: Synic;

  constructor(synic: Synic) {
    implementationArgument(
      'synic',
      synic,
      ['postMessage', 'newGuestEventPort'],
      ['newHostEventPort', 'newGuestMessagePort'],
    );
    instanceArgument('synic.portMap', synic.portMap, synicPortMapBrand);
    this.#synic = synic;
  }

  get preferOsEvents(): boolean {
    return this.#synic.preferOsEvents;
  }

  get monitorSupport(): SynicMonitorAccess | undefined {
    const monitor = this.#synic.monitorSupport;
    return monitor === undefined ? undefined : new SynicPortsMonitor(monitor);
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic, SynicPorts } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.installIntercepts();
   * using port = new SynicPorts(synic).addMessagePort(4, 0, {
   *   handleMessage: (message) => console.log(message[0]), // 15
   * });
   * guest.postMessage(4, 1, Uint8Array.of(15), 0x1000);
   * const exit = vp.run();
   * if (exit !== undefined) synic.handleExit(vp, exit);
   * ```
   */
  addMessagePort(connectionId: number, minimumVtl: number, port: HostMessagePort): Handle {
    return this.#synic.portMap.addMessagePort(connectionId, minimumVtl, port);
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic, SynicPorts } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.installIntercepts();
   * using port = new SynicPorts(synic).addEventPort(0x2001, 0, {
   *   handleEvent: (flag) => console.log(flag), // 7
   * });
   * guest.signalEvent(0x2001, 7);
   * const exit = vp.run();
   * if (exit !== undefined) synic.handleExit(vp, exit);
   * ```
   */
  addEventPort(
    connectionId: number,
    minimumVtl: number,
    port: HostEventPort,
    monitorInfo?: MonitorInfo,
  ): Handle {
    const monitor = monitorInfoArgument('monitorInfo', monitorInfo);
    // First in the map, where an id that is in use is found before anything else is made.
    const made: Disposable[] = [this.#synic.portMap.addEventPort(connectionId, minimumVtl, port)];
    try {
      const { osEvent } = port;
      const bound = osEvent && this.#synic.newHostEventPort?.(connectionId, minimumVtl, osEvent);
      if (bound !== undefined) {
        made.unshift(bound);
      }
      const { monitorSupport } = this.#synic;
      if (monitor !== undefined && monitorSupport !== undefined) {
        const { monitorId, latency } = monitor;
        made.unshift(monitorSupport.registerMonitor(monitorId, connectionId, latency));
      }
    } catch (error) {
      try {
        disposeEach(made);
      } catch (undoing) {
        throw new MshvError(
          `cannot add an event port: ${reasonOf(error)}; nor undo what was done: ${reasonOf(undoing)}`,
          { code: 'ERR_MSHV_UNDO', cause: new AggregateError([error, undoing]) },
        );
      }
      throw error;
    }
    return createHandle(`the event port of connection 0x${connectionId.toString(16)}`, {
      isOpen: () => made.length > 0,
      end: () => {
        disposeEach(made);
      },
    });
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic, SynicPorts } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using port = new SynicPorts(synic).newGuestMessagePort(0, 0, 2); // VTL, VP, SINT
   * console.log(port.closed); // false
   * ```
   */
  newGuestMessagePort(vtl: number, vp: number, sint: number): GuestMessagePort {
    ({ vtl, vp, sint } = targetArguments(vtl, vp, sint));
    const synic = this.#synic;
    return (
      synic.newGuestMessagePort?.(vtl, vp, sint) ??
      new SintMessagePort(vtl, vp, sint, {
        hasVp: () => true,
        post: (target, ...message) => synic.postMessage(vtl, target, sint, ...message),
        move: () => undefined,
        leave: () => undefined,
      })
    );
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic, SynicPorts } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using port = new SynicPorts(synic).newGuestEventPort();
   * port.set(0, 0, 2, 7); // VTL, VP, SINT, flag
   * ```
   */
  newGuestEventPort(
    ...args:
      | []
      | [
          portId: number,
          vtl: number,
          vp: number,
          sint: number,
          flag: number,
          monitorInfo?: MonitorInfo | undefined,
        ]
  ): GuestEventPort {
    if (args.length === 0) {
      return this.#synic.newGuestEventPort();
    }
    const [portId, vtl, vp, sint, flag, monitorInfo] = args;
    // eslint-disable-next-line no-restricted-syntax -- nobody is told of it: ports need no id here
    integerArgument('portId', portId, 0, synicLimits.connectionIdMask);
    const target = targetArguments(vtl, vp, sint);
    const checkedFlag = flagArgument('flag', flag);
    monitorInfoArgument('monitorInfo', monitorInfo);
    const port = this.#synic.newGuestEventPort();
    try {
      port.set(target.vtl, target.vp, target.sint, checkedFlag);
      return port;
    } catch (error) {
      port.close();
      throw error;
    }
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic, SynicPorts } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * console.log(new SynicPorts(synic).postMessage(0, 0, 2, 1, Uint8Array.of(15))); // true
   * ```
   */
  postMessage(
    vtl: number,
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    options: WaitOptions = {},
  ): PostResult {
    ({ vtl, vp, sint } = targetArguments(vtl, vp, sint));
    const waiting = messageArguments(type, payload, options);
    return this.#synic.postMessage(vtl, vp, sint, type, payload, waiting);
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('SynicPorts', { ports: this.#synic.portMap.size }, depth, options);
  }
}

class SynicPortsMonitor implements SynicMonitorAccess {
  readonly #monitor: SynicMonitor;

  constructor(monitor: SynicMonitor) {
    this.#monitor = monitor;
  }

  setMonitorPage(vtl: number, gpas: MonitorPageGpas | undefined): void {
    vtl = vtlArgument('vtl', vtl);
    if (gpas === undefined) {
      this.#monitor.setMonitorPage(vtl, undefined);
      return;
    }
    this.#monitor.setMonitorPage(vtl, takeOptions('gpas', gpas, monitorPageGpas).childToParent);
  }

  allocateMonitorPage(vtl: number): MonitorPageGpas | undefined {
    vtl = vtlArgument('vtl', vtl);
    const childToParent = this.#monitor.allocateMonitorPage?.(vtl);
    return childToParent === undefined ? undefined : { parentToChild: 0n, childToParent };
  }
}

/**
 * Disposes of all, in order, and takes out what is done: what failed is left for another time. What the end of the
 * partition has closed already is as good as disposed of.
 */
function disposeEach(made: Disposable[]): void {
  const all = made.splice(0);
  closeEach(
    'SynIC port',
    all.map((disposable) => () => {
      try {
        disposable[Symbol.dispose]();
      } catch (error) {
        if (!isClosedError(error)) {
          made.push(disposable);
          throw error;
        }
      }
    }),
  );
}
