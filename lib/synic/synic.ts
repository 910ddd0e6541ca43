import type { EventFd } from '../eventfd/eventfd.js';
import type { GuestEventPort, GuestMessagePort, MessagePoster } from './guest-ports.js';
import type { SynicPortMap } from './synic-port-map.js';

/** What `SynicPorts` needs of a partition. */
export interface Synic extends MessagePoster {
  /** Where the guest's hypercalls find the host's ports. */
  readonly portMap: SynicPortMap;
  /**
   * Has the partition itself signal `event` when the guest signals the connection from `minimumVtl` or
   * above.
   *
   * @param event - borrowed until the result is disposed of
   * @returns undoes it; undefined where the partition cannot do this, or not for that connection
   */
  newHostEventPort?(
    connectionId: number,
    minimumVtl: number,
    event: EventFd,
  ): Disposable | undefined;
  /**
   * Makes a port that keeps its messages when it is given another VP. Default: a port over `postMessage`,
   * whose messages go to the VP that it had when they were posted.
   */
  newGuestMessagePort?(vtl: number, vp: number, sint: number): GuestMessagePort;
  /** Makes a port without a flag. */
  newGuestEventPort(): GuestEventPort;
  /** See `SynicPortAccess.preferOsEvents`. */
  readonly preferOsEvents: boolean;
  /** Monitor pages, where there are any. */
  readonly monitorSupport?: SynicMonitor | undefined;
}

/** The guest-to-host monitor pages of a partition. */
export interface SynicMonitor {
  /**
   * Has a trigger of the monitor page signal an event connection.
   *
   * @param monitorId - 0 to 127
   * @param latency - how long a notification may be put off, in units of 100 ns
   * @returns undoes it; harmless a second time
   * @throws MshvError `ERR_MSHV_MONITOR_ID_IN_USE`
   */
  registerMonitor(monitorId: number, connectionId: number, latency: number): Disposable;
  /** Sets, or with undefined clears, the page that the guest's VTL writes to. */
  setMonitorPage(vtl: number, gpa: bigint | undefined): void;
  /** Allocates a page, sets it and returns its GPA; undefined where that is not possible. */
  allocateMonitorPage?(vtl: number): bigint | undefined;
}
