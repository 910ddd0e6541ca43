import { abortSignalArgument, type WaitOptions } from './abort-signal.js';
import {
  arrayArgument,
  booleanArgument,
  type Brand,
  choiceArgument,
  instanceArgument,
  integerArgument,
  optionsArgument,
  pageMultipleArgument,
  stringArgument,
  uint64Argument,
} from './arguments.js';

// Options are tables: a key for each property of the public interface, and for each key the check of its value, which
// knows the default. `satisfies OptionTable<PublicInterface>` holds the table to the interface: a key too many or too few,
// and a check that refuses what the interface allows, do not compile. All checks of arguments.ts that need nothing but a
// name and a value are checks of required options as they are.

/** Takes the value of one option, which is `undefined` where it is not given; throws for what it may not be. */
export type Option<Given, Taken> = (name: string, value: Given) => Taken;

/** The checks of all properties of an interface. */
export type OptionTable<Options extends object> = {
  readonly [Key in keyof Options]-?: Option<Options[Key], unknown>;
};

// As a method, which may be called with anything: that is what checks are for.
interface AnyOption {
  take(name: string, value: unknown): unknown;
}
type AnyTable = Readonly<Record<string, AnyOption['take']>>;

type Given<Table extends AnyTable> = {
  readonly [Key in keyof Table]?: Parameters<Table[Key]>[1];
};

/** What the options of a table are once they are checked. */
export type Taken<Table extends AnyTable> = {
  readonly [Key in keyof Table]: ReturnType<Table[Key]>;
};

/**
 * Reads each option once, in the order of the table, and returns what they are taken for.
 *
 * @param name - what messages call the object: `'options'`
 * @throws TypeError `ERR_INVALID_ARG_VALUE` for a key that is not in the table, naming those that are
 */
export function takeOptions<Table extends AnyTable>(
  name: string,
  given: Given<Table>,
  table: Table,
): Taken<Table> {
  const { keys, paths } = named(name, table);
  const options: Readonly<Record<string, unknown>> = optionsArgument(name, given, keys);
  const taken: Record<string, unknown> = {};
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] ?? '';
    taken[key] = table[key]?.(paths[i] ?? '', options[key]);
  }
  return taken as Taken<Table>;
}

interface Names {
  readonly name: string;
  readonly keys: readonly string[];
  /** What messages call the options. */
  readonly paths: readonly string[];
}

// Most tables are for options that always have the same name, so that a call makes no strings.
const lastNames = new WeakMap<AnyTable, Names>();

function named(name: string, table: AnyTable): Names {
  const last = lastNames.get(table);
  if (last?.name === name) {
    return last;
  }
  const keys = Object.keys(table);
  const names = { name, keys, paths: keys.map((key) => `${name}.${key}`) };
  lastNames.set(table, names);
  return names;
}

/** An option with a default. */
export function defaulting<Value, Taken>(
  check: Option<Value, Taken>,
  byDefault: Taken,
): Option<Value | undefined, Taken> {
  return (name, value) => (value === undefined ? byDefault : check(name, value));
}

/** An option that may be absent. */
export function optional<Value, Taken>(
  check: Option<Value, Taken>,
): Option<Value | undefined, Taken | undefined> {
  return (name, value) => (value === undefined ? undefined : check(name, value));
}

export function boolean(byDefault: boolean): Option<boolean | undefined, boolean> {
  return defaulting<boolean, boolean>(booleanArgument, byDefault);
}

/** One bit of a mask, or none: `bit` where true, 0 where false. */
export function flag(byDefault: boolean, bit: bigint): Option<boolean | undefined, bigint> {
  const check = boolean(byDefault);
  return (name, value) => (check(name, value) ? bit : 0n);
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number): Option<number, number> {
  return (name, value) => integerArgument(name, value, least, most);
}

export const uint32 = integer(0, 0xffff_ffff);

export const uint64: Option<number | bigint, bigint> = (name, value) => uint64Argument(name, value);

/** A multiple of 4096. */
export function pageMultiple(least?: bigint, most?: bigint): Option<number | bigint, bigint> {
  return (name, value) => pageMultipleArgument(name, value, least, most);
}

/** An instance of a class that nobody can give in another form. */
export function instance<Instance extends object>(
  brand: Brand<Instance>,
): Option<Instance, Instance> {
  return (name, value) => instanceArgument(name, value, brand);
}

/** What errors call a thing. */
export const optionalName = optional<string, string>(stringArgument);

export const waitOptions = {
  signal: optional<AbortSignal, AbortSignal>(abortSignalArgument),
} satisfies OptionTable<WaitOptions>;

/** Any number of values. */
export function array<Value, Taken>(
  check: Option<Value, Taken>,
): Option<readonly Value[], readonly Taken[]> {
  return (name, values) =>
    arrayArgument(name, values).map((value, at) => check(`${name}[${at}]`, value));
}

/** An object with options of its own. */
export function table<Table extends AnyTable>(options: Table): Option<Given<Table>, Taken<Table>> {
  return (name, value) => takeOptions(name, value, options);
}

/** An option that cannot be checked by itself: whoever takes it does that. */
export function unchecked<Value>(_name: string, value: Value): Value {
  return value;
}

/** One of the keys of a table, taken for its value. */
export function choice<Value, Choice extends string>(
  values: Readonly<Record<Choice, Value>>,
): Option<Choice, Value> {
  const names = Object.keys(values) as Choice[];
  return (name, value) => values[choiceArgument(name, value, names)];
}
