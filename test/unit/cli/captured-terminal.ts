import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';

import type { Terminal } from '../../../lib/cli/terminal.js';

/** Keeps what is written to it. */
export class CapturedStream extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number | undefined;

  constructor(isTTY = false, columns?: number) {
    super();
    this.isTTY = isTTY;
    this.columns = columns;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** A terminal, or two pipes, that keeps what a command writes. Ctrl-C is an event `SIGINT`. */
export class CapturedTerminal extends EventEmitter implements Terminal {
  readonly stdout: CapturedStream;
  readonly stderr: CapturedStream;

  constructor(isTTY = false, columns?: number) {
    super();
    this.stdout = new CapturedStream(isTTY, columns);
    this.stderr = new CapturedStream(isTTY, columns);
  }
}

/** How wide the screens are that everything has to fit. */
export const screens = [60, 80];

/** The lines of a text that a screen of so many columns does not hold. */
export function wideLines(text: string, columns: number): string[] {
  return text.split('\n').filter(({ length }) => length > columns);
}
