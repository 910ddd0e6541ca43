/**
 * What a step of a random sequence is made of: small numbers, drawn one after the other and kept. The same numbers
 * make the same step again, smaller ones a simpler step of the same kind, and 0 is the simplest choice everywhere.
 */
export class Choices {
  readonly #draw: (most: number) => number;
  readonly taken: number[] = [];

  constructor(draw: (most: number) => number) {
    this.#draw = draw;
  }

  /** Draws from a generator that is the same for the same seed. */
  static random(seed: number): Choices {
    let state = seed >>> 0;
    return new Choices((most) => {
      // mulberry32
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % (most + 1);
    });
  }

  /** Draws what was drawn before, then zeroes. */
  static of(numbers: readonly number[]): Choices {
    let next = 0;
    return new Choices((most) => (numbers[next++] ?? 0) % (most + 1));
  }

  /** 0 to `most`, at most 2 ** 32 - 1. */
  upTo(most: number): number {
    const drawn = this.#draw(most);
    this.taken.push(drawn);
    return drawn;
  }

  /** True once in `n` times. */
  onceIn(n: number): boolean {
    return this.upTo(n - 1) === n - 1 && n > 1;
  }

  /** One of them; the first is the simplest. */
  of<const Value>(...values: readonly [Value, ...Value[]]): Value {
    return values[this.upTo(values.length - 1)] ?? values[0];
  }

  list<Value>(least: number, most: number, draw: () => Value): Value[] {
    const values: Value[] = [];
    for (let left = least + this.upTo(most - least); left > 0; left--) values.push(draw());
    return values;
  }
}
