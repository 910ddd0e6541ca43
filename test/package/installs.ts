import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { Table } from 'console-table-printer';

import { thisPlatform } from '../../lib/prebuilt.js';
import { slowness } from '../slowness.js';
import { nodeOf } from '../versions/node-of.js';
import { type Installer, installers } from './installers.js';
import { type Outcome, User } from './user.js';

const lines = ['20', '22', '24', '26'];
const mostSeconds = 3 * slowness;

/** A CommonJS program and a module, each of which uses the package. */
const programs = {
  'required.cjs': "const { Simulator } = require('mshv/sim');",
  'imported.mjs': "import { Simulator } from 'mshv/sim';",
};
const use = '\nconsole.log(new Simulator().open().createPartition().closed);\n';

/** A step of an installation that was not as it should be. */
interface Fault {
  readonly what: string;
  readonly outcome: Outcome;
}

/** One package manager on one Node.js, in an empty folder. */
class Installation {
  readonly #user: User;
  readonly #installer: Installer;
  readonly #path: readonly string[];
  readonly #tarball: string;

  constructor(user: User, installer: Installer, path: readonly string[], tarball: string) {
    this.#user = user;
    this.#installer = installer;
    this.#path = path;
    this.#tarball = tarball;
  }

  /** Installs the package into a new folder. Returns the folder, and how that went. */
  install(name: string): { project: string; outcome: Outcome } {
    const project = this.#user.addFolder(name);
    writeFileSync(join(project, 'package.json'), '{ "private": true }\n');
    // Without it the project is not one of its own to yarn 4.
    if (this.#installer.name.startsWith('yarn 4')) writeFileSync(join(project, 'yarn.lock'), '');
    for (const [file, first] of Object.entries(programs)) {
      writeFileSync(join(project, file), first + use);
    }
    this.#user.own(project);
    return { project, outcome: this.#run([...this.#installer.install, this.#tarball], project) };
  }

  /** What is wrong with an installed package; undefined where nothing is. */
  check(project: string): Fault | undefined {
    return this.#routes(project) ?? this.#programs(project);
  }

  /** What is wrong with what it says of a deleted addon, and with what comes of doing so; undefined where nothing is. */
  checkDeleted(project: string): Fault | undefined {
    const folder = join(project, dirname(this.#installer.installed));
    const begin = this.#installer.installed.slice(dirname(this.#installer.installed).length + 1);
    const [name = ''] = readdirSync(folder).filter((one) => one.startsWith(begin));
    const unplugged = name === begin ? name : join(name, 'node_modules/mshv');
    rmSync(join(folder, unplugged, 'prebuilds', thisPlatform(), 'mshv_sim.node'));
    const broken = this.#run([...this.#installer.run, 'irqfd', '--device', 'sim'], project);
    const [, again] = /it is missing: '(.+?)' installs it again/.exec(broken.said) ?? [];
    if (again === undefined) return { what: 'what it says of a deleted addon', outcome: broken };
    const outcome = this.#run(['sh', '-c', again], project);
    if (outcome.status !== 0) return { what: again, outcome };
    return this.#routes(project);
  }

  #routes(project: string): Fault | undefined {
    const outcome = this.#run([...this.#installer.run, 'irqfd', '--device', 'sim'], project);
    const isRight = outcome.status === 0 && outcome.said.includes('lost 0, extra 0, wrong 0');
    return isRight ? undefined : { what: 'mshv irqfd', outcome };
  }

  #programs(project: string): Fault | undefined {
    const isPlugAndPlay = this.#installer.installed.startsWith('.yarn');
    for (const file of Object.keys(programs)) {
      const outcome = this.#run([...(isPlugAndPlay ? ['yarn'] : []), 'node', file], project);
      if (outcome.status !== 0 || !outcome.said.includes('false\n')) return { what: file, outcome };
    }
    return undefined;
  }

  #run(command: readonly string[], project: string): Outcome {
    return this.#user.run(command, project, this.#path);
  }
}

/**
 * Installs a tarball as its users do: by each package manager, with Node.js of each line, by somebody without a compiler.
 *
 * @param all every package manager on every line; otherwise npm on every line, the others on one
 * @returns how many were not right
 */
export function checkInstalls(tarball: string, all: boolean): number {
  const table = new Table();
  let wrong = 0;
  const user = new User();
  try {
    const packed = user.addFile('mshv.tgz', tarball);
    const tools = new Map<string, string>();
    for (const [index, line] of lines.entries()) {
      const node = user.addNode(line, nodeOf(line));
      for (const installer of installers) {
        const isNpm = installer.name === 'npm';
        if (!all && !isNpm && index !== 0) continue;
        const path = [node, ...toolPath(user, installer, node, tools)];
        const installation = new Installation(user, installer, path, packed);
        const name = `${installer.name} on ${line}`;
        const { project, outcome } = installation.install(name);
        let fault: Fault | undefined =
          outcome.status === 0
            ? installation.check(project)
            : { what: 'the installation', outcome };
        fault ??= installation.checkDeleted(project);
        const again = fault === undefined && isNpm ? installAgain(installation, name) : undefined;
        if (again !== undefined && again.seconds > mostSeconds) {
          fault = { what: `more than ${mostSeconds} seconds`, outcome: again };
        }
        table.addRow({
          installer: installer.name,
          node: line,
          seconds: outcome.seconds.toFixed(1),
          'with a full cache': again?.seconds.toFixed(1) ?? '',
          result: fault === undefined ? 'right' : `not right: ${fault.what}`,
        });
        if (fault !== undefined) {
          wrong++;
          console.error(
            `== ${name}: ${fault.what}: status ${fault.outcome.status}\n${fault.outcome.said}`,
          );
        }
      }
    }
  } finally {
    user[Symbol.dispose]();
  }
  table.printTable();
  return wrong;
}

/** Installs it with what the first time has left in the cache. Of three times the first that is short enough, else the last. */
function installAgain(installation: Installation, name: string): Outcome {
  let outcome: Outcome;
  let times = 0;
  do {
    outcome = installation.install(`${name} again ${++times}`).outcome;
  } while (outcome.seconds > mostSeconds && times < 3);
  return outcome;
}

/** The folder of a package manager's program, which is installed once. */
function toolPath(
  user: User,
  { tool }: Installer,
  node: string,
  tools: Map<string, string>,
): string[] {
  if (tool === undefined) return [];
  let folder = tools.get(tool);
  if (folder === undefined) {
    folder = user.addFolder(tool.replaceAll('/', ' '));
    const words = ['install', '--no-save', '--no-audit', '--no-fund', tool];
    const outcome = user.run(['npm', ...words, '--prefix', folder], folder, [node]);
    if (outcome.status !== 0) throw new Error(`npm has no ${tool}: ${outcome.said}`);
    tools.set(tool, folder);
  }
  return [join(folder, 'node_modules/.bin')];
}
