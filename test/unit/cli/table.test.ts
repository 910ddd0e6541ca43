import { describe, expect, it } from 'vitest';

import { renderTable, type Column } from '../../../lib/cli/table.js';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly text: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'name', align: 'left', value: ({ name }) => name },
  { title: 'count', align: 'right', isSpare: true, value: ({ count }) => count },
  { title: 'twice', align: 'right', isSpare: true, value: ({ count }) => 2 * count },
  { title: 'text', align: 'left', wraps: true, value: ({ text }) => text },
];
const rows: readonly Row[] = [{ name: 'one', count: 7, text: 'some words that are long' }];

describe('a table', () => {
  it('has its columns side by side where there is room', () => {
    expect(renderTable(columns, rows, 80).split('\n')).toEqual([
      ' name  count  twice  text',
      ' --------------------------------------------',
      ' one       7     14  some words that are long',
    ]);
  });

  it('wraps what wraps', () => {
    expect(renderTable(columns, rows, 34).split('\n')).toEqual([
      ' name  count  twice  text',
      ' ---------------------------------',
      ' one       7     14  some words',
      '                     that are long',
    ]);
  });

  it('breaks words that have no room', () => {
    const long = [{ name: 'one', count: 7, text: `a ${'0123456789'.repeat(2)}1 b` }];
    expect(renderTable(columns, long, 31).split('\n')).toEqual([
      ' name  count  twice  text',
      ' ------------------------------',
      ' one       7     14  a',
      '                     0123456789',
      '                     0123456789',
      '                     1 b',
    ]);
  });

  it('leaves out what is spare, the last first', () => {
    expect(renderTable(columns, rows, 30).split('\n')[0]).toBe(' name  count  text');
    expect(renderTable(columns, rows, 20).split('\n')[0]).toBe(' name  text');
  });
});
