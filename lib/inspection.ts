import { inspect, type InspectOptions } from 'node:util';

// The one way in which the objects of this library are inspected: as Node prints an instance of a class, with the
// depth and the options that it was asked for.

/** A quantity that is printed in hexadecimal. */
class Hexadecimal {
  readonly #digits: string;

  constructor(value: bigint | number) {
    this.#digits = `0x${value.toString(16)}`;
  }

  [inspect.custom](_depth: number | null, options: InspectOptions): string {
    return stylized(options, this.#digits, 'number');
  }
}

/** Has an address, a size or a register printed as documentation writes it. */
export const hexadecimal = (value: bigint | number): object => new Hexadecimal(value);

/**
 * What an object's `[inspect.custom]` returns.
 *
 * @param name - of its class
 * @param shown - what there is to see of it; what is undefined is left out
 * @param depth - as Node gives it: negative where this object lies deeper than is to be shown
 */
export function inspected(
  name: string,
  shown: Readonly<Record<string, unknown>>,
  depth: number | null,
  options: InspectOptions,
): string {
  if (depth !== null && depth < 0) {
    return stylized(options, `[${name}]`, 'special');
  }
  const present = Object.entries(shown).filter(([, value]) => value !== undefined);
  return `${stylized(options, name, 'special')} ${inspect(Object.fromEntries(present), { ...options, depth })}`;
}

/** A text in the colour of its kind, where Node gives colours: its options have a function then that not every `@types/node` names. */
function stylized(options: InspectOptions, text: string, kind: 'number' | 'special'): string {
  return canStylize(options) ? options.stylize(text, kind) : text;
}

function canStylize(
  options: InspectOptions,
): options is InspectOptions & { stylize: (text: string, kind: string) => string } {
  return 'stylize' in options && typeof options.stylize === 'function';
}
