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
