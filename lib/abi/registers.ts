import {
  integerArgument,
  rangeError,
  recordArgument,
  typeError,
  uint64Argument,
} from '../arguments.js';
import { ownArchitecture, type Architecture } from './architecture.js';
import { arm64Registers, type Arm64RegisterName } from './arm64-registers.js';
import type { SegmentRegister } from './segment-register.js';
import { x64Registers, type X64RegisterName } from './x64-registers.js';

/** The name of a register of either architecture. No name means different things on the two. */
export type RegisterName = X64RegisterName | Arm64RegisterName;

const segmentNames = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

/** Registers whose value is a `SegmentRegister`. */
export type SegmentRegisterName = (typeof segmentNames)[number];

const tableNames = ['IDTR', 'GDTR'] as const;

/** Registers whose value is a `TableRegister`. */
export type TableRegisterName = (typeof tableNames)[number];

/** GDTR or IDTR. */
export interface TableRegister {
  /** Where the table begins: a guest virtual address. */
  readonly base: bigint;
  /** The last byte of the table, counted from its base; 16 bits. */
  readonly limit: number;
}

/** The value of a register: an unsigned bigint but for segment and table registers. */
export type RegisterValue<Name extends RegisterName = RegisterName> =
  Name extends SegmentRegisterName
    ? SegmentRegister
    : Name extends TableRegisterName
      ? TableRegister
      : bigint;

/** The value of a register as methods take it: words as safe integers too. */
export type RegisterInput<Name extends RegisterName = RegisterName> =
  Name extends SegmentRegisterName
    ? Omit<SegmentRegister, 'base'> & {
        /** Where it begins: a guest virtual address. */ readonly base: bigint | number;
      }
    : Name extends TableRegisterName
      ? Omit<TableRegister, 'base'> & {
          /** Where it begins: a guest virtual address. */ readonly base: bigint | number;
        }
      : bigint | number;

/** How the 16 bytes of a register's value are used. */
type RegisterKind = 'word' | 'double-word' | 'segment' | 'table';

// The names of 128-bit registers: hv_register_value has reg128, fp, fp_control_status,
// xmm_control_status and pending_exception_event; the _INFO registers are four words of CPUID.
const wide =
  /^(?:XMM\d+|FP_MMX\d|FP_CONTROL_STATUS|XMM_CONTROL_STATUS|PENDING_EVENT[01]|HYPERVISOR_VERSION|\w+_INFO|[QZ]\d+)$/;

const kinds = new Map<string, RegisterKind>();
for (const name of [...Object.keys(x64Registers), ...Object.keys(arm64Registers)]) {
  kinds.set(name, wide.test(name) ? 'double-word' : 'word');
}
for (const name of segmentNames) kinds.set(name, 'segment');
for (const name of tableNames) kinds.set(name, 'table');

const codes = {
  x64: new Map<unknown, number>(Object.entries(x64Registers)),
  arm64: new Map<unknown, number>(Object.entries(arm64Registers)),
};
const names = {
  x64: new Map(Object.entries(x64Registers).map(([name, code]) => [code as number, name])),
  arm64: new Map(Object.entries(arm64Registers).map(([name, code]) => [code as number, name])),
};

/**
 * The code of a register.
 *
 * @param argument - what errors call the name
 * @throws TypeError `ERR_INVALID_ARG_TYPE`, RangeError `ERR_OUT_OF_RANGE` where the architecture has no such register
 */
export function registerCode(
  argument: string,
  name: unknown,
  architecture: Architecture = ownArchitecture,
): number {
  const code = codes[architecture].get(name);
  if (code === undefined) {
    const expected = `the name of a register of ${architecture}`;
    throw typeof name === 'string'
      ? rangeError(argument, expected, `'${name}'`)
      : typeError(argument, expected, name);
  }
  return code;
}

/** The name of a register's code, or undefined where neither source has one. */
export function registerName(
  code: number,
  architecture: Architecture = ownArchitecture,
): string | undefined {
  return names[architecture].get(code);
}

/** What can be asked of a table or segment: no other properties, so that a misspelt one does not pass silently. */
function parts(name: string, value: unknown, keys: readonly string[]) {
  return recordArgument(name, value, keys, `an object with ${keys.join(', ')}`);
}

/**
 * The two 64-bit words of a register's value, low one first, as register hypercalls take them.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`, RangeError `ERR_OUT_OF_RANGE`, naming the register: where the value is
 * not what the register has, or needs more bits
 */
export function encodeRegister<Name extends RegisterName>(
  name: Name,
  value: RegisterInput<Name>,
): [low: bigint, high: bigint];
export function encodeRegister(name: RegisterName, value: unknown): [low: bigint, high: bigint] {
  switch (kinds.get(name)) {
    case 'segment': {
      const given = parts(name, value, ['base', 'limit', 'selector', 'attributes']);
      const limit = integerArgument(`${name}.limit`, given['limit'], 0, 0xffffffff);
      const selector = integerArgument(`${name}.selector`, given['selector'], 0, 0xffff);
      const attributes = integerArgument(`${name}.attributes`, given['attributes'], 0, 0xffff);
      const high = BigInt(limit) | (BigInt(selector) << 32n) | (BigInt(attributes) << 48n);
      return [uint64Argument(`${name}.base`, given['base']), high];
    }
    case 'table': {
      const given = parts(name, value, ['base', 'limit']);
      const limit = integerArgument(`${name}.limit`, given['limit'], 0, 0xffff);
      return [BigInt(limit) << 48n, uint64Argument(`${name}.base`, given['base'])];
    }
    case 'double-word': {
      const whole = uint64Argument(name, value, 0n, 2n ** 128n - 1n);
      return [BigInt.asUintN(64, whole), whole >> 64n];
    }
    case 'word':
      return [uint64Argument(name, value), 0n];
    case undefined:
      throw rangeError('name', 'the name of a register', `'${name}'`);
  }
}

/**
 * A register's value from the two words of a register hypercall. Whatever is in the bits that a register
 * does not have is ignored.
 *
 * @throws RangeError `ERR_OUT_OF_RANGE` where no register has the name
 */
export function decodeRegister<Name extends RegisterName>(
  name: Name,
  low: bigint,
  high: bigint,
): RegisterValue<Name>;
export function decodeRegister(
  name: RegisterName,
  low: bigint,
  high: bigint,
): bigint | SegmentRegister | TableRegister {
  switch (kinds.get(name)) {
    case 'segment':
      return {
        base: low,
        limit: Number(BigInt.asUintN(32, high)),
        selector: Number(BigInt.asUintN(16, high >> 32n)),
        attributes: Number(high >> 48n),
      };
    case 'table':
      return { base: high, limit: Number(low >> 48n) };
    case 'double-word':
      return (high << 64n) | low;
    case 'word':
      return low;
    case undefined:
      throw rangeError('name', 'the name of a register', `'${name}'`);
  }
}
