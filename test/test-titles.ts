import { readFileSync } from 'node:fs';
import ts from 'typescript';

const groups = new Set(['describe', 'suite']);
const tests = new Set(['it', 'test', 'fuzz']);

/** What a call is of: `it` of `it.each(cases)('…')` and `it.skipIf(condition)('…')`. */
function callee(node: ts.Expression): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node)) {
    return callee(node.expression);
  }
  return undefined;
}

/**
 * The titles of the tests in a file, each behind those of the groups that it is in, as they are written there:
 * `'a port › gets the events of its connection'`, `'with %i bytes'`.
 */
export function testTitles(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const titles: string[] = [];
  const visit = (node: ts.Node, path: readonly string[]): void => {
    let inside = path;
    if (ts.isCallExpression(node)) {
      const name = callee(node.expression);
      const [title] = node.arguments;
      if (name !== undefined && title !== undefined && ts.isStringLiteralLike(title)) {
        if (tests.has(name)) titles.push([...path, title.text].join(' › '));
        if (groups.has(name)) inside = [...path, title.text];
      }
    }
    ts.forEachChild(node, (child) => {
      visit(child, inside);
    });
  };
  visit(source, []);
  return titles;
}
