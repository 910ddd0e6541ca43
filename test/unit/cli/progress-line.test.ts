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
    expect(stream.text).toBe(`${again}1 of 3 signals (33 %)${again}3 of 3 signals (100 %)${again}`);
  });
});
