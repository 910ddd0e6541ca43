import { limits } from '../abi/limits.js';
import { synicLimits } from '../abi/synic.js';
import { instanceArgument, integerArgument, rangeError, typeError } from '../arguments.js';
import { MshvError } from '../errors.js';

// Checks of what the ports take, in the manner of lib/arguments.ts.

export function connectionIdArgument(connectionId: number): number {
  return integerArgument('connectionId', connectionId, 0, synicLimits.connectionIdMask);
}

export function vtlArgument(name: string, vtl: number): number {
  return integerArgument(name, vtl, 0, synicLimits.vtls - 1);
}

export function vpArgument(vp: number): number {
  return integerArgument('vp', vp, 0, limits.MSHV_MAX_VPS - 1);
}

/** The error for a VP that the partition could have, and has not. */
export function noVpError(vp: number): MshvError {
  return new MshvError(`the partition has no VP ${vp}: create it first`, {
    code: 'ERR_MSHV_NO_VP',
  });
}

export function sintArgument(sint: number): number {
  return integerArgument('sint', sint, 0, synicLimits.sints - 1);
}

/** The type and the payload of a message to the guest. Type 0 would leave the slot free. */
export function messageArguments(type: number, payload: Uint8Array): void {
  integerArgument('type', type, 1, 0xffff_ffff);
  instanceArgument('payload', payload, Uint8Array);
  if (payload.length > synicLimits.messagePayload) {
    throw rangeError('payload.length', `at most ${synicLimits.messagePayload}`, payload.length);
  }
}

/** An object of the caller's making that has these methods. */
export function implementationArgument<Value extends object>(
  name: string,
  value: Value,
  methods: readonly (keyof Value & string)[],
): Value {
  if (typeof value !== 'object' || (value as Value | null) === null) {
    throw typeError(name, 'an object', value);
  }
  for (const method of methods) {
    const found: unknown = value[method];
    if (typeof found !== 'function') {
      throw typeError(`${name}.${method}`, 'a function', found);
    }
  }
  return value;
}
