import type { Handle } from '../handle.js';
import { MonitorPages, type MonitorMemory, type MonitorPagesOptions } from './monitor-pages.js';
import type { SynicPortMap } from './synic-port-map.js';

/** How many units of 100 ns a timer's millisecond has. */
const unitsPerMillisecond = 10_000;

/**
 * Monitor pages that look after themselves: `poll` is called by a timer, which does not keep the process alive. A
 * trigger is seen when its latency is over, or up to some milliseconds later, as timers go.
 *
 * The timer runs while there are a page, with memory that is not trapped, and a monitor. Memory that comes
 * later is found when the options' `memory.onMapped` says so, else when the page is set again.
 *
 * @example
 * ```ts
 * import { PolledMonitorPages, SynicPortMap } from 'mshv';
 *
 * using pages = new PolledMonitorPages(new SynicPortMap());
 * console.log(pages.unclaimed); // 0
 * ```
 */
export class PolledMonitorPages extends MonitorPages {
  readonly #memory: MonitorMemory | undefined;
  #timer: NodeJS.Timeout | undefined;
  #listening: Disposable | undefined;

  /** @param portMap - where the connections are signalled, with the VTL of the page and flag 0 */
  constructor(portMap: SynicPortMap, options: MonitorPagesOptions = {}) {
    super(portMap, options);
    this.#memory = options.memory;
  }

  override registerMonitor(monitorId: number, connectionId: number, latency: number): Handle {
    const registered = super.registerMonitor(monitorId, connectionId, latency);
    this.#pollIn(1);
    return registered;
  }

  override setMonitorPage(vtl: number, gpa: bigint | undefined): void {
    super.setMonitorPage(vtl, gpa);
    this.#listen();
    this.#pollIn(1);
  }

  override allocateMonitorPage(vtl: number): bigint | undefined {
    const gpa = super.allocateMonitorPage(vtl);
    this.#listen();
    this.#pollIn(1);
    return gpa;
  }

  override close(): void {
    try {
      super.close();
    } finally {
      this.#listen();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  /** Wants to hear of memory exactly while there is a page. */
  #listen(): void {
    if (!this.hasPages) {
      this.#listening?.[Symbol.dispose]();
      this.#listening = undefined;
    } else {
      this.#listening ??= this.#memory?.onMapped?.(() => {
        // A timer that runs will find it.
        if (this.#timer === undefined) {
          this.#pollIn(1);
        }
      });
    }
  }

  #pollIn(milliseconds: number): void {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => {
      const now = process.hrtime.bigint() / 100n;
      const next = this.poll(now);
      // A handler may have given it more to look at, before that time, or ended it.
      if (this.#timer !== timer) {
        return;
      }
      this.#timer = undefined;
      if (next !== undefined) {
        const wait = Math.ceil(Number(next - now) / unitsPerMillisecond);
        this.#pollIn(Math.max(wait, 1));
      }
    }, milliseconds);
    this.#timer = timer.unref();
  }
}
