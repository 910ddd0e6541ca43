import { hvStatusCodes, hvStatusName } from '../abi/hv-status.js';
import { MshvError } from '../errors.js';
import { reasonOf } from '../failures.js';
import { synchronous } from '../thenable.js';
import type { QueuedMessage } from './sint-queue.js';
import type { VpQueues } from './vp-queues.js';

/** What the queues need of a partition. */
export interface MessagePartition {
  /** Whether there is a VP with this index. */
  hasVp(index: number): boolean;
  /**
   * Puts a message into the slot of a SINT: `HVCALL_POST_MESSAGE_DIRECT`.
   *
   * @param payload - borrowed for the call
   * @returns the HV status; or throws an MshvError that has it as `hvStatus`. `HV_STATUS_OBJECT_IN_USE` and
   *   `HV_STATUS_INSUFFICIENT_BUFFERS` mean that the slot is busy, any other that the message is refused for good
   */
  postMessage(vtl: number, vp: number, sint: number, type: number, payload: Uint8Array): number;
}

/** Posts a message, and returns why that did not succeed. */
export function tryPost(
  partition: MessagePartition,
  { vtl, vp }: VpQueues,
  sint: number,
  { type, payload }: QueuedMessage,
): 'busy' | MshvError | undefined {
  let status: number | undefined;
  let cause: unknown;
  try {
    status = synchronous('postMessage()', partition.postMessage(vtl, vp, sint, type, payload));
  } catch (error) {
    cause = error;
    status = error instanceof MshvError ? error.hvStatus?.code : undefined;
  }
  switch (status) {
    case hvStatusCodes.HV_STATUS_SUCCESS:
      return undefined;
    case hvStatusCodes.HV_STATUS_OBJECT_IN_USE:
    case hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS:
      return 'busy';
    default:
      return refusedError(vtl, vp, sint, status, cause);
  }
}

function refusedError(
  vtl: number,
  vp: number,
  sint: number,
  status: number | undefined,
  cause: unknown,
): MshvError {
  const name = status === undefined ? undefined : (hvStatusName(status) ?? 'unknown');
  const why = status === undefined ? reasonOf(cause) : `${name} (0x${status.toString(16)})`;
  return new MshvError(
    `a message to SINT ${sint} of VP ${vp}, VTL ${vtl}, is refused and skipped: ${why}`,
    {
      code: 'ERR_MSHV_MESSAGE_REFUSED',
      hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
      ...(status !== undefined && name !== undefined && { hvStatus: { code: status, name } }),
      ...(cause !== undefined && { cause }),
    },
  );
}
