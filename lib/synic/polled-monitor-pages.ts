import { MonitorPages } from './monitor-pages.js';

/** How many units of 100 ns a timer's millisecond has. */
const unitsPerMillisecond = 10_000;

/**
 * Monitor pages that look after themselves: `poll` is called by a timer, which does not keep the process alive. A
 * trigger is seen when its latency is over, or up to some milliseconds later, as timers go.
 *
 * The timer runs while there are a page, with memory that is not trapped, and a monitor. Memory that comes
 * later is found when the page is set again.
 */
export class PolledMonitorPages extends MonitorPages {
  #timer: NodeJS.Timeout | undefined;

  override registerMonitor(monitorId: number, connectionId: number, latency: number): Disposable {
    const registered = super.registerMonitor(monitorId, connectionId, latency);
    this.#pollIn(1);
    return registered;
  }

  override setMonitorPage(vtl: number, gpa: bigint | undefined): void {
    super.setMonitorPage(vtl, gpa);
    this.#pollIn(1);
  }

  override allocateMonitorPage(vtl: number): bigint | undefined {
    const gpa = super.allocateMonitorPage(vtl);
    this.#pollIn(1);
    return gpa;
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #pollIn(milliseconds: number): void {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => {
      const now = process.hrtime.bigint() / 100n;
      const next = this.poll(now);
      // A handler may have given it more to look at, before that time, or ended it.
      if (next !== undefined && this.#timer === timer) {
        const wait = Math.ceil(Number(next - now) / unitsPerMillisecond);
        this.#pollIn(Math.max(wait, 1));
      }
    }, milliseconds);
    this.#timer = timer.unref();
  }
}
