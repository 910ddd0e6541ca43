import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/cli/program.js';
import { shellEnvironment } from '../../shell.js';
import { slowness } from '../../slowness.js';
import { CapturedTerminal } from './captured-terminal.js';

const folder = mkdtempSync(join(tmpdir(), 'mshv-completion-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
beforeAll(async () => {
  writeFileSync(join(folder, 'a-device'), '');
  for (const [shell, file] of Object.entries({ bash: 'mshv.bash', zsh: '_mshv' })) {
    const terminal = new CapturedTerminal();
    expect(await runProgram(['completion', shell], terminal)).toBe(0);
    writeFileSync(join(folder, file), terminal.stdout.text);
  }
});

function run(shell: string, args: string[], script: string): string {
  const { status, stdout, stderr } = spawnSync(shell, [...args, '-c', script], {
    cwd: folder,
    encoding: 'utf8',
    env: shellEnvironment,
    timeout: 30_000 * slowness,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** What is offered for the last of these words, which may have been begun. */
const cases: readonly [words: string[], offered: string[]][] = [
  [['i'], ['info', 'irqfd']],
  [['he'], ['help']],
  [['--v'], ['--version']],
  [
    ['info', '--'],
    ['--help', '--json'],
  ],
  [['irqfd', '--ro'], ['--routes']],
  [
    ['irqfd', '--'],
    ['--architecture', '--device', '--help', '--json', '--mask-every', '--routes', '--signals'],
  ],
  [['irqfd', '--device', 's'], ['sim']],
  [
    ['irqfd', '--architecture', ''],
    ['arm64', 'x64'],
  ],
  [['irqfd', '--device', 'a-'], ['a-device']],
  [
    ['completion', ''],
    ['--help', 'bash', 'zsh'],
  ],
  [['help', 'bu'], ['build']],
  [['bogus', ''], []],
];

describe('completion in bash', () => {
  it.each([
    ...cases,
    // bash has parted the word.
    [['irqfd', '--device', '=', 'a-'], ['a-device']] as const,
    [
      ['irqfd', '--device', '='],
      ['_mshv', 'a-device', 'auto', 'mshv.bash', 'sim'],
    ] as const,
  ])('of %j is %j', (words, offered) => {
    const quoted = ['mshv', ...words].map((word) => `'${word}'`).join(' ');
    const script = `. ./mshv.bash
      complete -p mshv | grep -q -- '-F _mshv mshv' || exit 3
      COMP_WORDS=(${quoted}) COMP_CWORD=${words.length}
      _mshv
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const found = run('bash', ['--norc'], script).split('\n').filter(Boolean).sort();
    expect(found).toEqual(offered);
  });
});

const hasZsh = spawnSync('zsh', ['--version']).error === undefined;

// CI installs zsh.
describe.skipIf(!hasZsh)('completion in zsh', () => {
  it.each(cases.filter(([words]) => words.at(-1) !== ''))('of %j is %j', (words, offered) => {
    // A zsh in a terminal of its own, whose completions are written by compadd to a file.
    const script = `zmodload zsh/zpty
      zpty z zsh -f -i
      zpty -w z "PS1= fpath=($PWD \\$fpath); autoload -U compinit; compinit -u -d $PWD/dump"
      zpty -w z 'compadd() { local -a found; builtin compadd -O found "$@"; print -l -- $found >> ./found; builtin compadd "$@" }'
      zpty -w z "complete-and-tell() { zle complete-word; print -n DONE'!' }; zle -N complete-and-tell"
      zpty -w z "bindkey '^T' complete-and-tell; print -n READY'!'"
      zpty -r z line '*READY!*'
      zpty -n -w z $'mshv ${words.join(' ')}\x14'
      zpty -r z line '*DONE!*'
      zpty -d z
      cat ./found 2> /dev/null; rm -f ./found`;
    const found = new Set(run('zsh', ['-f'], script).split('\n').filter(Boolean));
    expect([...found].sort()).toEqual(offered);
  });
});
