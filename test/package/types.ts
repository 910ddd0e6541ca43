import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const compilers = ['5.7', '5.9', '6', '7'];
const nodes = ['20', '22', '24', '26'];
const resolutions = { node16: 'node16', nodenext: 'nodenext', bundler: 'preserve' } as const;

type Resolution = keyof typeof resolutions;

/** A program that looks at every declaration. */
const program = `
import * as mshv from 'mshv';
import * as sim from 'mshv/sim';
const device: mshv.Mshv = new sim.Simulator().open();
device.close();
// @ts-expect-error -- it has no such method: types were found at all
device.reopen();
`;

interface Cell {
  readonly compiler: string;
  readonly node: string;
  readonly resolution: Resolution;
}

/** Every combination, or some in which each is. */
function cells(all: boolean): Cell[] {
  const ways = Object.keys(resolutions) as Resolution[];
  const every = compilers.flatMap((compiler) =>
    nodes.flatMap((node) => ways.map((resolution) => ({ compiler, node, resolution }))),
  );
  if (all) return every;
  return compilers.map((compiler, index) => ({
    compiler,
    node: nodes[index % nodes.length] ?? '',
    resolution: ways[index % ways.length] ?? 'nodenext',
  }));
}

/**
 * Compiles a program that uses the package, with the types of each line of Node.js, by each release line of TypeScript, in each way in
 * which modules are resolved, and checks the declarations themselves, too (no skipLibCheck).
 *
 * @returns how many were not right
 */
export function checkTypes(tarball: string, all: boolean): number {
  const folder = mkdtempSync(join(tmpdir(), 'mshv-types-'));
  let wrong = 0;
  try {
    const install = (into: string, ...packages: string[]): void => {
      mkdirSync(into);
      writeFileSync(join(into, 'package.json'), '{ "private": true, "type": "module" }\n');
      const words = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
      execFileSync('npm', [...words, ...packages], {
        cwd: into,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    };
    const tools = join(folder, 'tools');
    install(tools, ...compilers.map((line) => `typescript-${line}@npm:typescript@${line}`));
    const chosen = cells(all);
    for (const node of new Set(chosen.map((cell) => cell.node))) {
      const project = join(folder, node);
      install(project, tarball, `@types/node@${node}`);
      writeFileSync(join(project, 'program.ts'), program);
    }
    for (const { compiler, node, resolution } of chosen) {
      const name = `TypeScript ${compiler}, @types/node ${node}, ${resolution}`;
      const { status, stdout } = compile(
        join(tools, 'node_modules', `typescript-${compiler}`),
        join(folder, node),
        resolution,
      );
      console.log(`${status === 0 ? 'right    ' : 'not right'} ${name}`);
      if (status !== 0) {
        wrong++;
        console.error(stdout);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return wrong;
}

function compile(
  compiler: string,
  cwd: string,
  resolution: Resolution,
): { readonly status: number | null; readonly stdout: string } {
  const words = [
    join(compiler, 'bin/tsc'),
    ...['--noEmit', '--strict', '--target', 'es2022', '--types', 'node'],
    ...['--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false'],
    ...['--module', resolutions[resolution], '--moduleResolution', resolution, 'program.ts'],
  ];
  return spawnSync(process.execPath, words, { cwd, encoding: 'utf8' });
}
