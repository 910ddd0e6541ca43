import { styleText } from 'node:util';

import { MshvError } from '../errors.js';
import { build } from './build.js';
import { parseOptions, UsageError } from './command-line.js';
import { type Command, CommandFailure } from './command.js';
import { completionOf } from './completion.js';
import { info } from './info.js';
import { irqfd } from './irqfd.js';
import { packageVersion } from './package-version.js';
import type { Terminal } from './terminal.js';

const programHelp = (): string => `usage: mshv COMMAND [OPTION...]

${commands.map(({ name, summary }) => `  ${name.padEnd(11)}${summary}`).join('\n')}

mshv help COMMAND says more; mshv --version is the version.
`;

const help: Command = {
  name: 'help',
  summary: 'what a command does, and its options',
  usage: '[COMMAND]',
  help: `Prints what a command does, and its options; without one,
which commands there are.

Exit status: 0 there is such a command, 2 there is none.
`,
  options: {},
  get words() {
    return commands.map(({ name }) => name);
  },
  run([name, ...rest], { stdout }) {
    const text = name === undefined ? programHelp() : helpOf(name);
    if (text === undefined) throw new UsageError(`there is no command '${name ?? ''}'`);
    parseOptions(rest, {});
    stdout.write(text);
    return 0;
  },
};

const commands: readonly Command[] = [info, irqfd, build, completionOf(() => commands), help];

const commandOf = (name: string): Command | undefined =>
  commands.find((candidate) => candidate.name === name);

const usageOf = ({ name, usage }: Command): string => `usage: mshv ${name} ${usage}`.trimEnd();

function helpOf(name: string): string | undefined {
  const command = commandOf(name);
  return command && `${usageOf(command)}\n\n${command.help}`;
}

const isHelp = (arg: string): boolean => arg === '--help' || arg === '-h';

/**
 * Runs `mshv` with these arguments and returns its exit status: 0 all right, 1 failure, 2 wrong usage, 130 interrupted.
 * What the machine or the user did wrong is one message without a stack; anything else is thrown.
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  const { stdout, stderr } = terminal;
  const [name = '', ...rest] = args;
  if (isHelp(name)) {
    stdout.write(programHelp());
    return 0;
  }
  if (name === '--version' || name === '-v') {
    stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const command = commandOf(name);
  if (command === undefined) {
    const problem = name === '' ? '' : `mshv: there is no command '${name}'\n`;
    stderr.write(problem + programHelp());
    return 2;
  }
  if (rest.some(isHelp)) {
    stdout.write(helpOf(name) ?? '');
    return 0;
  }
  try {
    return await command.run(rest, terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`mshv ${name}: ${error.message}\n${usageOf(command)}\n`);
      return 2;
    }
    if (error instanceof MshvError || error instanceof CommandFailure) {
      const what = styleText('red', `mshv ${name}:`, { stream: stderr });
      stderr.write(`${what} ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}
