import { MshvError } from '../lib/index.js';

/** What something throws, whatever it is. */
export function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** The error of this library that something throws. */
export function errorOf(action: () => unknown): MshvError {
  const error = thrownBy(action);
  if (error instanceof MshvError) return error;
  throw error;
}
