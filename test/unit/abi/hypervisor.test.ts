import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import synicFacts from '../../synic-facts.json' with { type: 'json' };
import { facts } from './facts.js';

// What native/abi declares of the hypervisor for the simulator: every number that its headers assert, which
// the compiler has compared with the declarations, is compared with the facts here.

const headers = ['hypercalls.h', 'vp.h'].map((name) =>
  readFileSync(new URL(`../../../native/abi/${name}`, import.meta.url), 'utf8'),
);
const text = headers.join('\n');

/** Names of our own for what two inputs have in common. */
const sameAs: Readonly<Record<string, string>> = {
  hv_input_vp_registers: 'hv_input_get_vp_registers',
};
/** Of the value of a register, only the size counts. */
const unnamed = new Set(['hv_register_value', 'hv_u128']);
/** Two bit-fields that share a byte. */
const joined: Readonly<Record<string, string>> = {
  instruction_length_and_cr8: 'instruction_length',
};

const structs = [...text.matchAll(/^struct (?:\[\[[^\]]*\]\] )?(\w+) \{\n([\s\S]*?)^\};/gm)].map(
  ([, name = '', body = '']) => ({
    name,
    fields: [...body.matchAll(/^ {2}(?:\w+ |\} )(\w+)(?:\[\d+\])?;/gm)].map(
      ([, field = '']) => field,
    ),
  }),
);
const asserted = (expression: string): number | undefined => {
  const value = text.split(`static_assert(${expression} == `)[1];
  return value === undefined ? undefined : Number.parseInt(value, 10);
};

describe('the hypervisor as native/abi declares it', () => {
  test('has structs', () => {
    expect(structs.length).toBeGreaterThan(20);
  });

  test.each(structs)('$name is as large as the facts say, field by field', ({ name, fields }) => {
    const fact =
      facts.hypervisor.structs[sameAs[name] ?? name] ??
      facts.hypervisor.arm64Structs[name] ??
      expect.fail('no such fact');
    expect(asserted(`sizeof(${name})`)).toBe(fact.size);
    expect(fields.length).toBeGreaterThan(0);
    if (unnamed.has(name)) return;
    for (const field of fields) {
      const known =
        fact.fields[joined[field] ?? field] ??
        fact.fields[`${field}.eax`] ??
        expect.fail(`no fact for ${field}`);
      const offset = 'offset' in known ? known.offset : Math.floor(known.bit / 8);
      const found = asserted(`offsetof(${name}, ${field})`);
      expect({ field, offset: found ?? offset }).toEqual({ field, offset });
      // Fields that nobody looks at need no assertion.
      if (found === undefined) expect(field).toMatch(/reserved|rsvd|instruction_length_and_cr8/);
    }
  });

  const constants = [...text.matchAll(/^inline constexpr \w+ (\w+) = ([^;]+);/gm)].map(
    ([, name = '', value = '']) => ({ name, value }),
  );
  const mask = ({ bit, width }: { bit: number; width: number }): number =>
    (2 ** width - 1) * 2 ** bit;
  const { hv_synic_sint: sint, hv_synic_simp: simp, hv_message_flags: flags } = synicFacts.bits;
  const known: Readonly<Record<string, number>> = {
    ...synicFacts.constants,
    HV_SYNIC_ENABLE: mask(simp.simp_enabled),
    HV_SYNIC_SINT_VECTOR_MASK: mask(sint.vector),
    HV_SYNIC_SINT_MASKED: mask(sint.masked),
    HV_SYNIC_SINT_POLLING: mask(sint.polling),
    HV_MESSAGE_FLAG_PENDING: mask(flags.msg_pending),
    ...(Object.assign({}, ...Object.values(facts.hypervisor.constants)) as Record<string, number>),
    ...facts.status,
    ...Object.fromEntries(
      Object.entries(facts.hypervisor.hypercalls).map(([name, { code }]) => [name, code]),
    ),
  };
  /** All ones, which JSON cannot hold. */
  const ones: Readonly<Record<string, string>> = {
    HV_PARTITION_ID_SELF: '~uint64_t{0}',
    HV_ANY_VP: '~uint32_t{0}',
  };

  test.each(constants)('$name is $value', ({ name, value }) => {
    if (name in ones) {
      expect(value).toBe(ones[name]);
    } else {
      expect(Number(value)).toBe(known[name]);
    }
  });
});
