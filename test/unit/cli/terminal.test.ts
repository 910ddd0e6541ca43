import { afterEach, expect, it, vi } from 'vitest';

import { widthOf, wrap } from '../../../lib/cli/terminal.js';
import { CapturedStream } from './captured-terminal.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

it.each([
  [undefined, undefined, 80],
  [60, undefined, 60],
  [200, undefined, 80],
  [3, undefined, 20],
  [0, undefined, 80],
  [60, '70', 60],
  [undefined, '70', 70],
  [undefined, '', 80],
  [undefined, 'wide', 80],
  [undefined, '-5', 80],
])('a terminal of %s columns, with COLUMNS %j, has room for %i', (columns, variable, width) => {
  vi.stubEnv('COLUMNS', variable);
  expect(widthOf(new CapturedStream(columns !== undefined, columns))).toBe(width);
});

it('lines break between words, and where they did', () => {
  expect(wrap('one two three\nfour', 7)).toBe('one two\nthree\nfour');
  expect(wrap('extraordinary one', 5)).toBe('extraordinary\none');
  expect(wrap('', 5)).toBe('');
});
