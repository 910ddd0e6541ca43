import type { Row } from './row.js';
import { deviceRows } from './rows/device.js';
import { eventFdRows } from './rows/eventfd.js';
import { failureRows } from './rows/failures.js';
import { hypercallRows } from './rows/hypercall.js';
import { irqRows } from './rows/irq.js';
import { memoryRows } from './rows/memory.js';
import { synicPortRows } from './rows/synic-ports.js';
import { synicRows } from './rows/synic.js';
import { vpRows } from './rows/vp.js';

// Every argument of every public function, given everything that it does not take: a row for each argument, by the
// areas of `lib`. The row says what the argument is; the wrong values follow from that. table.test.ts finds what is
// missing here.

export const table: readonly Row[] = [
  ...deviceRows,
  ...eventFdRows,
  ...failureRows,
  ...hypercallRows,
  ...irqRows,
  ...memoryRows,
  ...vpRows,
  ...synicRows,
  ...synicPortRows,
];

export const titled = table.map((row): [title: string, Row] => {
  const { subject, method, argument } = row;
  return [`${subject}.${method}(): ${argument.name} is ${argument.accepts}`, row];
});
