import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage, and lets the finalizers of what was found dead run. */
export async function collectGarbage(): Promise<void> {
  // What the first collection finds dead is finalized in a turn of the loop, and gone with the second.
  collect();
  await setImmediate();
  collect();
  await setImmediate();
}
