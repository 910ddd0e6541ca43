import { hvStatusCodes } from '../abi/hv-status.js';
import { guestHypercalls, signalEventLayout } from '../abi/synic.js';
import type { HypercallDefinition } from './hypercall-table.js';
import type { SynicPortMap } from './synic-port-map.js';

/**
 * `HvSignalEvent`. A reserved field that is not 0 is `HV_STATUS_INVALID_PARAMETER`; a connection id's reserved
 * bits make it one that no port has.
 */
export function signalEventCall(portMap: SynicPortMap): HypercallDefinition {
  return {
    code: guestHypercalls.HVCALL_SIGNAL_EVENT,
    name: 'HvSignalEvent',
    inputSize: signalEventLayout.size,
    handle: ({ vtl, input }) => {
      if (input.getUint16(signalEventLayout.reserved, true) !== 0) {
        return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
      }
      return portMap.handleSignalEvent(
        vtl,
        input.getUint32(signalEventLayout.connectionId, true),
        input.getUint16(signalEventLayout.flagNumber, true),
      );
    },
  };
}
