import { Table } from 'console-table-printer';

/** A column: `value` fills its cell of each row. */
export interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Longer text goes on in the next line. Default: no limit. */
  readonly width?: number;
  value(row: Row): string | number;
}

const noBorder = { left: '', mid: '', right: '', other: '' };

/** Plain text, each line indented by a space, without a newline at the end. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const table = new Table({
    columns: columns.map(({ title, align, width }, index) => ({
      name: String(index),
      title,
      alignment: align,
      ...(width === undefined ? {} : { maxLen: width }),
    })),
    rows: rows.map((row) =>
      Object.fromEntries(columns.map((column, index) => [String(index), column.value(row)])),
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
  const width = Math.max(...[titles, ...lines].map(({ length }) => length));
  return [titles, ` ${'-'.repeat(width - 1)}`, ...lines].join('\n');
}
