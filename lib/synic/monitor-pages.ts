import { inspect, type InspectOptions } from 'node:util';

import { vtlArgument } from '../abi/arguments.js';
import { monitorPageLayout } from '../abi/synic.js';
import {
  bytesArgument,
  instanceArgument,
  integerArgument,
  pageMultipleArgument,
  uint64Argument,
} from '../arguments.js';
import { MshvError } from '../errors.js';
import { createHandle, type Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { defaulting, takeOptions, type OptionTable } from '../options.js';
import { synchronous } from '../thenable.js';
import { connectionIdArgument, implementation } from './arguments.js';
import {
  failuresOption,
  reasonOf,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import type { MemoryBits } from '../memory/memory-bits.js';
import { takeTrigger, ViewedBits } from './monitor-bits.js';
import { type SynicPortMap, synicPortMapBrand } from './synic-port-map.js';
import type { SynicMonitor } from './synic.js';

/** What monitor pages need of the guest's memory. */
export interface MonitorMemory {
  /**
   * The 4096 bytes of a page, as the guest sees them at this moment, or what changes bits of them where there is no
   * buffer over them; undefined where there is no such memory. Asked for at each `poll`, and not kept.
   */
  page?(gpa: bigint): Uint8Array | MemoryBits | undefined;
  /** Allocates a page of zeros for a VTL and returns its GPA; undefined where there is no room. */
  allocatePage?(vtl: number): bigint | undefined;
  /** Takes an allocated page back. */
  freePage?(gpa: bigint): void;
  /**
   * Calls `listener` whenever there may be memory where there was none, until the result is disposed of. Without it
   * memory that comes later is found when the page is set again.
   */
  onMapped?(listener: () => void): Disposable;
}

/** Whose monitor pages these are, and what is told of failures. */
export interface MonitorPagesOptions {
  /** Needed for `poll` and `allocateMonitorPage`. Default: pages whose writes are trapped, and no others. */
  memory?: MonitorMemory;
  /**
   * Is told of what `memory.page` throws while `poll` looks: `ERR_MSHV_MONITOR_PAGE`, with that as its `cause`; the page
   * is left out of that poll, and is to be looked at again in a second. Default: the first failure of each page is a process warning.
   */
  onError?: FailureListener | FailureReports;
}

const pagesOptions = {
  memory: defaulting(
    implementation<MonitorMemory>([], ['page', 'allocatePage', 'freePage', 'onMapped']),
    {},
  ),
  onError: failuresOption,
} satisfies OptionTable<MonitorPagesOptions>;

interface Monitor {
  readonly connectionId: number;
  readonly latency: bigint;
}

interface Page {
  readonly vtl: number;
  readonly gpa: bigint;
  allocated: boolean;
  /** When each trigger is to be looked at next. */
  readonly nextChecks: (bigint | undefined)[];
}

const layout = monitorPageLayout;
const pageSize = BigInt(layout.size);
/** How long a page that could not be looked at is left alone: a second. */
const retryInterval = 10_000_000n;
/** Stands for such a page. */
const failed = 'failed';

/**
 * The guest-to-host monitor pages of a partition, one for each VTL: a guest sets a trigger's bit in the page
 * instead of signalling a connection.
 *
 * A page is used in one of two ways. Where the guest's writes to it are trapped, `handleWrite` signals at
 * once, and the page's contents do not count. Where they are not, `poll` looks at the contents, at each trigger as
 * often as its latency says.
 *
 * The guest sets pending bits, and nothing else. Which groups are enabled the host says, on the page: all those that have
 * a monitor. Linux sets pending bits without a look at the groups (`vmbus_setevent`), and nothing that a guest writes there
 * turns one off: they are enabled again whenever the page is looked at, before the triggers are. Other bits of that
 * word, and groups that have no monitor any more, are left as they are.
 *
 * @example
 * ```ts
 * import { PartitionSynic } from 'mshv';
 *
 * using synic = new PartitionSynic(partition, { monitorPages: [0x5000n] });
 * console.log(synic.monitorSupport.allocateMonitorPage(0)); // 20480n
 * ```
 */
export class MonitorPages implements SynicMonitor, Disposable {
  readonly #portMap: SynicPortMap;
  readonly #memory: MonitorMemory;
  readonly #failures: Failures;
  readonly #monitors = new Array<Monitor | undefined>(layout.monitors).fill(undefined);
  readonly #pages = new Map<number, Page>();
  /** The groups that have a monitor, as the trigger state has them. */
  #groups = 0;
  #unclaimed = 0;

  /** @param portMap - where the connections are signalled, with the VTL of the page and flag 0 */
  constructor(portMap: SynicPortMap, options: MonitorPagesOptions = {}) {
    instanceArgument('portMap', portMap, synicPortMapBrand);
    const { memory, onError } = takeOptions('options', options, pagesOptions);
    this.#failures = onError;
    this.#portMap = portMap;
    this.#memory = memory;
  }

  /** How many triggers of ids that nobody has registered were written so far. */
  get unclaimed(): number {
    return this.#unclaimed;
  }

  /** Whether any VTL has a page. */
  protected get hasPages(): boolean {
    return this.#pages.size > 0;
  }

  /**
   * The page in use, or undefined where there is none.
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * console.log(synic.monitorSupport.monitorPage(0)); // undefined
   * ```
   */
  monitorPage(vtl: number): bigint | undefined {
    return this.#pages.get(vtlArgument('vtl', vtl))?.gpa;
  }

  /**
   * Has a trigger signal an event connection.
   *
   * @param monitorId - 0 to 127
   * @param latency - how long `poll` may put a notification off, in units of 100 ns: 0 to 65535
   * @returns undoes it; harmless a second time
   * @throws MshvError `ERR_MSHV_MONITOR_ID_IN_USE`, naming the connection
   */
  registerMonitor(monitorId: number, connectionId: number, latency: number): Handle {
    monitorId = integerArgument('monitorId', monitorId, 0, layout.monitors - 1);
    connectionId = connectionIdArgument(connectionId);
    latency = integerArgument('latency', latency, 0, 0xffff);
    const present = this.#monitors[monitorId];
    if (present !== undefined) {
      throw new MshvError(
        `monitor id ${monitorId} is in use by connection 0x${present.connectionId.toString(16)}`,
        { code: 'ERR_MSHV_MONITOR_ID_IN_USE' },
      );
    }
    const monitor = { connectionId, latency: BigInt(latency) };
    this.#monitors[monitorId] = monitor;
    for (const { nextChecks } of this.#pages.values()) {
      nextChecks[monitorId] = undefined;
    }
    this.#enableGroups();
    return createHandle(`monitor ${monitorId}`, {
      isOpen: () => this.#monitors[monitorId] === monitor,
      end: () => {
        this.#monitors[monitorId] = undefined;
        this.#enableGroups();
      },
    });
  }

  /**
   * Sets, or with undefined clears, the page that a VTL writes to. A page that was allocated for it before is
   * freed.
   *
   * @param gpa - a multiple of 4096
   * @throws MshvError `ERR_MSHV_MONITOR_PAGE_IN_USE` where it is another VTL's; what `memory.page` throws
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.monitorSupport.setMonitorPage(0, 0x5000n);
   * console.log(synic.monitorSupport.monitorPage(0)); // 20480n
   * ```
   */
  setMonitorPage(vtl: number, gpa: bigint | undefined): void {
    vtl = vtlArgument('vtl', vtl);
    if (gpa !== undefined) {
      gpa = pageMultipleArgument('gpa', gpa);
    }
    this.#set(vtl, gpa, false);
  }

  /**
   * Allocates a page and sets it. A page that was allocated before is freed.
   *
   * @returns its GPA; undefined where the memory has no page to give, and nothing changes
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition, { monitorPages: [0x5000n] });
   * console.log(synic.monitorSupport.allocateMonitorPage(0)); // 20480n
   * ```
   */
  allocateMonitorPage(vtl: number): bigint | undefined {
    vtl = vtlArgument('vtl', vtl);
    const gpa = synchronous('allocatePage()', this.#memory.allocatePage?.(vtl));
    if (gpa === undefined) {
      return undefined;
    }
    try {
      this.#set(vtl, gpa, true);
    } catch (error) {
      this.#memory.freePage?.(gpa);
      throw error;
    }
    return gpa;
  }

  /**
   * Handles a trapped write of the guest: signals the connection of each trigger whose bit it sets, in the order
   * of their ids. It may cover a part of a trigger group, several, or none, and reach beyond the page; the
   * bytes that are not in the page are somebody else's.
   *
   * @param gpa - where the first byte goes
   * @returns whether any of it is in a monitor page
   */
  handleWrite(gpa: number | bigint, bytes: Uint8Array): boolean {
    const first = uint64Argument('gpa', gpa);
    bytesArgument('bytes', bytes);
    const pages = this.#pagesAt(first, bytes.length);
    for (const page of pages) {
      this.#triggerAll(page, Number(first - page.gpa), bytes);
    }
    return pages.length > 0;
  }

  #enableGroups(): void {
    this.#groups = this.#monitors.reduce(
      (mask, monitor, id) => (monitor === undefined ? mask : mask | groupBit(id)),
      0,
    );
  }

  #triggerAll(page: Page, start: number, bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      const offset = start + i - layout.triggerGroups;
      const group = Math.floor(offset / layout.triggerGroupSize);
      const byte = offset - group * layout.triggerGroupSize;
      if (group < 0 || group >= layout.groups || byte >= layout.triggersPerGroup / 8) {
        continue;
      }
      const bits = bytes[i] ?? 0;
      for (let bit = 0; bit < 8; bit++) {
        // A handler may have given the VTL another page.
        if ((bits & (1 << bit)) !== 0 && this.#pages.get(page.vtl) === page) {
          this.#trigger(page, group * layout.triggersPerGroup + byte * 8 + bit);
        }
      }
    }
  }

  /**
   * Handles a trapped read of the guest: in a monitor page it reads which groups are enabled, and else zeros,
   * since every trigger has been signalled when it was set. Bytes that are not in the page are left alone.
   *
   * @returns whether any of it is in a monitor page
   */
  handleRead(gpa: number | bigint, bytes: Uint8Array): boolean {
    const first = uint64Argument('gpa', gpa);
    bytesArgument('bytes', bytes);
    const pages = this.#pagesAt(first, bytes.length);
    for (const page of pages) {
      const start = Number(page.gpa - first);
      bytes.fill(0, Math.max(start, 0), Math.min(start + layout.size, bytes.length));
      const state = start + layout.triggerState;
      if (state >= 0 && state < bytes.length) {
        bytes[state] = this.#groups;
      }
    }
    return pages.length > 0;
  }

  /**
   * Looks at the triggers whose time has come; takes back those that are set and signals their connections. A trigger that is set again while its connection is signalled is
   * signalled again at its next turn.
   *
   * @param now - any clock that does not go back, in units of 100 ns
   * @returns when to call again; undefined where there is nothing to look at: no page, or no monitor
   */
  poll(now: bigint): bigint | undefined {
    uint64Argument('now', now);
    let next: bigint | undefined;
    for (const page of [...this.#pages.values()]) {
      let bits = this.#bitsOf(page);
      if (bits === undefined) {
        continue;
      }
      for (let id = 0; id < layout.monitors; id++) {
        const monitor = this.#monitors[id];
        // A handler may have given the VTL another page, or taken the memory away.
        if (monitor === undefined || this.#pages.get(page.vtl) !== page || bits === undefined) {
          continue;
        }
        if (bits === failed) {
          next = earlier(next, now + retryInterval);
          break;
        }
        let due = page.nextChecks[id];
        if (due === undefined || due <= now) {
          due = now + (monitor.latency === 0n ? 1n : monitor.latency);
          page.nextChecks[id] = due;
          if (takeTrigger(bits, id)) {
            this.#trigger(page, id);
            // It may have put other memory there.
            bits = this.#bitsOf(page);
          }
        }
        next = earlier(next, due);
      }
    }
    return next;
  }

  /** Clears all pages, and frees those that were allocated; others can be set. Harmless a second time. */
  close(): void {
    for (const vtl of [...this.#pages.keys()]) {
      this.#set(vtl, undefined, false);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const monitors = this.#monitors.filter((monitor) => monitor !== undefined).length;
    return inspected(this.constructor.name, { monitors, pages: this.#pages.size }, depth, options);
  }

  #set(vtl: number, gpa: bigint | undefined, allocated: boolean): void {
    if (gpa !== undefined && this.#pages.get(vtl)?.gpa !== gpa) {
      synchronous('page()', this.#memory.page?.(gpa));
    }
    // From here on nobody else is called before it is done.
    const present = this.#pages.get(vtl);
    if (present?.gpa === gpa) {
      if (present !== undefined) {
        // Whoever allocates it gives it back.
        present.allocated ||= allocated;
      }
      return;
    }
    const holder = [...this.#pages.values()].find((page) => page.gpa === gpa);
    if (gpa !== undefined && holder !== undefined) {
      throw new MshvError(
        `page 0x${gpa.toString(16)} is the monitor page of VTL ${holder.vtl} already`,
        { code: 'ERR_MSHV_MONITOR_PAGE_IN_USE' },
      );
    }
    if (gpa === undefined) {
      this.#pages.delete(vtl);
    } else {
      const nextChecks = new Array<bigint | undefined>(layout.monitors).fill(undefined);
      this.#pages.set(vtl, { vtl, gpa, allocated, nextChecks });
    }
    if (present?.allocated === true) {
      this.#memory.freePage?.(present.gpa);
    }
  }

  /** The bits of a page, its groups enabled; undefined where it cannot be seen, `failed` where that may pass. */
  #bitsOf(page: Page): MemoryBits | typeof failed | undefined {
    try {
      const found = synchronous('page()', this.#memory.page?.(page.gpa));
      if (found === undefined || ('length' in found && found.length < layout.size)) {
        return undefined;
      }
      const bits = 'length' in found ? new ViewedBits(found) : found;
      bits.setBits(layout.triggerState, this.#groups);
      return bits;
    } catch (cause) {
      this.#failures.report(
        page,
        () =>
          new MshvError(
            `cannot look at the monitor page 0x${page.gpa.toString(16)}: ${reasonOf(cause)}`,
            { code: 'ERR_MSHV_MONITOR_PAGE', cause },
          ),
      );
      return failed;
    }
  }

  #pagesAt(first: bigint, length: number): Page[] {
    const end = first + BigInt(length);
    return [...this.#pages.values()].filter(({ gpa }) => first < gpa + pageSize && end > gpa);
  }

  #trigger(page: Page, monitorId: number): void {
    const monitor = this.#monitors[monitorId];
    if (monitor === undefined) {
      this.#unclaimed++;
      return;
    }
    this.#portMap.handleSignalEvent(page.vtl, monitor.connectionId, 0);
  }
}

function earlier(time: bigint | undefined, other: bigint): bigint {
  return time === undefined || other < time ? other : time;
}

/** The bit of a trigger's group in the trigger state. */
function groupBit(id: number): number {
  return 1 << Math.floor(id / layout.triggersPerGroup);
}
