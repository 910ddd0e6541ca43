import { constants } from 'node:os';

import { MshvError } from '../errors.js';
import { performHypercall, type HypercallOptions } from '../hypercall/hypercall.js';
import { runningError } from './run-errors.js';
import type { VpDescriptor } from './vp-descriptor.js';

/** A hypercall through the descriptor of a VP that does not run. */
export function performVpHypercall(vp: VpDescriptor, options: HypercallOptions): Uint8Array {
  try {
    return performHypercall({ native: vp.native, fd: () => vp.fd }, 'vp', options);
  } catch (error) {
    if (error instanceof MshvError && error.errno === -constants.errno.EBUSY) {
      throw runningError(vp.index, `call ${error.hypercall ?? ''}`);
    }
    throw error;
  }
}
