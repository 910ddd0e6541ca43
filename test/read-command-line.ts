import { UsageError } from '../lib/cli/command-line.js';

/**
 * What a script makes of its arguments. A UsageError is said, and ends the process with the status that `mshv` has then.
 */
export function readCommandLine<Plan>(read: (args: readonly string[]) => Plan): Plan {
  try {
    return read(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exit(2);
  }
}

/** Those of a script's parts that its arguments name, in the script's order; all of them where none is named. */
export function readNames(
  kind: string,
  known: readonly string[],
  words: readonly string[],
): string[] {
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) {
    throw new UsageError(`there is no ${kind} '${unknown}', only ${known.join(', ')}`);
  }
  return known.filter((name) => words.length === 0 || words.includes(name));
}
