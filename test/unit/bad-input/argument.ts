/** What a wrong argument is refused with. */
export const refusals = {
  type: { class: TypeError, code: 'ERR_INVALID_ARG_TYPE' },
  value: { class: TypeError, code: 'ERR_INVALID_ARG_VALUE' },
  range: { class: RangeError, code: 'ERR_OUT_OF_RANGE' },
} as const;

/** A value that an argument does not take. */
export interface Wrong {
  readonly value: unknown;
  readonly error: keyof typeof refusals;
  /** How the message shows the value, where not as `inspect` does. */
  readonly shown?: string;
}

export const type = (...values: unknown[]): Wrong[] =>
  values.map((value) => ({ value, error: 'type' as const }));

export const range = (...values: unknown[]): Wrong[] =>
  values.map((value) => ({ value, error: 'range' as const }));

export const symbol = Symbol('a symbol');

export const largestWord = 2n ** 64n - 1n;

export interface Argument {
  /** Its name in messages. */
  readonly name: string;
  /** What messages say it accepts. */
  readonly accepts: string;
  readonly wrong: readonly Wrong[];
  /** Whether it takes 0, as a number: then -0 as well, which is the same. */
  readonly takesZero?: boolean;
}

export function integer(name: string, least: number, most: number): Argument {
  return {
    name,
    accepts: `a whole number from ${least} to ${most}`,
    takesZero: least <= 0 && most >= 0,
    wrong: [
      ...type('1', '', null, 1n, {}, [1], true, symbol, () => 1, new Date(0)),
      ...range(NaN, Infinity, -Infinity, least - 1, most + 1, least + 0.5, -1.5, -(2 ** 31)),
      ...range(2 ** 53, 2 ** 64, -(2 ** 53), Number.MAX_VALUE),
    ],
  };
}

export function quantity(name: string, least: bigint, most: bigint): Argument {
  return {
    name,
    accepts: `a bigint or safe integer from ${least} to ${most}`,
    wrong: [
      ...type('1', '', null, {}, [1n], true, symbol, () => 1n),
      ...range(NaN, Infinity, -Infinity, -1, -1n, least - 1n, most + 1n, 1.5, 2n ** 64n, 2n ** 70n),
      ...range(2 ** 53, 2 ** 64, Number.MAX_VALUE),
    ],
  };
}

export function boolean(name: string): Argument {
  const wrong = type(0, 1, 1n, 'true', '', null, {}, [], symbol, () => true);
  return { name, accepts: 'true or false', wrong };
}

export function string(name: string): Argument[] {
  const wrong = type(1, 1n, null, {}, ['a'], true, symbol, () => 'a', '');
  const nulInside = { value: 'a\0b', error: 'range', shown: "'a\\x00b'" } as const;
  return [
    { name, accepts: 'a string that is not empty', wrong },
    { name, accepts: 'a string without NUL characters', wrong: [nulInside] },
  ];
}

export function callback(name: string): Argument {
  const wrong = type(undefined, null, '1', 1, 1n, {}, [], true, symbol, Promise.resolve());
  return { name, accepts: 'a function', wrong };
}

/** An `onError`. */
export function listener(name: string): Argument {
  return { ...optional(callback(name)), accepts: 'a function or an instance of FailureReports' };
}

export function instance(name: string, of: string, ...lookalikes: unknown[]): Argument {
  const wrong = type(null, 1, 1n, 'x', true, {}, [], symbol, () => 1, ...lookalikes);
  return { name, accepts: `an instance of ${of}`, wrong };
}

export function addon(name: string): Argument {
  const wrong = type(null, 1, 1n, 'mshv', true, {}, [], symbol, () => 1, { open: () => 3 });
  return { name, accepts: 'an addon of this package', wrong };
}

export function choice(name: string, ...choices: string[]): Argument {
  const accepts = `one of ${choices.map((one) => `'${one}'`).join(', ')}`;
  const wrong = [
    ...type(null, 1, 1n, {}, [choices[0]], true, symbol, () => 1),
    ...range('', 'colour', 'Fixed', '0', 'toString', '__proto__').filter(
      ({ value }) => !choices.includes(String(value)),
    ),
  ];
  return { name, accepts, wrong };
}

export function array(name: string): Argument {
  const wrong = type(null, 1, 1n, 'text', true, {}, symbol, () => [], new Set(['hv1']), {
    length: 0,
  });
  return { name, accepts: 'an array', wrong };
}

export function typedArray(
  name: string,
  kind: 'Uint8Array' | 'Uint32Array' | 'BigUint64Array',
): Argument {
  const others = {
    Uint8Array: new Uint8ClampedArray(8),
    Uint32Array: new Int32Array(8),
    BigUint64Array: new BigInt64Array(8),
  };
  const wrong = type(null, 1, 1n, 'x', true, {}, [], symbol, () => 1, others[kind]);
  const proxy = new Proxy(new { Uint8Array, Uint32Array, BigUint64Array }[kind](8), {});
  return {
    name,
    accepts: `a ${kind}`,
    wrong: [...wrong, ...type(new ArrayBuffer(8), new DataView(new ArrayBuffer(8)), proxy)],
  };
}

/** An object with these keys, and no others. */
export function keyed(name: string, ...keys: string[]): Argument[] {
  const wrong = type(null, 1, 1n, '', 'text', true, symbol, [], () => ({}));
  const unknown = ['colour', `${keys[0] ?? ''}s`, '__proto'].map(
    (key) => ({ value: { [key]: 1 }, error: 'value', shown: `'${key}'` }) as const,
  );
  return [
    { name, accepts: 'an object', wrong },
    { name, accepts: `an object with no other keys than ${keys.join(', ')}`, wrong: unknown },
  ];
}

/** Nothing is wrong too. */
export function required(argument: Argument): Argument {
  return { ...argument, wrong: [...argument.wrong, ...type(undefined)] };
}

/** Nothing is not. */
export function optional(argument: Argument): Argument {
  return { ...argument, wrong: argument.wrong.filter(({ value }) => value !== undefined) };
}

export const multiple = (name: string): Argument => ({
  name,
  accepts: 'a multiple of 4096',
  wrong: range(4097, 8191n, 5000),
});
