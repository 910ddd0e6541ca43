import { inspect } from 'node:util';
import { expect } from 'vitest';

/** The TypeError for an argument of this name. */
export function typeOf(name: string): Error {
  return expect.objectContaining({
    name: 'TypeError',
    code: 'ERR_INVALID_ARG_TYPE',
    message: expect.stringContaining(`The "${name}" argument`) as string,
  }) as Error;
}

/** The RangeError for an argument of this name. */
export function rangeOf(name: string): Error {
  return expect.objectContaining({
    name: 'RangeError',
    code: 'ERR_OUT_OF_RANGE',
    message: expect.stringContaining(`The "${name}" argument`) as string,
  }) as Error;
}

/** Calls a method with what TypeScript would refuse. */
export function call(subject: object, method: string, args: readonly unknown[]): unknown {
  const called: unknown = Reflect.get(subject, method);
  if (typeof called !== 'function') throw new Error(`there is no ${method}()`);
  return Reflect.apply(called, subject, args);
}

/** A row of `it.each` with a title made of the call. */
export function row(
  method: string,
  args: readonly unknown[],
  error: Error,
): [title: string, method: string, args: readonly unknown[], error: Error] {
  return [
    `${method}(${args.map((arg) => inspect(arg, { depth: 1 })).join(', ')})`,
    method,
    args,
    error,
  ];
}
