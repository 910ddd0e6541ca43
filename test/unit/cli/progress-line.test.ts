import { describe, expect, it } from 'vitest';

import { ProgressLine } from '../../../lib/cli/progress-line.js';
import { CapturedStream } from './captured-terminal.js';

describe('ProgressLine', () => {
  it('writes nothing to a pipe', () => {
    const stream = new CapturedStream();
    let now = 0;
    const line = new ProgressLine(stream, 'signals', () => now);
    now = 10_000;
    line.update(1, 2);
    line.end();
    expect(stream.text).toBe('');
  });

  it('writes nothing to a terminal where the run is short', () => {
    const stream = new CapturedStream(true);
    const line = new ProgressLine(stream, 'signals', () => 0);
    line.update(1, 2);
    line.end();
    expect(stream.text).toBe('');
  });

  it('rewrites its line, not too often, and takes it away', () => {
    const stream = new CapturedStream(true);
    let now = 0;
    const line = new ProgressLine(stream, 'signals', () => now);
    const again = '\u001b[1G\u001b[2K';
    now = 1000;
    line.update(1, 3);
    line.update(2, 3);
    now = 2000;
    line.update(3, 3);
    line.end();
    line.end();
    expect(stream.text).toBe(
      `${again}1 of 3 signals (33 %), 2 s left${again}3 of 3 signals (100 %)${again}`,
    );
  });

  it.each([
    [500, 1, 3, ''],
    [1000, 0, 3, ''],
    [1000, 3, 3, ''],
    [1000, 2, 3, ', 1 s left'],
    [1000, 1, 100, ', 99 s left'],
    [1000, 1, 101, ', 2 min left'],
    [60_000, 1, 100, ', 99 min left'],
    [60_000, 1, 102, ', 2 h left'],
  ])('after %i ms, %i of %i, says how long it takes: %j', (now, done, total, left) => {
    const stream = new CapturedStream(true);
    let time = 0;
    const line = new ProgressLine(stream, 'signals', () => time);
    time = now;
    line.update(done, total);
    expect(stream.text).toMatch(/^.*%\).*$/);
    expect(stream.text.replace(/^.*%\)/, '')).toBe(left);
  });
});
