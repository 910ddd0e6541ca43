import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

// The fields of messages are declared by their layouts. What is said of them there has to reach who looks at a field in
// an editor, where the package has declarations only.

const root = fileURLToPath(new URL('../../../', import.meta.url));
const table = `${root}lib/abi/messages/table`;

/** The declarations of the table of messages and of what it needs, by the name of the file. */
function declarations(options: ts.CompilerOptions): Map<string, string> {
  const emitted = new Map<string, string>();
  const emit = { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true };
  ts.createProgram([`${table}.ts`], emit).emit(undefined, (name, text) => {
    emitted.set(name, text);
  });
  return emitted;
}

/** What an editor shows of each field of each class, as `'Class.field'`. */
function documentation(files: Map<string, string>, options: ts.CompilerOptions) {
  const host = ts.createCompilerHost(options);
  const outside = ts.createCompilerHost(options);
  const isSource = (name: string): boolean => name.startsWith(`${root}lib/`);
  host.fileExists = (name) => (isSource(name) ? files.has(name) : outside.fileExists(name));
  host.readFile = (name) => (isSource(name) ? files.get(name) : outside.readFile(name));
  host.getSourceFile = (name, target) => {
    const text = host.readFile(name);
    return text === undefined ? undefined : ts.createSourceFile(name, text, target);
  };
  const program = ts.createProgram([`${table}.d.ts`], options, host);
  const checker = program.getTypeChecker();
  const classes = program.getSourceFiles().filter(({ fileName }) => isSource(fileName));
  return Object.fromEntries(
    classes.flatMap((file) => {
      const module = checker.getSymbolAtLocation(file);
      const symbols = module === undefined ? [] : checker.getExportsOfModule(module);
      return symbols
        .filter(({ flags }) => (flags & ts.SymbolFlags.Class) !== 0)
        .flatMap((symbol) =>
          checker
            .getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
            .map((field) => [
              `${symbol.name}.${field.name}`,
              [
                checker.typeToString(checker.getTypeOfSymbol(field)),
                ts.displayPartsToString(field.getDocumentationComment(checker)),
              ],
            ]),
        );
    }),
  );
}

it('says in the declarations what a field is', () => {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (name) => ts.sys.readFile(name)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const shown = documentation(declarations(options), options);
  expect(shown).toMatchObject({
    // Of its own layout, of what it begins with, and of its own.
    'UnmappedGpaIntercept.gva': ['bigint', 'Guest virtual address.'],
    'UnmappedGpaIntercept.cpl': ['number', 'Current privilege level: 0 to 3.'],
    'UnmappedGpaIntercept.rawGpa': ['bigint', expect.stringContaining('as the hypervisor gave it')],
    'UnmappedGpaIntercept.gvaValid': ['boolean', 'Whether `gva` means anything.'],
    'IoPortIntercept.size': ['number', 'Bytes of one access: 1, 2 or 4.'],
    'HaltIntercept.access': [
      'number | "read" | "write" | "execute"',
      "What the guest attempted; a number where the hypervisor's code has no name.",
    ],
    'HaltIntercept.cs': ['SegmentRegister', ''],
    'TimerExpired.timerIndex': ['number', '0 to 3.'],
    'Arm64ResetIntercept.resetType': [
      'number | "power-off" | "reboot" | "system-reset2" | "hibernate"',
      "A number where the hypervisor's code has no name.",
    ],
  });
}, 30_000);
