import { MshvError, type Vp } from '../lib/index.js';

/** Whether some thread is inside MSHV_RUN_VP: then the state is refused. */
export function isRunning(vp: Vp): boolean {
  try {
    vp.getState('simp');
    return false;
  } catch (error) {
    if (error instanceof MshvError && error.code === 'ERR_MSHV_VP_RUNNING') return true;
    throw error;
  }
}
