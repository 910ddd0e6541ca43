import { constants } from 'node:os';

import { MshvError, systemError } from '../errors.js';
import type { Native } from '../native.js';
import { stepError } from '../step-error.js';

/** The error for what cannot be done while the VP runs. */
export function runningError(vp: number, attempt: string): MshvError {
  return new MshvError(
    `cannot ${attempt}: VP ${vp} is running, by start() or in another thread; cancel() it, and wait for the end of its run`,
    { code: 'ERR_MSHV_VP_RUNNING' },
  );
}

/**
 * The error for a run that ended with neither an exit nor a cancel.
 *
 * @param native - where its function has just returned `result`; on a VP's own thread, the driver did
 */
export function runError(vp: number, result: number, native?: Native): MshvError {
  if (result === -constants.errno.EBUSY) {
    return runningError(vp, `run VP ${vp}`);
  }
  const attempt = `run VP ${vp}`;
  return native === undefined
    ? systemError(attempt, result, { ioctl: 'MSHV_RUN_VP' }, runHints.get(result))
    : stepError(native, attempt, result, runHints);
}

const runHints = new Map([
  [-constants.errno.EFAULT, 'the driver could not hand over the exit, which is lost'],
  [-constants.errno.EIO, 'the hypervisor refused to run it'],
]);
