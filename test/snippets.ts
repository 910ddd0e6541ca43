import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

// What README.md, the pages and the examples of the reference show is run as it stands.

const root = fileURLToPath(new URL('..', import.meta.url));

/** A program, and what it is shown to print: the comments after its `console.log`s, in their order. */
export interface Snippet {
  readonly name: string;
  readonly code: string;
}

/** The TypeScript blocks of a Markdown text. */
export const blocksOf = (text: string): string[] =>
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);

/** The examples of a module of `lib`: of its own, of what it exports, and of their members. */
export function examplesOf(file: string): Snippet[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(`${root}${file}`, 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const snippets: Snippet[] = [];
  const visit = (node: ts.Node, path: string): void => {
    const name =
      'name' in node && ts.isIdentifier(node.name as ts.Node)
        ? (node.name as ts.Identifier).text
        : '';
    const here = path === '' ? name : name === '' ? path : `${path}.${name}`;
    for (const tag of ts.getJSDocTags(node)) {
      if (tag.tagName.text !== 'example' || tag.parent.parent !== node) continue;
      const text = ts.getTextOfJSDocComment(tag.comment) ?? '';
      for (const code of blocksOf(`${text}\n`)) snippets.push({ name: here, code });
    }
    if (ts.isClassDeclaration(node) || ts.isSourceFile(node)) {
      ts.forEachChild(node, (child) => {
        visit(child, here);
      });
    }
  };
  visit(source, '');
  return snippets;
}

/** The names that the examples of methods use: the example of lib/index.ts. */
export const setting = blocksOf(
  (/^\/\*\*.*?\*\//s.exec(readFileSync(`${root}lib/index.ts`, 'utf8'))?.[0] ?? '').replaceAll(
    /^ \* ?/gm,
    '',
  ),
).join('\n');

/** A snippet as a module of its own. One that imports the simulator stands alone; others are in the setting. */
export function programOf(code: string): string {
  const imports = [...code.matchAll(/^import .*?;\n/gms)].map(([line]) => line);
  const body = imports.reduce((rest, line) => rest.replace(line, ''), code);
  const isWhole = imports.some((line) => line.includes("'mshv/sim'"));
  return isWhole ? code : `${imports.join('')}${setting}\n{\n${body}}\n`;
}

/** What a snippet says that it prints. */
export const saidBy = (code: string): string[] =>
  [...code.matchAll(/console\.log\(.*\)[;,)]*.*? \/\/ (.+)$/gm)].map(([, said = '']) => said);

/** What comes of snippets: type errors, what each has printed, and what ended one. */
export interface Outcome {
  readonly typeErrors: readonly string[];
  readonly results: Readonly<Record<string, { printed: string[]; failed?: string }>>;
}

const runner = `
import { format } from 'node:util';
const results = {};
const log = console.log;
for (const [name, file] of JSON.parse(process.argv[2])) {
  const printed = [];
  console.log = (...words) => { printed.push(format(...words)); };
  try {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(reject, 30000, new Error('it does not end'));
    });
    await Promise.race([import(file), late]);
    clearTimeout(timer);
    results[name] = { printed };
  } catch (error) {
    results[name] = { printed, failed: String(error?.stack ?? error) };
  }
}
log(JSON.stringify(results));
process.exit(0);
`;

/** Compiles and runs programs, one after the other in one process. */
export function runPrograms(programs: readonly Snippet[]): Outcome {
  mkdirSync(`${root}build`, { recursive: true });
  const folder = mkdtempSync(`${root}build/snippets-`);
  try {
    const files = programs.map(({ name, code }, index) => {
      const file = `${folder}/${index}.ts`;
      writeFileSync(file, `${code}\nexport {};\n`);
      return [name, file] as const;
    });
    writeFileSync(`${folder}/run.mjs`, runner);
    const typeErrors = typeErrorsOf(new Map(files.map(([name, file]) => [file, name])));
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--import', 'tsx', `${folder}/run.mjs`, JSON.stringify(files)],
      { cwd: root, encoding: 'utf8', timeout: 200_000, killSignal: 'SIGKILL' },
    );
    if (status !== 0)
      throw new Error(`the programs ended with ${String(status)}: ${stdout}${stderr}`);
    return { typeErrors, results: JSON.parse(stdout) as Outcome['results'] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function typeErrorsOf(names: ReadonlyMap<string, string>): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(
    `${root}tsconfig.json`,
    { noUnusedLocals: false, noUnusedParameters: false, noImplicitReturns: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
  );
  const program = ts.createProgram([...names.keys()], config?.options ?? {});
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const where = names.get(file?.fileName ?? '') ?? file?.fileName ?? '';
    return `${where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}
