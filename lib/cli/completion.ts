import { parseOptions, UsageError } from './command-line.js';
import type { Command, CommandOption } from './command.js';

/** The command that prints how a shell completes all of them. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    summary: 'how bash or zsh completes these commands',
    usage: 'bash|zsh',
    help: `Prints what the shell has to read:

  bash  mshv completion bash > \\
          ~/.local/share/bash-completion/completions/mshv
  zsh   mshv completion zsh > DIR/_mshv
        where DIR is one of $fpath, before compinit

Exit status: 0, or 2 for another shell.
`,
    options: {},
    words: Object.keys(shells),
    run([shell = '', ...rest], { stdout }) {
      const script = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
      if (script === undefined) {
        const known = Object.keys(shells).join(' or ');
        throw new UsageError(`the shell must be ${known}, received '${shell}'`);
      }
      parseOptions(rest, {});
      stdout.write(script(commands()));
      return 0;
    },
  };
}

const shells: Readonly<Record<string, (commands: readonly Command[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
};

const optionsOf = ({ options }: Command): [string, CommandOption][] => [
  ...Object.entries(options),
  ['help', { type: 'boolean', summary: 'what it does, and its options' }],
];

function bashScript(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const values = optionsOf(command).flatMap(([name, { type, words = [], takesPath }]) =>
      type === 'boolean'
        ? []
        : [
            `      --${name}) COMPREPLY=($(compgen ${takesPath === true ? '-f ' : ''}-W '${words.join(' ')}' -- "$word")); return ;;`,
          ],
    );
    const words = [
      ...(command.words ?? []),
      ...optionsOf(command).map(([name]) => `--${name}`),
    ].join(' ');
    const before = values.length === 0 ? [] : ['      case $before in', ...values, '      esac'];
    return [`    ${command.name})`, ...before, `      words='${words}' ;;`].join('\n');
  });
  return `# bash completion of mshv: mshv completion bash
_mshv() {
  # '=' parts words: --device=sim is three of them.
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} words
  if [ "$word" = = ]; then
    word=''
  elif [ "$before" = = ]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [ "$COMP_CWORD" = 1 ]; then
    words='${commands.map(({ name }) => name).join(' ')} --help --version'
  else
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _mshv mshv
`;
}

/** A text between single quotes, where a colon or a bracket would end what describes an option. */
const described = (text: string): string => text.replaceAll(/[[\]:]/g, '\\$&').replaceAll("'", '’');

function zshScript(commands: readonly Command[]): string {
  const names = commands.map(({ name, summary }) => `    '${name}:${described(summary)}'`);
  const cases = commands.map((command) => {
    const specs = optionsOf(command).map(([name, { type, summary, words = [], takesPath }]) => {
      const value =
        takesPath === true
          ? `:value:{ compadd ${words.join(' ')}; _files }`
          : `:value:(${words.join(' ')})`;
      return type === 'boolean'
        ? `'--${name}[${described(summary)}]'`
        : `'--${name}=[${described(summary)}]${value}'`;
    });
    if (command.words !== undefined) specs.push(`'1:word:(${command.words.join(' ')})'`);
    return `    ${command.name}) _arguments ${specs.join(' ')} ;;`;
  });
  return `#compdef mshv
# zsh completion of mshv: mshv completion zsh
_mshv() {
  local -a commands
  commands=(
${names.join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    compadd -- --help --version
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _mshv ]; then
  _mshv "$@"
else
  compdef _mshv mshv
fi
`;
}
