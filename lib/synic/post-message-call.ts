import { hvStatusCodes } from '../abi/hv-status.js';
import { guestHypercalls, postMessageLayout, synicLimits } from '../abi/synic.js';
import type { HypercallDefinition } from './hypercall-table.js';
import type { SynicPortMap } from './synic-port-map.js';

/**
 * `HvPostMessage`. A reserved field that is not 0, a payload longer than 240 bytes, and a type that is 0 or has
 * bit 31 set are `HV_STATUS_INVALID_PARAMETER`.
 */
export function postMessageCall(portMap: SynicPortMap): HypercallDefinition {
  return {
    code: guestHypercalls.HVCALL_POST_MESSAGE,
    name: 'HvPostMessage',
    inputSize: postMessageLayout.size,
    handle: ({ vtl, input }) => {
      const size = input.getUint32(postMessageLayout.payloadSize, true);
      if (
        input.getUint32(postMessageLayout.reserved, true) !== 0 ||
        size > synicLimits.messagePayload
      ) {
        return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
      }
      return portMap.handlePostMessage(
        vtl,
        input.getUint32(postMessageLayout.connectionId, true),
        false,
        new Uint8Array(input.buffer, input.byteOffset + postMessageLayout.payload, size),
        input.getUint32(postMessageLayout.messageType, true),
      );
    },
  };
}
