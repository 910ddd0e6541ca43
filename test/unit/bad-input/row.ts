import { type Argument, callback, instance, keyed, optional, symbol, type } from './argument.js';
import type { Subjects } from './subjects.js';

export interface Row {
  readonly subject: keyof Subjects;
  /** `new` is the constructor. */
  readonly method: string;
  /** The arguments, all right but one. */
  readonly args: (wrong: unknown) => unknown[];
  readonly argument: Argument;
}

export function rows(
  subject: keyof Subjects,
  method: string,
  ...positions: [args: Row['args'], ...ofArguments: (Argument | Argument[])[]][]
): Row[] {
  return positions.flatMap(([args, ...ofArguments]) =>
    ofArguments.flat().map((argument) => ({ subject, method, args, argument })),
  );
}

export const only = (wrong: unknown): unknown[] => [wrong];

export const option =
  (key: string, others: object = {}) =>
  (wrong: unknown): unknown[] => [{ ...others, [key]: wrong }];

/** An object of the caller's making, right but for one method. */
export function implementationRows(
  subject: keyof Subjects,
  method: string,
  args: (value: unknown) => unknown[],
  name: string,
  right: object,
  ...methods: string[]
): Row[] {
  const wrong = type(undefined, null, 1, 1n, 'x', true, symbol, () => right);
  return rows(
    subject,
    method,
    [args, { name, accepts: 'an object', wrong }],
    ...methods.map((key): [Row['args'], Argument] => [
      (value) => args({ ...right, [key]: value }),
      callback(`${name}.${key}`),
    ]),
  );
}

/** The options of what waits. */
export function waitRows(subject: keyof Subjects, method: string, args: Row['args'] = only): Row[] {
  return rows(
    subject,
    method,
    [args, keyed('options', 'signal')],
    [
      (wrong) => args({ signal: wrong }),
      instance('options.signal', 'AbortSignal', new AbortController()),
    ],
  );
}

/** The same rows, but that some arguments may be absent. */
export const orNothing =
  (...names: string[]) =>
  (row: Row): Row =>
    names.includes(row.argument.name) ? { ...row, argument: optional(row.argument) } : row;
