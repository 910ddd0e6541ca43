import { styleText } from 'node:util';

import { MshvError } from '../errors.js';
import { build } from './build.js';
import { UsageError } from './command-line.js';
import type { Command } from './command.js';
import { info } from './info.js';
import { irqfd } from './irqfd.js';
import { packageVersion } from './package-version.js';
import type { Terminal } from './terminal.js';

const commands: readonly Command[] = [info, irqfd, build];

const programHelp = `usage: mshv COMMAND [OPTION...]

${commands.map(({ name, summary }) => `  ${name.padEnd(8)}${summary}`).join('\n')}

  mshv COMMAND --help says more; mshv --version prints the version.
`;

const isHelp = (arg: string): boolean => arg === '--help' || arg === '-h';

/**
 * Runs `mshv` with these arguments and returns its exit status: 0 all right, 1 failure, 2 wrong usage.
 * What the machine or the user did wrong is one message without a stack; anything else is thrown.
 */
export function runProgram(args: readonly string[], terminal: Terminal): number {
  const { stdout, stderr } = terminal;
  const [name = '', ...rest] = args;
  if (isHelp(name)) {
    stdout.write(programHelp);
    return 0;
  }
  if (name === '--version') {
    stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const problem = name === '' ? '' : `mshv: there is no command '${name}'\n`;
    stderr.write(problem + programHelp);
    return 2;
  }
  const usage = `usage: mshv ${name} ${command.usage}\n`;
  if (rest.some(isHelp)) {
    stdout.write(`${usage}\n${command.help}`);
    return 0;
  }
  try {
    return command.run(rest, terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`mshv ${name}: ${error.message}\n${usage}`);
      return 2;
    }
    if (error instanceof MshvError) {
      const what = styleText('red', `mshv ${name}:`, { stream: stderr });
      stderr.write(`${what} ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}
