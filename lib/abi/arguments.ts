import { bytesArgument, integerArgument, rangeError } from '../arguments.js';
import { limits } from './limits.js';
import { synicLimits } from './synic.js';

// Checks of what names a VP and its SynIC, in the manner of lib/arguments.ts.

export function vpArgument(name: string, vp: number): number {
  return integerArgument(name, vp, 0, limits.MSHV_MAX_VPS - 1);
}

export function vtlArgument(name: string, vtl: number): number {
  return integerArgument(name, vtl, 0, synicLimits.vtls - 1);
}

export function sintArgument(name: string, sint: number): number {
  return integerArgument(name, sint, 0, synicLimits.sints - 1);
}

export function flagArgument(name: string, flag: number): number {
  return integerArgument(name, flag, 0, synicLimits.eventFlags - 1);
}

/** The type of a message to the guest: 0 would leave the slot free. */
export function messageTypeArgument(name: string, type: number): number {
  return integerArgument(name, type, 1, 0xffff_ffff);
}

export function payloadArgument(name: string, payload: Uint8Array): Uint8Array {
  if (bytesArgument(name, payload).length > synicLimits.messagePayload) {
    throw rangeError(name, `up to ${synicLimits.messagePayload} bytes`, `${payload.length} bytes`);
  }
  return payload;
}
