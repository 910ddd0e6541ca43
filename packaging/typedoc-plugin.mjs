// What TypeDoc does not do by itself for the reference of `npm run docs`.

import * as td from 'typedoc';
import ts from 'typescript';

const { ReflectionKind: Kind } = td;

/** The register that a field of a message, or of CPUID's answer, is called after. */
const register = /^(?:r(?:[abcd]x|[sd]i|[sb]p|ip|flags|\d+)|[cdes]s|pc|cpsr)$/;

/** Says something about a reflection of which nothing is said. */
function say(reflection, text) {
  reflection.comment ??= new td.Comment([{ kind: 'text', text }]);
}

/** Whether it is in the type of an exported table of constants. */
function isOfTable(reflection) {
  for (let parent = reflection.parent; parent !== undefined; parent = parent.parent) {
    if (parent.kind === Kind.Variable) return true;
    if (parent.kind !== Kind.TypeLiteral && parent.kind !== Kind.Property) return false;
  }
  return false;
}

/** Names alone, in the place of the type that they are made of by `keyof typeof`: that is not exported. */
function namesOf(context, symbol) {
  const type = context.checker.getDeclaredTypeOfSymbol(symbol);
  const members = type.isUnion() ? type.types : [type];
  const values = members.flatMap((one) =>
    one.isStringLiteral() || one.isNumberLiteral() ? [one.value] : [],
  );
  // What has more is a table that is exported itself.
  if (values.length !== members.length || values.length > 200) return undefined;
  return new td.UnionType(values.map((value) => new td.LiteralType(value)));
}

/** The heading that a page begins with is its title. */
function takeTitle(page) {
  const [first] = page.content;
  const [heading, title] = /^\s*# (.+)\n/.exec(first?.text ?? '') ?? [];
  if (heading === undefined) throw new Error(`${page.name} does not begin with a heading`);
  page.name = title;
  first.text = first.text.slice(heading.length);
}

export function load({ converter }) {
  /** The type is set after the event. */
  const types = new Map();
  converter.on(td.Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    const symbol = context.getSymbolFromReflection(reflection);
    if (reflection.kind !== Kind.TypeAlias || symbol === undefined) return;
    if (symbol.declarations?.some((one) => ts.isTypeAliasDeclaration(one) && one.typeParameters))
      return;
    const names = namesOf(context, symbol);
    if (names !== undefined) types.set(reflection, names);
  });
  converter.on(td.Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const [reflection, names] of types) reflection.type = names;
    for (const reflection of Object.values(project.reflections)) {
      // Nobody calls these but node:util.
      if (reflection.name === '[custom]') project.removeReflection(reflection);
    }
    for (const reflection of Object.values(project.reflections)) {
      const { name, type } = reflection;
      if (name === '[dispose]') {
        for (const signature of reflection.signatures ?? [])
          say(signature, 'Does what closing it does: for `using`.');
      } else if (reflection.kind === Kind.Accessor && reflection.setSignature !== undefined) {
        // One comment is for both.
        reflection.setSignature.comment ??= reflection.getSignature?.comment?.clone();
      } else if (reflection.kind === Kind.Property) {
        if (isOfTable(reflection)) {
          const value =
            type instanceof td.LiteralType && typeof type.value === 'number'
              ? type.value
              : undefined;
          say(
            reflection,
            value === undefined ? 'As the hypervisor has it.' : `\`0x${value.toString(16)}\``,
          );
        } else if (register.test(name)) {
          say(reflection, `${name.toUpperCase()} of the VP, at the exit.`);
        } else if (reflection.parent?.kind === Kind.TypeLiteral && type instanceof td.LiteralType) {
          say(reflection, 'Tells this from the others.');
        }
      }
    }
    for (const page of project.documents ?? []) takeTitle(page);
  });
}
