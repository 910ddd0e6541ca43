import { clearLine, cursorTo } from 'node:readline';

import type { OutputStream } from './terminal.js';

/** Shorter runs show nothing, and the line changes this often, in ms. */
const interval = 200;

/** One line on a terminal that says how far a run is. Writes nothing anywhere else. */
export class ProgressLine {
  readonly #stream: OutputStream;
  readonly #what: string;
  readonly #now: () => number;
  #next: number;
  #shown = false;

  constructor(stream: OutputStream, what: string, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#what = what;
    this.#now = now;
    this.#next = now() + interval;
  }

  update(done: number, total: number): void {
    if (this.#stream.isTTY !== true || this.#now() < this.#next) {
      return;
    }
    this.#next = this.#now() + interval;
    this.#clear();
    this.#stream.write(`${done} of ${total} ${this.#what} (${Math.floor((done / total) * 100)} %)`);
    this.#shown = true;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) {
      this.#clear();
      this.#shown = false;
    }
  }

  #clear(): void {
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }
}
