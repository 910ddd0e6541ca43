import { constants } from 'node:os';

import type { Intercept } from '../abi/intercepts.js';
import { toldAt } from './exit-block.js';
import type { PendingExit } from './pending-exit.js';
import { runError } from './run-errors.js';
import type { VpDescriptor } from './vp-descriptor.js';

const { ECANCELED, EINTR } = constants.errno;

/** Runs a VP on the calling thread until it exits; undefined where that was canceled. */
export function runHere(vp: VpDescriptor, exits: PendingExit): Intercept | undefined {
  const fd = vp.runnable;
  exits.clear();
  const { native, block } = vp;
  for (;;) {
    const result = native.vpRun(fd);
    if (result >= 0) {
      exits.retireLater();
      const exit = exits.arrive();
      block.bytes[toldAt] = 1;
      return exit;
    }
    if (result === -ECANCELED) {
      block.bytes[toldAt] = 1;
      return undefined;
    }
    if (result !== -EINTR) {
      throw runError(vp.index, result, native);
    }
  }
}
