import { isRevoked, show } from './arguments.js';

// What a function of the caller's returns may be a promise, or an object that stands for one: with a `then` that throws when
// it is looked at, that calls back twice, or never. Whatever it is, what is done here with it does not throw and leaves no
// rejection unheard.

/** An error for what a function of the caller's has returned, as Node's own functions say it. */
function returnValueError(message: string): TypeError & { code: string } {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_RETURN_VALUE' });
}

/**
 * Whether a function that may be asynchronous has returned a promise, or what stands for one. Throws what a getter throws.
 *
 * @throws TypeError `ERR_INVALID_RETURN_VALUE` for a revoked proxy, which is nothing
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    return false;
  }
  if (isRevoked(value)) {
    throw returnValueError('a function must not return a revoked proxy');
  }
  return 'then' in value && typeof value.then === 'function';
}

/** Calls one of both, once, when `value` has come to something: never before this returns. */
export function whenSettled(
  value: unknown,
  resolved: (result: unknown) => void,
  rejected: (error: unknown) => void,
): void {
  // Not Promise.resolve(), which returns a promise as it is, with a `then` of its own perhaps.
  new Promise((resolve) => {
    resolve(value);
  }).then(resolved, rejected);
}

const nobodyHears = (): void => undefined;

/** Lets nobody hear what `value` rejects with, which was refused as it is. */
function dropThenable(value: unknown): void {
  whenSettled(value, nobodyHears, nobodyHears);
}

/**
 * What a function has returned that has to answer at once.
 *
 * @param name - of the function, as messages call it
 * @throws TypeError `ERR_INVALID_RETURN_VALUE` where it is a promise
 */
export function synchronous<Result>(name: string, result: Result): Result {
  if (isThenable(result)) {
    dropThenable(result);
    throw returnValueError(`${name} must not be asynchronous, it returned ${show(result)}`);
  }
  return result;
}
