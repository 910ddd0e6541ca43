import { Writable } from 'node:stream';

import type { Terminal } from '../../../lib/cli/terminal.js';

/** Keeps what is written to it. */
export class CapturedStream extends Writable {
  text = '';
  readonly isTTY: boolean;

  constructor(isTTY = false) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** A terminal, or two pipes, that keeps what a command writes. */
export class CapturedTerminal implements Terminal {
  readonly stdout: CapturedStream;
  readonly stderr: CapturedStream;

  constructor(isTTY = false) {
    this.stdout = new CapturedStream(isTTY);
    this.stderr = new CapturedStream(isTTY);
  }
}

/** The lines of a text that a screen of 80 columns does not hold. */
export function wideLines(text: string): string[] {
  return text.split('\n').filter(({ length }) => length > 80);
}
