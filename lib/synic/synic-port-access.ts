import type { Handle } from '../handle.js';
import type { GuestEventPort, GuestMessagePort, MessagePoster } from './guest-ports.js';
import type { HostEventPort, HostMessagePort } from './host-ports.js';

/** The monitor of an event port. */
export interface MonitorInfo {
  /** 0 to 127. */
  readonly monitorId: number;
  /** How long a notification may be put off, in units of 100 ns, as the monitor page has it: 0 to 65535. */
  readonly latency: number;
}

/** Where the monitor pages are, as guest physical addresses. */
export interface MonitorPageGpas {
  /** The page through which the host would notify the guest; 0 where there is none. Not used: the guest is signalled at once. */
  readonly parentToChild: bigint;
  /** The page through which the guest notifies the host. */
  readonly childToParent: bigint;
}

/** The SynIC ports of a partition: what VMBus, or any other user of the SynIC, needs. */
export interface SynicPortAccess extends MessagePoster {
  /**
   * Adds a port that gets what the guest posts to a connection with `HvPostMessage`.
   *
   * @param connectionId - 0 to 0xffffff
   * @param minimumVtl - the lowest virtual trust level that may post: 0 to 15
   * @returns removes the port; harmless a second time, and after the partition is closed
   * @throws MshvError `ERR_MSHV_CONNECTION_ID_IN_USE`; nothing is left behind
   */
  addMessagePort(connectionId: number, minimumVtl: number, port: HostMessagePort): Handle;
  /**
   * Adds a port that gets what the guest signals on a connection with `HvSignalEvent`.
   *
   * @param connectionId - 0 to 0xffffff
   * @param minimumVtl - the lowest virtual trust level that may signal: 0 to 15
   * @param monitorInfo - ignored where there are no monitor pages
   * @returns removes the port; harmless a second time, and after the partition is closed. Where the partition does not
   *   let go of its doorbell that is thrown, everything else is removed, and another `close()` tries that again
   * @throws MshvError `ERR_MSHV_CONNECTION_ID_IN_USE`, `ERR_MSHV_MONITOR_ID_IN_USE`; nothing is left behind
   */
  addEventPort(
    connectionId: number,
    minimumVtl: number,
    port: HostEventPort,
    monitorInfo?: MonitorInfo,
  ): Handle;
  /**
   * Makes a port that posts messages to a SINT of the guest.
   *
   * @param vtl - 0 to 15
   * @param sint - 0 to 15
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index
   */
  newGuestMessagePort(vtl: number, vp: number, sint: number): GuestMessagePort;
  /** Makes a port that signals nothing until its `set` is called. */
  newGuestEventPort(): GuestEventPort;
  /**
   * Makes a port that signals an event flag.
   *
   * @param portId - not used: the flag says it all
   * @param flag - 0 to 2047
   * @param monitorInfo - ignored: the guest is always signalled at once
   * @throws MshvError `ERR_MSHV_NO_VP` where there is no VP with that index
   */
  newGuestEventPort(
    portId: number,
    vtl: number,
    vp: number,
    sint: number,
    flag: number,
    monitorInfo?: MonitorInfo,
  ): GuestEventPort;
  /**
   * Whether a caller should give an event port an OS event rather than a function, because the partition
   * signals it faster than it returns to user space.
   */
  readonly preferOsEvents: boolean;
  /** The monitor pages; undefined where there are none. */
  readonly monitorSupport: SynicMonitorAccess | undefined;
}

/** The monitor pages of a partition. */
export interface SynicMonitorAccess {
  /** Sets, or with undefined clears, the pages in use. Pages that were allocated before are freed. */
  setMonitorPage(vtl: number, gpas: MonitorPageGpas | undefined): void;
  /** Allocates pages and sets them; undefined where that is not possible. */
  allocateMonitorPage(vtl: number): MonitorPageGpas | undefined;
}
