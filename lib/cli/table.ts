import { Table } from 'console-table-printer';

/** A column: `value` fills its cell of each row. */
export interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Whether long text goes on in the next line, where the other columns leave it no room. */
  readonly wraps?: true;
  /** Whether the column is left out where there is no room: the last such column first. */
  readonly isSpare?: true;
  value(row: Row): string | number;
}

const noBorder = { left: '', mid: '', right: '', other: '' };
/** A space before the first column, two between columns. */
const gap = 2;
const leastWrapped = 10;

/** Plain text of so many columns at the most, each line indented by a space, without a newline at the end. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): string {
  const natural = (column: Column<Row>): number =>
    Math.max(column.title.length, ...rows.map((row) => String(column.value(row)).length));
  const shown = [...columns];
  /** What is left for a column that wraps, or beyond the last one. */
  const room = (): number =>
    shown.reduce(
      (left, column) => left - (column.wraps === true ? 0 : natural(column)),
      width - 1 - gap * (shown.length - 1),
    );
  const needed = shown.some(({ wraps }) => wraps === true) ? leastWrapped : 0;
  while (room() < needed) {
    const spare = shown.findLastIndex(({ isSpare }) => isSpare === true);
    if (spare === -1) break;
    shown.splice(spare, 1);
  }
  const wrapped = Math.max(leastWrapped, room());
  const tooLong = new RegExp(`\\S{${wrapped}}(?=\\S)`, 'g');
  const cell = (column: Column<Row>, row: Row): string | number =>
    column.wraps === true
      ? String(column.value(row)).replaceAll(tooLong, '$& ')
      : column.value(row);
  const table = new Table({
    columns: shown.map(({ title, align, wraps }, index) => ({
      name: String(index),
      title,
      alignment: align,
      ...(wraps === true ? { maxLen: wrapped } : {}),
    })),
    rows: rows.map((row) =>
      Object.fromEntries(shown.map((column, index) => [String(index), cell(column, row)])),
    ),
    shouldDisableColors: true,
    style: {
      headerTop: noBorder,
      headerBottom: noBorder,
      rowSeparator: noBorder,
      tableBottom: noBorder,
      vertical: '',
    },
  });
  const [titles = '', ...lines] = table
    .render()
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const used = Math.max(...[titles, ...lines].map(({ length }) => length));
  return [titles, ` ${'-'.repeat(used - 1)}`, ...lines].join('\n');
}
