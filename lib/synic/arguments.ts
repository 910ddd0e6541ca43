import {
  messageTypeArgument,
  payloadArgument,
  sintArgument,
  vpArgument,
  vtlArgument,
} from '../abi/arguments.js';
import { synicLimits } from '../abi/synic.js';
import { throwIfAborted, type WaitOptions } from '../abort-signal.js';
import { integerArgument, isObject, isRevoked, typeError } from '../arguments.js';
import { MshvError } from '../errors.js';
import { takeOptions, waitOptions, type Option } from '../options.js';

// Checks of what the ports take, in the manner of lib/arguments.ts.

export function connectionIdArgument(connectionId: number): number {
  return integerArgument('connectionId', connectionId, 0, synicLimits.connectionIdMask);
}

export interface SintTarget {
  readonly vtl: number;
  readonly vp: number;
  readonly sint: number;
}

/** A SINT of a VP. */
export function targetArguments(vtl: number, vp: number, sint: number): SintTarget {
  return {
    vtl: vtlArgument('vtl', vtl),
    vp: vpArgument('vp', vp),
    sint: sintArgument('sint', sint),
  };
}

/** The error for a VP that the partition could have, and has not. */
export function noVpError(vp: number): MshvError {
  return new MshvError(`the partition has no VP ${vp}: create it first`, {
    code: 'ERR_MSHV_NO_VP',
  });
}

/**
 * A message to the guest, and how long it may wait.
 *
 * @throws the reason of `options.signal` where that has aborted
 */
export function messageArguments(
  type: number,
  payload: Uint8Array,
  options: WaitOptions,
): WaitOptions {
  messageTypeArgument('type', type);
  payloadArgument('payload', payload);
  const { signal } = takeOptions('options', options, waitOptions);
  throwIfAborted(signal);
  return signal === undefined ? {} : { signal };
}

const none = [] as const;

/** An object of the caller's making that has these methods, and may have the optional ones. */
export function implementationArgument<Value extends object>(
  name: string,
  value: Value,
  methods: readonly (keyof Value & string)[],
  optional: readonly (keyof Value & string)[] = none,
): Value {
  if (!isObject(value)) {
    throw typeError(name, 'an object', value);
  }
  for (const method of methods) {
    methodArgument(name, value, method);
  }
  for (const method of optional) {
    if (value[method] !== undefined) {
      methodArgument(name, value, method);
    }
  }
  return value;
}

/** An option that is such an object. */
export function implementation<Value extends object>(
  methods: readonly (keyof Value & string)[],
  optional?: readonly (keyof Value & string)[],
): Option<Value, Value> {
  return (name, value) => implementationArgument(name, value, methods, optional);
}

function methodArgument<Value>(name: string, value: Value, method: keyof Value & string): void {
  const found: unknown = value[method];
  if (typeof found !== 'function' || isRevoked(found)) {
    throw typeError(`${name}.${method}`, 'a function', found);
  }
}
