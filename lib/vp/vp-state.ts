import { constants } from 'node:os';

import { vpStateSizes, vpStateTypes, type VpStateType } from '../abi/vp-state.js';
import { dirtyMasks } from '../abi/register-page.js';
import { bytesArgument, choiceArgument, rangeError } from '../arguments.js';
import { MshvError } from '../errors.js';
import { stepError } from '../step-error.js';
import type { PartitionCalls } from '../hypercall/partition-calls.js';
import type { VpDescriptor } from './vp-descriptor.js';
import type { VpRegisters } from './vp-registers.js';
import { runningError } from './run-errors.js';

const types = Object.keys(vpStateTypes) as VpStateType[];

/** Reads a state of a VP that does not run. */
export function getVpState(
  vp: VpDescriptor,
  type: VpStateType,
  partition: PartitionCalls,
  registers: VpRegisters,
): Uint8Array {
  const code = vpStateTypes[choiceArgument('type', type, types)];
  const state = new Uint8Array(sizeOf(vp, type, partition));
  if (hasVectors(type)) {
    registers.settle(dirtyMasks.XMM);
  }
  const attempt = `get the ${type} state of VP ${vp.index}`;
  const size = checkedSize(
    attempt,
    vp,
    'MSHV_GET_VP_STATE',
    state,
    vp.native.vpGetState(vp.attached, code, state),
  );
  return size < state.length ? state.slice(0, size) : state;
}

/** Writes a state of a VP that does not run. */
export function setVpState(
  vp: VpDescriptor,
  type: VpStateType,
  state: Uint8Array,
  partition: PartitionCalls,
  registers: VpRegisters,
): void {
  const code = vpStateTypes[choiceArgument('type', type, types)];
  bytesArgument('state', state);
  const size = sizeOf(vp, type, partition);
  if (state.length !== size) {
    throw rangeError('state', `the ${size} bytes of the ${type} state`, `${state.length} bytes`);
  }
  const attempt = `set the ${type} state of VP ${vp.index}`;
  // Else the next run would take the page's instead.
  if (hasVectors(type)) {
    registers.settle(dirtyMasks.XMM);
  }
  checkedSize(
    attempt,
    vp,
    'MSHV_SET_VP_STATE',
    state,
    vp.native.vpSetState(vp.attached, code, state),
  );
  if (hasVectors(type)) {
    registers.renew(dirtyMasks.XMM);
  }
}

/** Whether a state has registers that are in the register page too. */
function hasVectors(type: VpStateType): boolean {
  return type === 'xsave';
}

function sizeOf(vp: VpDescriptor, type: VpStateType, partition: PartitionCalls): number {
  vp.checkOpen();
  return vpStateSizes[type] ?? Number(partition.property('MAX_XSAVE_DATA_SIZE'));
}

function checkedSize(
  attempt: string,
  vp: VpDescriptor,
  ioctl: string,
  state: Uint8Array,
  result: number,
): number {
  if (result < 0) {
    throw result === -constants.errno.EBUSY
      ? runningError(vp.index, attempt)
      : stepError(vp.native, attempt, result);
  }
  if (result > state.length) {
    throw new MshvError(
      `cannot ${attempt}: the driver wants ${result} bytes for it, not ${state.length}`,
      { code: 'ERR_MSHV_STATE_SIZE', ioctl },
    );
  }
  return result;
}
