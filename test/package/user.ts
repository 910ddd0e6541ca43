import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** What a shell script of a package manager may want. No compiler, no make, no python. */
const commands = [
  'sh',
  'env',
  'rm',
  'sed',
  'dirname',
  'basename',
  'uname',
  'readlink',
  'npm',
  'npx',
];

const nobody = 65_534;
const seconds = 120;

/** How a command has ended. */
export interface Outcome {
  readonly status: number | null;
  /** All that it has said. */
  readonly said: string;
  readonly seconds: number;
}

/**
 * Somebody who has Node.js and nothing else: not root, no compiler, no python, an empty home, and folders whose names have spaces.
 * The caches of package managers are shared by all projects of one such user.
 */
export class User {
  readonly #folder = mkdtempSync(join(tmpdir(), 'a user of mshv '));
  readonly #ids = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};

  constructor() {
    chmodSync(this.#folder, 0o755);
    this.#make('home');
    const bin = this.#make('bin');
    for (const command of commands) {
      const path = execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' });
      symlinkSync(path.trim(), join(bin, command));
    }
  }

  /** Gives the user a Node.js, and returns the folder of its program. */
  addNode(name: string, program: string): string {
    const folder = this.#make(`node ${name}`);
    copyFileSync(program, join(folder, 'node'));
    chmodSync(join(folder, 'node'), 0o755);
    return folder;
  }

  /** Gives the user a file, and returns where. */
  addFile(name: string, from: string): string {
    const to = join(this.#folder, name);
    copyFileSync(from, to);
    chmodSync(to, 0o644);
    return to;
  }

  /** Makes an empty folder and returns it. */
  addFolder(name: string): string {
    return this.#make(name);
  }

  /** Runs a command in a folder, with these folders first in PATH. */
  run(command: readonly string[], cwd: string, path: readonly string[]): Outcome {
    const [program = '', ...words] = command;
    const began = performance.now();
    const { status, stdout, stderr, error } = spawnSync(program, words, {
      ...this.#ids,
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: seconds * 1000,
      env: {
        ...certificates(),
        HOME: join(this.#folder, 'home'),
        PATH: [...path, join(this.#folder, 'bin')].join(delimiter),
      },
    });
    return {
      status,
      said: [stdout, stderr, error?.message ?? ''].join(''),
      seconds: (performance.now() - began) / 1000,
    };
  }

  /** Takes away all that the user has. */
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  #make(name: string): string {
    const folder = join(this.#folder, name);
    mkdirSync(folder, { recursive: true });
    this.own(folder);
    return folder;
  }

  /** Makes a folder the user's, and what is in it. */
  own(folder: string): void {
    const { uid, gid } = this.#ids;
    if (uid === undefined) return;
    for (const name of ['.', ...readdirSync(folder)]) chownSync(join(folder, name), uid, gid);
  }
}

/** What this machine needs to reach a registry. */
function certificates(): NodeJS.ProcessEnv {
  const wanted =
    /^(?:NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|https?_proxy|no_proxy|npm_config_registry)$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}
