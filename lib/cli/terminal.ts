import type { Writable } from 'node:stream';

/** A stream that may lead to a terminal, of so many columns. */
export type OutputStream = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
};

/** Where a command writes, and who interrupts it: `process`. */
export interface Terminal {
  /** Results. */
  readonly stdout: OutputStream;
  /** Errors, and progress where it is a terminal. */
  readonly stderr: OutputStream;
  /** Ctrl-C: whoever listens ends what it does by itself. */
  once(event: 'SIGINT', listener: () => void): unknown;
  off(event: 'SIGINT', listener: () => void): unknown;
}

const least = 20;
const most = 80;

/** How wide a text may be, in columns: at most 80, also where the terminal is wider. Elsewhere `COLUMNS` tells, if anything does. */
export function widthOf({ columns }: OutputStream): number {
  const said = columns ?? Number(process.env['COLUMNS'] ?? most);
  return said > 0 ? Math.min(most, Math.max(least, said)) : most;
}

/** The text in lines that are as wide as this at the most, but for longer words. */
export function wrap(text: string, width: number): string {
  const lines = text.split('\n').map((line) =>
    line.split(' ').reduce((wrapped, word) => {
      const last = wrapped.length - wrapped.lastIndexOf('\n') - 1;
      return `${wrapped}${last + 1 + word.length > width ? '\n' : ' '}${word}`;
    }),
  );
  return lines.join('\n');
}
