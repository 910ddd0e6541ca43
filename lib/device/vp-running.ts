import { constants } from 'node:os';

import { MshvError, systemError } from '../errors.js';

/** The error for what cannot be done while the VP runs. */
export function runningError(vp: number, attempt: string): MshvError {
  return new MshvError(
    `cannot ${attempt}: VP ${vp} is running, by start() or in another thread; cancel() it first`,
    { code: 'ERR_MSHV_VP_RUNNING' },
  );
}

/** The error for a run that ended with neither an exit nor a cancel. */
export function runError(vp: number, result: number): MshvError {
  if (result === -constants.errno.EBUSY) {
    return runningError(vp, `run VP ${vp}`);
  }
  return systemError(`run VP ${vp}`, result, { ioctl: 'MSHV_RUN_VP' }, runHints.get(result));
}

const runHints = new Map([
  [-constants.errno.EFAULT, 'the driver could not hand over the exit, which is lost'],
  [-constants.errno.EIO, 'the hypervisor refused to run it'],
]);
