import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { boundedRun, type Output } from '../bounded-run.js';
import { copyProject, project, projectModules } from '../project-copy.js';
import { reportsIn, type Report } from './report.js';
import { environment, launcher, type Options, type Sanitizer } from './sanitizer.js';

const buildSeconds = 600;

export interface Work {
  /** The function of seeded-bug.cc that both addons call when they are loaded. Otherwise they have none of it. */
  readonly bug?: string;
  /** What Node is started with. */
  readonly words: readonly string[];
  /** Whether the sanitizer's library is there, as it should be. */
  readonly watched?: boolean;
  /** It is killed after so many. */
  readonly seconds: number;
  readonly output?: Output;
  /** More options for the sanitizer. */
  readonly options?: Options;
  /** More environment variables. */
  readonly variables?: NodeJS.ProcessEnv;
}

/** How a process that works with the sanitizer has ended. */
export interface Outcome {
  /** Whether its status was 0. */
  readonly succeeded: boolean;
  readonly reports: readonly Report[];
}

/**
 * A copy of the project with addons of its own: the loader finds them where it always does. It is kept for the next
 * time, and only what has changed is compiled again.
 */
export class SanitizedCopy {
  readonly sanitizer: Sanitizer;
  readonly #folder: string;
  readonly #reports: string;
  #filled = false;

  constructor(sanitizer: Sanitizer) {
    this.sanitizer = sanitizer;
    this.#folder = join(project, 'build/sanitized', sanitizer.name);
    this.#reports = join(this.#folder, 'build/reports');
  }

  async run({ bug, words, watched = true, options, variables, ...limits }: Work): Promise<Outcome> {
    await this.#fill();
    await this.#build(bug !== undefined);
    rmSync(this.#reports, { recursive: true, force: true });
    mkdirSync(this.#reports, { recursive: true });
    const env = {
      ...environment(this.sanitizer, this.#reports, options),
      MSHV_SEEDED_BUG: bug,
      ...variables,
    };
    const command = [...launcher(this.sanitizer, watched), process.execPath, ...words];
    const problem = await boundedRun('env', command, { cwd: this.#folder, env, ...limits });
    const found = readdirSync(this.#reports).flatMap((file) =>
      reportsIn(readFileSync(join(this.#reports, file), 'utf8')),
    );
    return {
      succeeded: problem === undefined,
      reports: found.map((report) =>
        report.ours ? { ...report, text: this.#symbolize(report.text) } : report,
      ),
    };
  }

  /** Names the functions of the addons' frames, where the sanitizer told the addresses only. */
  #symbolize(text: string): string {
    return text.replace(
      // ThreadSanitizer's are all so. The others read symbols once, at a report that may be before the addons were loaded.
      /<null> <null> \((mshv(?:_sim)?\.node)\+(0x[0-9a-f]+)\)/g,
      (frame, addon: string, address: string) => {
        const file = join(this.#folder, 'build/Release', addon);
        const words = ['-Cfpie', file, address];
        return `${execFileSync('addr2line', words, { encoding: 'utf8' }).trim()} ${frame}`;
      },
    );
  }

  /** Takes over the project's files and compiles `dist` from them, once. */
  async #fill(): Promise<void> {
    if (this.#filled) return;
    copyProject(this.#folder);
    await this.#make('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
    this.#filled = true;
  }

  /** Makes of the addons what is not up to date. */
  async #build(seeded: boolean): Promise<void> {
    const { compilerFlags, linkerFlags } = this.sanitizer;
    const objects = seeded ? ['seeded-bug.o'] : [];
    if (seeded) {
      const how = ['-std=c++20', '-fPIC', ...compilerFlags];
      const what = ['-c', '../test/sanitizers/seeded-bug.cc', '-o', ...objects];
      const cwd = join(this.#folder, 'build');
      execFileSync('g++', [...how, ...what], { cwd, stdio: 'inherit' });
    }
    const gyp = [
      '--loglevel',
      'error',
      'configure',
      'build',
      '--jobs',
      `${availableParallelism()}`,
    ];
    await this.#make('node-gyp/bin/node-gyp.js', gyp, {
      CXXFLAGS: [process.env['CXXFLAGS'], ...compilerFlags].join(' '),
      LDFLAGS: [process.env['LDFLAGS'], ...linkerFlags, ...objects].join(' '),
    });
  }

  /** Runs a program of node_modules that is to succeed. */
  async #make(
    program: string,
    words: readonly string[],
    variables: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const problem = await boundedRun(process.execPath, [join(projectModules, program), ...words], {
      cwd: this.#folder,
      env: { ...process.env, ...variables },
      seconds: buildSeconds,
      output: 'errors',
    });
    if (problem !== undefined) throw new Error(`${program} ${problem} in ${this.#folder}`);
  }
}
