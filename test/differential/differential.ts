import { Choices } from './choices.js';
import type { Machine } from './machine.js';
import { describe, drawStep, prepare, type Step } from './operations.js';
import { shrink, type Numbers } from './shrink.js';
import { difference, Side, type Lasting, type Seen } from './side.js';

/** Where two sides differ. */
interface Mismatch {
  /** Of the step in the sequence; the number of steps where it is what is left in the end. */
  readonly index: number;
  readonly expected: readonly Seen[];
  readonly got: readonly Seen[];
}

export interface Found {
  /** How many the sequence had when it differed. */
  readonly steps: number;
  /** How many of them are enough. */
  readonly shrunk: number;
  /** Whether the same steps differ when they are made again. What does not was a matter of time. */
  readonly comesAgain: boolean;
  /** The steps that are enough, and what either side has seen, in lines. */
  readonly report: readonly string[];
}

export interface Figures {
  operations: number;
  sequences: number;
  failed: number;
  /** How often each was performed. */
  readonly byName: Map<string, number>;
}

/** How many steps are made between two looks at all that can be seen. */
const stride = 32;
const attempts = 600;

const sequenceSeed = (seed: number, sequence: number): number =>
  Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(sequence + 1, 0xc2b2ae35);

/** The same random operations on two drivers, one of which is right. */
export class Differential {
  readonly figures: Figures = { operations: 0, sequences: 0, failed: 0, byName: new Map() };
  readonly #machines: readonly [Machine, Machine];
  readonly #lasting: readonly [Lasting, Lasting];

  /** What `expected` does is right. */
  constructor(expected: Machine, got: Machine) {
    this.#machines = [expected, got];
    this.#lasting = [Side.lasting(expected), Side.lasting(got)];
  }

  /** Makes one sequence of operations. Returns how the sides differ, where they do. */
  run(seed: number, sequence: number, length: number): Found | undefined {
    const choices = Choices.random(sequenceSeed(seed, sequence));
    const drawn: Numbers[] = [];
    const next = (): Step | undefined => {
      if (drawn.length === length) return undefined;
      choices.taken.length = 0;
      const step = drawStep(choices);
      drawn.push([...choices.taken]);
      return step;
    };
    this.figures.sequences++;
    const mismatch = this.#perform(next, stride, this.figures);
    if (mismatch === undefined) return undefined;
    const failing = drawn.slice(0, mismatch.index + 1);
    const comesAgain = [1, 2, 3].some(() => this.#replay(failing) !== undefined);
    const shrunk = comesAgain
      ? shrink(failing, (candidate) => this.#replay(candidate) !== undefined, attempts)
      : failing;
    const report = this.#report(shrunk, mismatch);
    return { steps: failing.length, shrunk: shrunk.length, comesAgain, report };
  }

  [Symbol.dispose](): void {
    this.#machines.forEach(({ native }, i) => {
      const { memories, blocking } = this.#lasting[i === 0 ? 0 : 1];
      for (const memory of memories) native.memoryUnmap(memory);
      for (const fd of blocking) native.close(fd);
    });
  }

  #replay(sequence: readonly Numbers[]): Mismatch | undefined {
    const steps = sequence.map((numbers) => drawStep(Choices.of(numbers)));
    return this.#perform(() => steps.shift(), 1);
  }

  #perform(next: () => Step | undefined, looks: number, figures?: Figures): Mismatch | undefined {
    const [expected, got] = this.#machines.map(
      (machine, i) => new Side(machine, this.#lasting[i === 0 ? 0 : 1]),
    ) as [Side, Side];
    try {
      prepare(expected);
      prepare(got);
      for (let index = 0; ; index++) {
        const step = next();
        for (const side of [expected, got]) {
          side.seen.length = 0;
          step?.perform(side);
          if (figures !== undefined && side === got) count(figures, step, side);
          side.takeInterrupts();
          if (step === undefined || index % looks === looks - 1) side.look();
          if (step === undefined) side.seen.push(...side.memoryBytes());
        }
        if (difference(expected.seen, got.seen) >= 0) {
          return { index, expected: [...expected.seen], got: [...got.seen] };
        }
        if (step === undefined) return undefined;
      }
    } finally {
      expected.close();
      got.close();
    }
  }

  #report(sequence: readonly Numbers[], first: Mismatch): string[] {
    const steps = sequence.map((numbers) => drawStep(Choices.of(numbers)));
    const mismatch = this.#replay(sequence) ?? first;
    const lines = steps.map((step, i) => `${i + 1}. ${describe(step)}`);
    const at = difference(mismatch.expected, mismatch.got);
    const where = mismatch.index < steps.length ? `step ${mismatch.index + 1}` : 'the end';
    return [
      ...lines,
      `at ${where}, value ${at + 1}:`,
      ...differing(mismatch.expected[at], mismatch.got[at]),
      `expected: ${mismatch.expected.map(brief).join(' ')}`,
      `got:      ${mismatch.got.map(brief).join(' ')}`,
    ];
  }
}

function count(figures: Figures, step: Step | undefined, { seen: [result] }: Side): void {
  // What had nothing to operate on was no operation.
  if (step === undefined || result === undefined) return;
  figures.operations++;
  if (typeof result === 'number' && result < 0) figures.failed++;
  figures.byName.set(step.operation, (figures.byName.get(step.operation) ?? 0) + 1);
}

function brief(seen: Seen): string {
  if (!(seen instanceof Uint8Array)) return String(seen);
  const hex = Buffer.from(seen.subarray(0, 64)).toString('hex');
  return seen.length > 64 ? `${hex}… (${seen.length} bytes)` : `[${hex}]`;
}

function differing(expected: Seen | undefined, got: Seen | undefined): string[] {
  if (!(expected instanceof Uint8Array && got instanceof Uint8Array)) {
    const show = (seen: Seen | undefined): string => (seen === undefined ? 'nothing' : brief(seen));
    return [`  ${show(expected)} expected, ${show(got)} seen`];
  }
  const at = expected.findIndex((byte, i) => byte !== got[i]);
  const from = (bytes: Uint8Array): string => brief(bytes.subarray(Math.max(at, 0)));
  return [`  from byte ${at}: ${from(expected)} expected, ${from(got)} seen`];
}
