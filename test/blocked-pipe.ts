import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A pipe that a thread of Node's pool waits for, reading or writing, for as long as a test wants it to. */
export class BlockedPipe implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mshv-'));
  readonly #ours: number;
  /** To be read from or written to by the thread. */
  readonly fd: number;

  constructor() {
    const name = join(this.#folder, 'pipe');
    execFileSync('mkfifo', [name]);
    // Both ends at once, so that neither open waits.
    this.fd = openSync(name, 'r+');
    this.#ours = openSync(name, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Leaves no room, so that writing waits. */
  fill(): void {
    const page = new Uint8Array(4096).fill(0xff);
    while (wouldNotWait(() => writeSync(this.#ours, page)) !== undefined);
  }

  /** Lets a thread read so many bytes, none of them 0. */
  feed(length: number): void {
    writeSync(this.#ours, new Uint8Array(length).fill(0xff));
  }

  /** Takes what is in it. */
  drain(): Uint8Array {
    const bytes = new Uint8Array(1 << 17);
    return bytes.subarray(0, wouldNotWait(() => readSync(this.#ours, bytes)) ?? 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    closeSync(this.#ours);
    rmSync(this.#folder, { recursive: true });
  }
}

function wouldNotWait(call: () => number): number | undefined {
  try {
    return call();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}
