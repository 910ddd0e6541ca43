import { addon, boolean, callback, integer, keyed, quantity, required } from '../argument.js';
import { type Row, only, option, rows, waitRows } from '../row.js';
import { eventToken, token } from '../token.js';

export const eventFdRows: readonly Row[] = [
  ...rows(
    'EventFd',
    'create',
    [only, keyed('options', 'initial', 'semaphore', 'native')],
    [option('initial'), integer('options.initial', 0, 2 ** 32 - 1)],
    [option('semaphore'), boolean('options.semaphore')],
    [option('native'), addon('options.native')],
  ),
  ...(['mshv', 'calls'] as const).flatMap((maker) =>
    rows(
      maker,
      'createEvent',
      [only, keyed('options', 'initial', 'semaphore')],
      [option('initial'), integer('options.initial', 0, 2 ** 32 - 1)],
      [option('semaphore'), boolean('options.semaphore')],
    ),
  ),
  ...rows(
    'EventFd',
    'adopt',
    [only, required(integer('fd', 0, 2 ** 31 - 1))],
    [(wrong) => [2 ** 31 - 1, wrong], keyed('options', 'native')],
    [(wrong) => [2 ** 31 - 1, { native: wrong }], addon('options.native')],
  ),
  ...rows(
    'EventFd',
    'receive',
    [only, token('event', eventToken)],
    [(wrong) => [{ ...eventToken, semaphore: wrong }], required(boolean('token.semaphore'))],
    [(wrong) => [eventToken, wrong], keyed('options', 'native')],
    [(wrong) => [eventToken, { native: wrong }], addon('options.native')],
  ),
  ...rows('event', 'signal', [only, quantity('n', 1n, 2n ** 64n - 2n)]),
  ...waitRows('event', 'wait'),
  ...rows('event', 'watch', [only, callback('listener')]),
  ...waitRows('event', 'watch', (options) => [() => undefined, options]),
  ...waitRows('event', 'counts'),
];
