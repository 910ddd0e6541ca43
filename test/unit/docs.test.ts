import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The TypeScript of a page, which is one program. */
function programOf(page: string): string {
  const text = readFileSync(`${root}${page}`, 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code).join('\n');
}

function typeErrors(file: string): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(
    `${root}tsconfig.json`,
    { noUnusedLocals: false, noUnusedParameters: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
  );
  const program = ts.createProgram([file], config?.options ?? {});
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** What the program of a page prints, in no order. */
const pages = {
  'docs/synic.md': [
    'connection 0x2001, flag 7',
    'connection 0x2001, flag 9',
    'connection 0x2002, by its monitor',
  ],
} as const;

test.each(Object.entries(pages))(
  'the code of %s has the right types and runs',
  (page, printed) => {
    const folder = mkdtempSync(`${root}build/docs-`);
    const file = `${folder}/program.ts`;
    try {
      writeFileSync(file, programOf(page));
      expect(typeErrors(file)).toEqual([]);
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', file], {
        cwd: root,
        encoding: 'utf8',
        timeout: 100_000,
        killSignal: 'SIGKILL',
      });
      const lines = stdout.trimEnd().split('\n').sort();
      expect({ status, lines, stderr }).toEqual({ status: 0, lines: printed, stderr: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  150_000,
);
