import { parseArgs, type ParseArgsConfig } from 'node:util';

/** A command line that asks for something a command does not do. */
export class UsageError extends Error {}

type OptionDescriptions = NonNullable<ParseArgsConfig['options']>;

/**
 * The options of a command line that has no positional arguments.
 *
 * @throws UsageError
 */
export function parseOptions<const Options extends OptionDescriptions>(
  args: readonly string[],
  options: Options,
): ReturnType<typeof parseArgs<{ options: Options; strict: true }>>['values'] {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    if (error instanceof TypeError && 'code' in error) {
      // The sentences after the first one advise on positional arguments, which no command has.
      throw new UsageError(error.message.replace(/\. (To specify|This command).*$/s, ''));
    }
    throw error;
  }
}

/**
 * One of a few words.
 *
 * @throws UsageError naming the option, the words and the value
 */
export function wordOption<Word extends string>(
  name: string,
  value: string,
  words: readonly Word[],
): Word {
  const word = words.find((known) => known === value);
  if (word === undefined) {
    throw new UsageError(`--${name} must be ${words.join(' or ')}, received '${value}'`);
  }
  return word;
}

/**
 * A whole number in decimal digits.
 *
 * @throws UsageError naming the option, the range and the value
 */
export function integerOption(name: string, value: string, least: number, most: number): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) {
    throw new UsageError(
      `--${name} must be a whole number from ${least} to ${most}, received '${value}'`,
    );
  }
  return number;
}
