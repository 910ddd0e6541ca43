import fc from 'fast-check';
import { appendFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const seed = Number(process.env['MSHV_TEST_SEED'] ?? 20_261_121);
const seconds = process.env['MSHV_FUZZ_SECONDS'];
const report = process.env['MSHV_FUZZ_REPORT'];

/**
 * A test of a property that holds whatever comes: always the same few cases, or other ones with
 * MSHV_TEST_SEED. `npm run fuzz` has as many cases as fit into MSHV_FUZZ_SECONDS, and is told how many there were by a
 * line in the file MSHV_FUZZ_REPORT.
 *
 * @param cases - how many, where it is a test
 * @param property - synchronous where what it tries is: only so the case that does not end is found
 */
export function fuzz<Case extends [unknown, ...unknown[]]>(
  name: string,
  cases: number,
  property: fc.IRawProperty<Case>,
): void {
  test(name, async () => {
    const result = await fc.check(property, {
      seed,
      ...(seconds === undefined
        ? { numRuns: cases }
        : {
            numRuns: 0x7fff_ffff,
            interruptAfterTimeLimit: 1000 * Number(seconds),
            markInterruptAsFailure: false,
          }),
    });
    if (report !== undefined) {
      const whole = expect.getState().currentTestName;
      appendFileSync(report, `${JSON.stringify({ name: whole, cases: result.numRuns })}\n`);
    }
    if (result.failed) {
      throw new Error(fc.defaultReportMessage(result), { cause: result.errorInstance });
    }
  });
}

/** Any bytes: as often all 0, all ones, or a few values as random. */
export function anyBytes(size: number): fc.Arbitrary<Uint8Array> {
  const fixed = { minLength: size, maxLength: size };
  return fc.oneof(
    fc.uint8Array(fixed),
    fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fixed).map((all) => Uint8Array.from(all)),
  );
}

/** Some bytes of what another arbitrary makes are replaced. */
export function mutated(valid: fc.Arbitrary<Uint8Array>, most = 8): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: most });
  return fc.tuple(valid, changes).map(([bytes, all]) => {
    const changed = Uint8Array.from(bytes);
    for (const [at, value] of all) changed[at % changed.length] = value;
    return changed;
  });
}

export const anyUint32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.integer({ min: 0, max: 40 }),
  fc.constantFrom(0xff, 0x100, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
);

export const anyUint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 63n, 2n ** 64n - 1n),
);
