import { inspect, types } from 'node:util';

// Checks of public arguments. Each returns the value in the one type that the code behind works with,
// or throws a TypeError (ERR_INVALID_ARG_TYPE) or RangeError (ERR_OUT_OF_RANGE) that names the
// argument, what it accepts and what it got.

type CodedError = Error & { code: string };

/** A value in a message. */
export function show(value: unknown): string {
  try {
    return inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 64 });
  } catch {
    // What throws when it is looked at, a proxy of a revoked one say, is refused like anything else.
    return 'what cannot be shown';
  }
}

/** Whether a value is a revoked proxy, or a proxy of one: whatever is done with it throws. */
export function isRevoked(value: unknown): boolean {
  if (!types.isProxy(value)) {
    return false;
  }
  try {
    // Asks no trap: of a proxy that is not revoked it throws nothing.
    Array.isArray(value);
    return false;
  } catch {
    return true;
  }
}

/** Whether a value has properties that can be looked at: objects, but no functions. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !isRevoked(value);
}

/** Whether what a value holds are its properties: those of a Map, a Set, a Date or an array say nothing of that. */
export function isRecord(value: unknown): value is object {
  return isObject(value) && Object.prototype.toString.call(value) === '[object Object]';
}

/** `Array.isArray`, which throws for revoked proxies. */
export function isArray(value: unknown): value is readonly unknown[] {
  return isObject(value) && Array.isArray(value);
}

export function typeError(name: string, expected: string, value: unknown): CodedError {
  return Object.assign(
    new TypeError(`The "${name}" argument must be ${expected}, received ${show(value)}`),
    { code: 'ERR_INVALID_ARG_TYPE' },
  );
}

export function rangeError(name: string, accepted: string, value: unknown): CodedError {
  const shown = typeof value === 'string' ? value : show(value);
  return Object.assign(
    new RangeError(`The "${name}" argument must be ${accepted}, received ${shown}`),
    { code: 'ERR_OUT_OF_RANGE' },
  );
}

/** A value of the right type that is no good; as Node's own functions say it. */
export function valueError(name: string, expected: string, value: unknown): CodedError {
  return Object.assign(
    new TypeError(`The "${name}" argument must be ${expected}, received ${show(value)}`),
    { code: 'ERR_INVALID_ARG_VALUE' },
  );
}

/** What constructors are called with that are this library's own: nobody else has it. */
export const ours = Symbol('mshv');

/** Refuses to construct what functions and methods of this library return; as Node refuses `new AbortSignal()`. */
export function ownConstructor(name: string, key: unknown): void {
  if (key !== ours) {
    throw Object.assign(new TypeError(`Illegal constructor: ${name} is made by this library`), {
      code: 'ERR_ILLEGAL_CONSTRUCTOR',
    });
  }
}

/** A whole number from `least` to `most`, both within the safe integers. */
export function integerArgument(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') {
    throw typeError(name, `a whole number from ${least} to ${most}`, value);
  }
  if (!Number.isInteger(value) || value < least || value > most) {
    throw rangeError(name, `a whole number from ${least} to ${most}`, value);
  }
  return value + 0; // -0 is 0
}

const largestUint64 = 2n ** 64n - 1n;

/** A 64-bit quantity: a bigint, or a number that is a safe integer. */
export function uint64Argument(
  name: string,
  value: unknown,
  least = 0n,
  most = largestUint64,
): bigint {
  const expected = (): string => `a bigint or safe integer from ${least} to ${most}`;
  if (typeof value !== 'bigint' && typeof value !== 'number') {
    throw typeError(name, expected(), value);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw rangeError(name, expected(), value);
  }
  const quantity = BigInt(value);
  if (quantity < least || quantity > most) {
    throw rangeError(name, expected(), value);
  }
  return quantity;
}

/** A 64-bit quantity that is a multiple of 4096: so are all addresses and sizes of the driver's. */
export function pageMultipleArgument(
  name: string,
  value: unknown,
  least = 0n,
  most = largestUint64,
): bigint {
  const quantity = uint64Argument(name, value, least, most);
  if (quantity % 4096n !== 0n) {
    throw rangeError(name, 'a multiple of 4096', value);
  }
  return quantity;
}

export function booleanArgument(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw typeError(name, 'true or false', value);
  }
  return value;
}

/** A string without NUL, which would end it early in the kernel. */
export function stringArgument(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') {
    throw typeError(name, 'a string that is not empty', value);
  }
  if (value.includes('\0')) {
    throw rangeError(name, 'a string without NUL characters', show(value));
  }
  return value;
}

/** A path, which Node's `fs` refuses likewise. */
export function pathArgument(name: string, value: unknown): string {
  if (typeof value === 'string' && value.includes('\0')) {
    throw valueError(name, 'a string without NUL characters', value);
  }
  return stringArgument(name, value);
}

export function functionArgument<F extends (...args: never[]) => unknown>(
  name: string,
  value: F,
): F {
  if (typeof value !== 'function' || isRevoked(value)) {
    throw typeError(name, 'a function', value);
  }
  return value;
}

/** An array without holes, which its methods would pass over. */
export function arrayArgument<Element>(
  name: string,
  value: readonly Element[],
): readonly Element[] {
  if (!isArray(value)) {
    throw typeError(name, 'an array', value);
  }
  for (let i = 0; i < value.length; i++) {
    if (!(i in value)) {
      throw typeError(`${name}[${i}]`, 'present', undefined);
    }
  }
  return value;
}

/** One of a few strings. */
export function choiceArgument<Choice extends string>(
  name: string,
  value: unknown,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) {
    const expected = `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`;
    throw typeof value === 'string'
      ? rangeError(name, expected, show(value))
      : typeError(name, expected, value);
  }
  return found;
}

/**
 * An options object with no other keys than `known`, of its own or inherited, as its options may be: a misspelt option must not
 * pass silently.
 */
export function optionsArgument<Options extends object>(
  name: string,
  value: Options,
  known: readonly (keyof Options & string)[],
): Options {
  if (!isRecord(value)) {
    throw typeError(name, 'an object', value);
  }
  const names: readonly string[] = known;
  for (const key in value) {
    // What somebody has given to every object is meant for none.
    const isMeant = Object.hasOwn(value, key) || !(key in Object.prototype);
    if (isMeant && !names.includes(key)) {
      throw valueError(name, `an object with no other keys than ${names.join(', ')}`, key);
    }
  }
  return value;
}

/**
 * How the instances of a class are told from what only inherits from it, `Object.create(EventFd.prototype)` or a proxy
 * say: by a private field.
 */
export interface Brand<Instance extends object> {
  /** Of the class. */
  readonly name: string;
  has(value: object): value is Instance;
}

export function isInstance<Instance extends object>(
  value: unknown,
  brand: Brand<Instance>,
): value is Instance {
  return typeof value === 'object' && value !== null && brand.has(value);
}

/** An instance of a class, private constructors included. */
export function instanceArgument<Instance extends object>(
  name: string,
  value: Instance,
  brand: Brand<Instance>,
): Instance {
  if (!isInstance(value, brand)) {
    throw typeError(name, `an instance of ${brand.name}`, value);
  }
  return value;
}

const typedArrays = {
  Uint8Array: types.isUint8Array,
  Uint32Array: types.isUint32Array,
  BigUint64Array: types.isBigUint64Array,
} as const;

const typedArrayPrototype: unknown = Object.getPrototypeOf(Uint8Array.prototype);

/** Whatever a subclass says. */
function realLength(value: Uint8Array | Uint32Array | BigUint64Array): unknown {
  return Reflect.get(typedArrayPrototype as object, 'length', value);
}

function isGone(value: Uint8Array | Uint32Array | BigUint64Array): boolean {
  try {
    value.at(0);
    return false;
  } catch {
    return true;
  }
}

/** A copy of an object's own properties, of which there are no others than these. */
export function recordArgument(
  name: string,
  value: unknown,
  keys: readonly string[],
  expected = 'an object',
): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) {
    throw typeError(name, expected, value);
  }
  const record: Readonly<Record<string, unknown>> = { ...value };
  return optionsArgument(name, record, keys);
}

/** A typed array of one kind, whose memory is there: no proxy of one, and nothing that only looks like it. */
export function typedArrayArgument<Value extends Uint8Array | Uint32Array | BigUint64Array>(
  name: string,
  value: Value,
  type: keyof typeof typedArrays,
): Value {
  if (!typedArrays[type](value)) {
    throw typeError(name, `a ${type}`, value);
  }
  // What is copied and told to the driver is counted by `length`, which subclasses can override.
  const length = realLength(value);
  if (value.length !== length) {
    throw valueError(name, `a ${type} whose length is its own`, value);
  }
  // What was transferred, and what its buffer has become too short for, is as long as what is empty.
  if (length === 0 && isGone(value)) {
    throw valueError(name, `a ${type} that is neither detached nor out of bounds`, value);
  }
  return value;
}

/** Bytes, of a Buffer as well. */
export function bytesArgument(name: string, value: Uint8Array): Uint8Array {
  return typedArrayArgument(name, value, 'Uint8Array');
}
