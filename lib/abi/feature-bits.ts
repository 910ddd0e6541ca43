/** The names of the bits that are set, by a table of bit numbers. Bits without a name are left out. */
export function bitNames<Name extends string>(
  bits: bigint,
  numbers: Readonly<Record<Name, number>>,
): readonly Name[] {
  return (Object.keys(numbers) as Name[]).filter(
    (name) => (bits & (1n << BigInt(numbers[name]))) !== 0n,
  );
}

/** The bits of some names, by a table of bit numbers. */
export function bitsOf<Name extends string>(
  names: readonly Name[],
  numbers: Readonly<Record<Name, number>>,
): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(numbers[name])), 0n);
}
