import {
  facts,
  structsOf,
  type Arch,
  type FieldFacts,
  type IoctlFacts,
  type StructFacts,
} from './facts.js';

/** A C++ constant expression over the names of native/abi, and the value the facts give it. */
export interface Claim {
  readonly expression: string;
  readonly value: number;
}

const directions: Readonly<Record<string, number>> = {
  none: 0,
  write: 1,
  read: 2,
  'read|write': 3,
};

/** `__u16` is std::uint16_t, `__s32` std::int32_t, and a struct is itself. */
function cxxType({ type, array }: FieldFacts): string {
  const element = type.replace(/^__([us])(\d+)$/, (_, sign: string, bits: string) =>
    sign === 'u' ? `std::uint${bits}_t` : `std::int${bits}_t`,
  );
  return array === undefined ? element : `${element}[${array === 0 ? '' : array}]`;
}

function structClaims([name, struct]: [string, StructFacts]): Claim[] {
  return [
    { expression: `sizeof(${name})`, value: struct.size },
    { expression: `alignof(${name})`, value: struct.align },
    ...Object.entries(struct.fields).flatMap(([field, fact]) => [
      { expression: `offsetof(${name}, ${field})`, value: fact.offset },
      { expression: `std::is_same_v<decltype(${name}::${field}), ${cxxType(fact)}>`, value: 1 },
      ...(fact.array === 0 ? [] : [{ expression: `sizeof(${name}::${field})`, value: fact.size }]),
    ]),
  ];
}

function ioctlClaims([name, { dir, nr, size, value, arg }]: [string, IoctlFacts]): Claim[] {
  const direction = directions[dir];
  if (direction === undefined) throw new Error(`${name}: direction ${dir}`);
  return [
    { expression: name, value },
    { expression: `(${name} >> 30)`, value: direction },
    { expression: `(${name} >> 16 & 0x3fff)`, value: size },
    { expression: `(${name} >> 8 & 0xff)`, value: facts.ioctlType },
    { expression: `(${name} & 0xff)`, value: nr },
    ...(arg === null ? [] : [{ expression: `sizeof(${arg})`, value: size }]),
  ];
}

function bitFieldClaims(): Claim[] {
  return Object.entries(facts.bitFields).flatMap(([register, fields]) =>
    Object.entries(fields).flatMap(([field, { offset, width }]) => {
      const name = `${register}::${field}`;
      const ones = 2 ** width - 1;
      return [
        { expression: `${name}.offset`, value: offset },
        { expression: `${name}.width`, value: width },
        { expression: `${name}.Of(${ones * 2 ** offset}u)`, value: ones },
        { expression: `${name}.Of(${0xffffffff - ones * 2 ** offset}u)`, value: 0 },
      ];
    }),
  );
}

/** Everything the facts say about what native/abi declares. */
export function claims(arch: Arch): Claim[] {
  const constants = { ...facts.constants.mshv, ...facts.constants.hv };
  return [
    ...Object.entries(structsOf(arch)).flatMap(structClaims),
    ...Object.entries(facts.ioctls).flatMap(ioctlClaims),
    ...Object.entries(constants).map(([expression, value]) => ({ expression, value })),
    ...bitFieldClaims(),
  ];
}

/** A C++ program that compiles where every claim holds, and prints what it found as JSON. */
export function program(all: readonly Claim[]): string {
  return [
    '#include <cstddef>',
    '#include <cstdint>',
    '#include <cstdio>',
    '#include <type_traits>',
    '#include "abi/hv.h"',
    '#include "abi/mshv.h"',
    'using namespace mshv::abi;',
    ...all.map(
      ({ expression, value }) => `static_assert(${expression} == ${value}, "${expression}");`,
    ),
    'constexpr struct { const char* expression; unsigned long long value; } kFound[] = {',
    ...all.map(({ expression }) => `  {"${expression}", ${expression}},`),
    '};',
    'int main() {',
    "  char separator = '[';",
    '  for (const auto& found : kFound) {',
    '    std::printf("%c[\\"%s\\",%llu]", separator, found.expression, found.value);',
    "    separator = ',';",
    '  }',
    '  std::printf("]");',
    '}',
    '',
  ].join('\n');
}
