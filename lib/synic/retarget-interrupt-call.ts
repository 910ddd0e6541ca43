import { hvStatusCodes } from '../abi/hv-status.js';
import { guestHypercalls, retargetInterruptLayout } from '../abi/synic.js';
import type { MsiRoute } from '../irq/msi.js';
import type { HypercallCall, HypercallDefinition } from './hypercall-table.js';

/** What the guest asks for with `HvRetargetDeviceInterrupt`. */
export interface RetargetInterruptRequest {
  /** The caller's. */
  readonly vpIndex: number;
  /** The caller's virtual trust level. */
  readonly vtl: number;
  /** 2^64 - 1 is the caller's own partition. */
  readonly partitionId: bigint;
  /** The device whose interrupt it is. */
  readonly deviceId: bigint;
  /** The MSI that the interrupt is known by: what the device was given, not where it is to go. */
  readonly msi: MsiRoute;
  /** The vector that it is to have. */
  readonly vector: number;
  /** Whether it is to go to all processors rather than to one of them. */
  readonly multicast: boolean;
  /** `HV_DEVICE_INTERRUPT_TARGET_PROXY_REDIRECT`. */
  readonly proxyRedirect: boolean;
  /** The VPs that it may go to, in ascending order; at least one. */
  readonly processors: readonly number[];
}

/**
 * Retargets the interrupt.
 *
 * @returns the HV status: `HV_STATUS_INVALID_DEVICE_ID` where there is no such device, say
 */
export type RetargetInterruptHandler = (request: RetargetInterruptRequest) => number;

const layout = retargetInterruptLayout;
const knownFlags = layout.flagMulticast | layout.flagProcessorSet | layout.flagProxyRedirect;

/** Adds the VPs of a mask of 64, of which the lowest is `first`. */
function addProcessors(processors: number[], input: DataView, at: number, first: number): void {
  for (let half = 0; half < 2; half++) {
    const mask = input.getUint32(at + 4 * half, true);
    for (let bit = 0; bit < 32; bit++) {
      if (((mask >>> bit) & 1) !== 0) {
        processors.push(first + 32 * half + bit);
      }
    }
  }
}

/** The VPs of a sparse set: a mask of the banks that follow, 64 VPs each. Undefined where it is none. */
function sparseProcessors({ input, variableHeaderSize }: HypercallCall): number[] | undefined {
  const format = input.getBigUint64(layout.maskOrFormat, true);
  if (format !== layout.formatSparse4k) {
    return undefined;
  }
  const banks: number[] = [];
  addProcessors(banks, input, layout.size, 0);
  if (variableHeaderSize !== 8 * (1 + banks.length)) {
    return undefined;
  }
  const processors: number[] = [];
  banks.forEach((bank, i) => {
    addProcessors(processors, input, layout.size + 8 * (1 + i), 64 * bank);
  });
  return processors;
}

function maskedProcessors({ input, variableHeaderSize }: HypercallCall): number[] | undefined {
  if (variableHeaderSize !== 0) {
    return undefined;
  }
  const processors: number[] = [];
  addProcessors(processors, input, layout.maskOrFormat, 0);
  return processors;
}

/**
 * `HvRetargetDeviceInterrupt`. `HV_STATUS_INVALID_PARAMETER` for reserved fields and flags that are not 0, an
 * interrupt that is no MSI, and a set of processors that is empty, malformed or in another format than
 * `HV_GENERIC_SET_SPARSE_4K`.
 */
export function retargetInterruptCall(handler: RetargetInterruptHandler): HypercallDefinition {
  return {
    code: guestHypercalls.HVCALL_RETARGET_INTERRUPT,
    name: 'HvRetargetDeviceInterrupt',
    inputSize: layout.size,
    variableHeader: true,
    handle: (call) => {
      const { input, vpIndex, vtl } = call;
      const flags = input.getUint32(layout.flags, true);
      const processors =
        (flags & layout.flagProcessorSet) === 0 ? maskedProcessors(call) : sparseProcessors(call);
      if (
        (flags & ~knownFlags) !== 0 ||
        input.getUint32(layout.source, true) !== layout.sourceMsi ||
        input.getUint32(layout.reservedSource, true) !== 0 ||
        input.getBigUint64(layout.reserved, true) !== 0n ||
        processors === undefined ||
        processors.length === 0
      ) {
        return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
      }
      return handler({
        vpIndex,
        vtl,
        partitionId: input.getBigUint64(layout.partitionId, true),
        deviceId: input.getBigUint64(layout.deviceId, true),
        msi: {
          address: BigInt(input.getUint32(layout.msiAddress, true)),
          data: input.getUint32(layout.msiData, true),
        },
        vector: input.getUint32(layout.vector, true),
        multicast: (flags & layout.flagMulticast) !== 0,
        proxyRedirect: (flags & layout.flagProxyRedirect) !== 0,
        processors,
      });
    },
  };
}
