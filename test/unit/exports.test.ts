import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

import { allMessages } from '../../lib/abi/messages/table.js';

// What a signature names, a program has to be able to name as well.

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What an import or export stands for. */
function original(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

/** The types that an exported declaration shows to its users. */
function namedBy(declaration: ts.Node, checker: ts.TypeChecker): Set<ts.Symbol> {
  const named = new Set<ts.Symbol>();
  const visit = (node: ts.Node): void => {
    if (isHidden(node)) return;
    const symbol = ts.isTypeReferenceNode(node) && checker.getSymbolAtLocation(node.typeName);
    if (symbol) named.add(original(symbol, checker));
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  return named;
}

/** Whether a program has no use for what a node names: bodies, private members, what a class is made from. */
function isHidden(node: ts.Node): boolean {
  if (ts.isBlock(node) || ts.isClassStaticBlockDeclaration(node) || ts.isHeritageClause(node)) {
    return true;
  }
  if (ts.isPropertyDeclaration(node) || ts.isMethodDeclaration(node)) {
    if (ts.isPrivateIdentifier(node.name)) return true;
  }
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
  );
}

const { exported, checker } = (() => {
  const path = `${root}lib/index.ts`;
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (name) => ts.sys.readFile(name)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([path], options);
  const checker = program.getTypeChecker();
  const index = program.getSourceFile(path);
  const module = index && checker.getSymbolAtLocation(index);
  if (module === undefined) throw new Error('there is no index');
  const symbols = checker.getExportsOfModule(module).map((symbol) => original(symbol, checker));
  return { exported: new Set(symbols), checker };
})();

it('exports every type that an export names', () => {
  // What a module keeps to itself is a name for its own use.
  const isShared = ({ declarations = [] }: ts.Symbol): boolean =>
    declarations.some(
      (one) =>
        one.getSourceFile().fileName.startsWith(`${root}lib/`) &&
        (ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Export) !== 0,
    );
  const lacking = [...exported].flatMap((symbol) =>
    (symbol.declarations ?? [])
      .flatMap((declaration) => [...namedBy(declaration, checker)])
      .filter((named) => !exported.has(named) && isShared(named))
      .map((named) => `${named.name}, of ${symbol.name}`),
  );
  expect(exported.size).toBeGreaterThan(100);
  expect(lacking).toEqual([]);
});

it('exports the type of every exit', () => {
  // `Intercept` is made of the table, and names none of them.
  const names = new Set([...exported].map(({ name }) => name));
  const views = Object.values(allMessages).map(({ view }) => view.name);
  expect(views.filter((name) => !names.has(name))).toEqual([]);
});
