import { MshvError } from './errors.js';

/**
 * Runs every closing in order, whatever those before it threw. Afterwards one error is thrown as it
 * is; several make one `ERR_MSHV_UNCLEAN_CLOSE` whose `cause` is an AggregateError with all of them, flat, in the
 * order of the steps.
 *
 * @param what - what is closed by now, as messages call it: `'Partition'`
 */
export function closeEach(what: string, closings: Iterable<() => void>): void {
  const errors: unknown[] = [];
  for (const close of closings) {
    try {
      close();
    } catch (error) {
      errors.push(error);
    }
  }
  throwClosingErrors(what, errors);
}

/** Throws what `closeEach` would throw for these errors; nothing where there are none. */
export function throwClosingErrors(what: string, errors: readonly unknown[]): void {
  const all = errors.flatMap((error): unknown[] =>
    error instanceof MshvError &&
    error.code === 'ERR_MSHV_UNCLEAN_CLOSE' &&
    error.cause instanceof AggregateError
      ? error.cause.errors
      : [error],
  );
  if (all.length === 1) {
    throw all[0];
  }
  if (all.length > 1) {
    throw new MshvError(`${what} is closed, but ${all.length} steps of closing it failed`, {
      code: 'ERR_MSHV_UNCLEAN_CLOSE',
      cause: new AggregateError(all),
    });
  }
}
