import {
  decodeRegister,
  encodeRegister,
  registerCode,
  type RegisterInput,
  type RegisterName,
  type RegisterValue,
} from '../abi/registers.js';
import { isArray, isRecord, typeError } from '../arguments.js';
import { RegisterSet, type VpRegisters } from './vp-registers.js';

/** Registers by name, as `vp.getRegisters()` returns them. */
export type Registers<Name extends RegisterName = RegisterName> = {
  [Each in Name]: RegisterValue<Each>;
};

/** Registers by name, as `vp.setRegisters()` takes them. */
export type RegisterInputs = {
  readonly [Name in RegisterName]?: RegisterInput<Name>;
};

/** Reads registers by name. */
export function getNamedRegisters<Name extends RegisterName>(
  registers: VpRegisters,
  names: readonly Name[],
): Registers<Name>;
export function getNamedRegisters(
  registers: VpRegisters,
  names: readonly RegisterName[],
): Record<string, unknown> {
  if (!isArray(names)) {
    throw typeError('names', 'an array of register names', names);
  }
  const codes = Uint32Array.from(names, (name, i) =>
    registerCode(`names[${i}]`, name, registers.architecture),
  );
  const words = new BigUint64Array(2 * codes.length);
  registers.get(codes, words);
  return Object.fromEntries(
    names.map((name, i) => [
      name,
      decodeRegister(name, words[2 * i] ?? 0n, words[2 * i + 1] ?? 0n),
    ]),
  );
}

/** Writes registers by name, in the order of their keys. */
export function setNamedRegisters(registers: VpRegisters, values: RegisterInputs): void {
  if (!isRecord(values)) {
    throw typeError('values', 'an object with registers by name', values);
  }
  const names = Object.keys(values) as RegisterName[];
  const codes = Uint32Array.from(names, (name) =>
    registerCode('a key of values', name, registers.architecture),
  );
  const words = BigUint64Array.from(
    names.flatMap((name) => {
      const value = values[name];
      if (value === undefined) {
        throw typeError(name, 'the value of a register', value);
      }
      return encodeRegister(name, value);
    }),
  );
  registers.set(new RegisterSet(codes), words);
}
