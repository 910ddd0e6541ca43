import { clearLine, cursorTo } from 'node:readline';

import type { OutputStream } from './terminal.js';

/** Shorter runs show nothing, and the line changes this often, in ms. */
const interval = 200;
/** An estimate from less is none, in ms. */
const leastElapsed = 1000;

/** One line on a terminal that says how far a run is, and how long it takes from here. Writes nothing anywhere else. */
export class ProgressLine {
  readonly #stream: OutputStream;
  readonly #what: string;
  readonly #now: () => number;
  readonly #begin: number;
  #next: number;
  #shown = false;

  constructor(stream: OutputStream, what: string, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#what = what;
    this.#now = now;
    this.#begin = now();
    this.#next = this.#begin + interval;
  }

  update(done: number, total: number): void {
    const now = this.#now();
    if (this.#stream.isTTY !== true || now < this.#next) {
      return;
    }
    this.#next = now + interval;
    this.#clear();
    const percent = Math.floor((done / total) * 100);
    this.#stream.write(
      `${done} of ${total} ${this.#what} (${percent} %)${this.#left(done, total)}`,
    );
    this.#shown = true;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) {
      this.#clear();
      this.#shown = false;
    }
  }

  #left(done: number, total: number): string {
    const elapsed = this.#now() - this.#begin;
    if (elapsed < leastElapsed || done === 0 || done === total) return '';
    return `, ${duration((elapsed * (total - done)) / done)} left`;
  }

  #clear(): void {
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }
}

/** So many ms in the unit that has one or two digits of it, rounded up. */
function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
