import { encodeMessage } from '../lib/sim/encode-message.js';
import type { InterceptAccess } from '../lib/abi/intercept-types.js';
import type { Partition } from '../lib/index.js';
import type { GuestSide } from './guest-side.js';

/**
 * The guest's VP 0 touches a page that it has no access to (yet): the driver maps it, and up to 511 pages around
 * it, inside the run. False where it could not, and the VMM got the intercept.
 */
export function pageIn(
  guest: Pick<GuestSide, 'queueMessage'>,
  partition: Partition,
  gpa: bigint,
  access: InterceptAccess = 'read',
): boolean {
  const [vp] = partition.vps;
  if (vp === undefined) throw new Error('the partition has no VP');
  guest.queueMessage(partition, 0, encodeMessage('gpa-intercept', { access, gpa }));
  guest.queueMessage(partition, 0, encodeMessage('halt'));
  const exit = vp.run()?.type;
  if (exit === 'gpa-intercept') {
    const next = vp.run()?.type;
    if (next !== 'halt') throw new Error(`the VP did not halt: ${String(next)}`);
    return false;
  }
  if (exit !== 'halt') throw new Error(`the VP did not halt: ${String(exit)}`);
  return true;
}
