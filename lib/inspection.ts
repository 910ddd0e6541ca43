import { inspect, type InspectOptionsStylized } from 'node:util';

// The one way in which the objects of this library are inspected: as Node prints an instance of a class, with the
// depth and the options that it was asked for.

/** A quantity that is printed in hexadecimal. */
class Hexadecimal {
  readonly #digits: string;

  constructor(value: bigint | number) {
    this.#digits = `0x${value.toString(16)}`;
  }

  [inspect.custom](_depth: number | null, options: InspectOptionsStylized): string {
    return options.stylize(this.#digits, 'number');
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
  options: InspectOptionsStylized,
): string {
  if (depth !== null && depth < 0) {
    return options.stylize(`[${name}]`, 'special');
  }
  const present = Object.entries(shown).filter(([, value]) => value !== undefined);
  return `${options.stylize(name, 'special')} ${inspect(Object.fromEntries(present), { ...options, depth })}`;
}
