import { callback, symbol, type } from '../argument.js';
import { type Row, only, rows } from '../row.js';
import { handleEvent } from '../synic.js';

export const failureRows: readonly Row[] = [
  ...rows('FailureReports', 'new', [only, callback('listener')]),
  ...rows(
    'failures',
    'report',
    [
      (wrong) => [wrong, handleEvent],
      {
        name: 'what',
        accepts: 'an object',
        wrong: type(undefined, null, 1, 1n, '', 'text', true, symbol, () => ({})),
      },
    ],
    [(wrong) => [{}, wrong], callback('makeError')],
  ),
];
