import { fileURLToPath } from 'node:url';
import ts from 'typescript';

import * as library from '../../lib/index.js';
import * as simulation from '../../lib/sim/index.js';

// Where the public API takes typed arrays, as its declarations say: found by looking, so that nothing new is forgotten.

const root = fileURLToPath(new URL('../..', import.meta.url));

const bufferTypes = /^(ArrayBuffer|DataView|Buffer|(Big)?(Int|Uint|Float)\d+(Clamped)?Array)$/;

/**
 * The paths of typed arrays in what a parameter takes: `options.input`, and `fields.*` where its properties depend on a
 * type parameter. What callers implement takes none.
 */
function arraysIn(
  name: string,
  type: ts.Type,
  checker: ts.TypeChecker,
  within: readonly ts.Type[] = [],
): string[] {
  if (type.isUnionOrIntersection()) {
    return type.types.flatMap((one) => arraysIn(name, one, checker, within));
  }
  const symbol = type.getSymbol();
  if (symbol !== undefined && bufferTypes.test(symbol.name)) return [name];
  const isOwn = symbol?.declarations?.every((one) =>
    one.getSourceFile().fileName.startsWith(`${root}lib/`),
  );
  if ((type.flags & ts.TypeFlags.Object) === 0 || type.isClass() || within.includes(type))
    return [];
  if (checker.isArrayType(type) || checker.isTupleType(type)) {
    const items = checker.getTypeArguments(type as ts.TypeReference);
    return items.flatMap((item) => arraysIn(`${name}[]`, item, checker, [...within, type]));
  }
  if (isOwn !== true || type.getCallSignatures().length > 0) return [];
  const properties = checker.getPropertiesOfType(type);
  const { objectFlags } = type as ts.ObjectType;
  if (properties.length === 0 && (objectFlags & ts.ObjectFlags.Mapped) !== 0) return [`${name}.*`];
  return properties.flatMap((property) =>
    arraysIn(`${name}.${property.name}`, checker.getTypeOfSymbol(property), checker, [
      ...within,
      type,
    ]),
  );
}

const isDeclaredPublic = (declaration: ts.Declaration | undefined): boolean =>
  declaration !== undefined &&
  (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) === 0 &&
  !ts.isPrivateIdentifier(ts.getNameOfDeclaration(declaration) ?? declaration);

/** Each as `Class#method(options.input)`, of the entries `mshv` and `mshv/sim`. */
export function byteParameters(): string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (name) => ts.sys.readFile(name)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const entries: [string, object][] = [
    [`${root}lib/index.ts`, library],
    [`${root}lib/sim/index.ts`, simulation],
  ];
  const program = ts.createProgram(
    entries.map(([path]) => path),
    options,
  );
  const checker = program.getTypeChecker();
  const found = new Set<string>();
  const add = (name: string, signatures: readonly ts.Signature[]): void => {
    // A class that declares no constructor has the default one, without parameters.
    const callable = signatures.filter((one) => isDeclaredPublic(one.getDeclaration()));
    for (const parameter of callable.flatMap((one) => one.getParameters())) {
      for (const path of arraysIn(parameter.name, checker.getTypeOfSymbol(parameter), checker)) {
        found.add(`${name}(${path})`);
      }
    }
  };
  const addMembers = (prefix: string, members: readonly ts.Symbol[]): void => {
    for (const member of members) {
      if (!isDeclaredPublic(member.valueDeclaration)) continue;
      const type = checker.getTypeOfSymbol(member);
      add(`${prefix}${member.name}`, type.getCallSignatures());
    }
  };
  for (const [path, values] of entries) {
    const file = program.getSourceFile(path);
    const module = file && checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`there is no ${path}`);
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol =
        (exported.flags & ts.SymbolFlags.Alias) === 0
          ? exported
          : checker.getAliasedSymbol(exported);
      // Of what is exported as a type nobody has the constructor.
      if (!Object.hasOwn(values, exported.name)) continue;
      const type = checker.getTypeOfSymbol(symbol);
      add(exported.name, type.getCallSignatures());
      add(`new ${exported.name}`, type.getConstructSignatures());
      if ((symbol.flags & ts.SymbolFlags.Class) === 0) continue;
      addMembers(`${exported.name}.`, checker.getPropertiesOfType(type));
      addMembers(`${exported.name}#`, [...(symbol.members?.values() ?? [])]);
    }
  }
  return [...found].sort();
}
