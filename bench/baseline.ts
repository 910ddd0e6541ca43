import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Compiles a baseline, optimised as node-gyp optimises the addon, and returns where it is. */
export function compileBaseline(
  name: string,
  compiler: string,
  sources: readonly string[],
): string {
  mkdirSync(`${root}build/bench`, { recursive: true });
  const program = `${root}build/bench/${name}`;
  const flags = ['-O3', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-pthread'];
  if (compiler === 'g++') {
    flags.push('-std=c++20');
  }
  execFileSync(compiler, [...flags, ...sources, '-o', program], { cwd: root, stdio: 'inherit' });
  return program;
}

/** What `npm run compile` has made of an addon, for baselines that stand on the same code without Node. */
export function objectsOf(addon: 'mshv' | 'mshv_sim'): string[] {
  const sources =
    addon === 'mshv'
      ? ['native/linux_backend.cc']
      : readdirSync(`${root}native/sim`)
          .filter((file) => file.endsWith('.cc') && file !== 'exports.cc')
          .map((file) => `native/sim/${file}`);
  const objects = sources.map(
    (source) => `build/Release/obj.target/${addon}/${source.replace(/cc$/, 'o')}`,
  );
  return [...objects, 'build/Release/mshv_shared.a'];
}

/** A C or C++ program that does a round of work per line of its input and times that itself. */
export class Baseline {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string, undefined>;
  readonly #requests: NodeJS.WritableStream;

  /** @param fds - become descriptors 3, 4, … of the program */
  constructor(program: string, args: readonly string[] = [], ...fds: readonly number[]) {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'inherit', ...fds],
    });
    if (child.stdin === null || child.stdout === null) {
      throw new Error(`cannot talk to ${program}`);
    }
    this.#process = child;
    this.#requests = child.stdin;
    this.#answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  ask(request: string): Promise<string> {
    this.#requests.write(`${request}\n`);
    return this.answer();
  }

  async answer(): Promise<string> {
    const { value, done } = await this.#answers.next();
    if (done === true) {
      throw new Error(`${this.#process.spawnfile} ended`);
    }
    return value;
  }

  end(): void {
    this.#requests.end();
  }
}
