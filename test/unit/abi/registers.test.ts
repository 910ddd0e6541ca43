import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arm64Registers } from '../../../lib/abi/arm64-registers.js';
import {
  dirtyMasks,
  registerPageFields,
  registerPageLayout,
} from '../../../lib/abi/register-page.js';
import {
  decodeRegister,
  encodeRegister,
  registerCode,
  registerName,
  type RegisterName,
  type SegmentRegisterName,
  type TableRegisterName,
} from '../../../lib/abi/registers.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import { constantsOf, facts } from './facts.js';
import { bytesOf, locate, readBits, structFacts } from './layout.js';

const { register_name, register_name_arm64, register_page } = facts.hypervisor.constants;
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u128 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
const seed = 20261121;

const stripped = (group: Readonly<Record<string, number>>) =>
  Object.entries(group).map(([name, code]): [string, number] => [
    name.replace(/^HV_(?:X64_|ARM64_)?REGISTER_/, ''),
    code,
  ]);

describe('registers', () => {
  test('of x64 are all of the facts, less their prefixes', () => {
    expect(Object.keys(register_name)).toHaveLength(340);
    // One register has a name with either prefix.
    expect(Object.keys(x64Registers)).toHaveLength(339);
    for (const [name, code] of stripped(register_name)) {
      expect(x64Registers).toHaveProperty(name, code);
    }
  });

  test('of arm64 are all of the facts, and those of every architecture', () => {
    const own = Object.fromEntries(stripped(register_name_arm64));
    expect(arm64Registers).toMatchObject(own);
    for (const [name, code] of Object.entries(arm64Registers)) {
      if (!(name in own)) expect(register_name).toHaveProperty(`HV_REGISTER_${name}`, code);
    }
  });

  test('mean the same on both architectures where their names are equal', () => {
    const common = Object.entries(arm64Registers).filter(([name]) => name in x64Registers);
    expect(common.length).toBeGreaterThan(70);
    expect(x64Registers).toMatchObject(Object.fromEntries(common));
  });

  test('have one name for a code', () => {
    for (const [architecture, table] of [
      ['x64', x64Registers],
      ['arm64', arm64Registers],
    ] as const) {
      for (const [name, code] of Object.entries(table)) {
        expect(registerName(code, architecture)).toBe(name);
        expect(registerCode('name', name, architecture)).toBe(code);
      }
      expect(registerName(0xffffffff, architecture)).toBeUndefined();
    }
  });

  test('of the other architecture, or none, are refused', () => {
    expect(() => registerCode('names[0]', 'RAX', 'arm64')).toThrow(
      expect.objectContaining({
        name: 'RangeError',
        code: 'ERR_OUT_OF_RANGE',
        message: `The "names[0]" argument must be the name of a register of arm64, received 'RAX'`,
      }),
    );
    for (const name of ['X0', 'rax', '', 'toString', '__proto__']) {
      expect(() => registerCode('name', name, 'x64')).toThrow(RangeError);
    }
    for (const name of [0, null, undefined, {}, Symbol('RAX')]) {
      expect(() => registerCode('name', name, 'x64')).toThrow(TypeError);
    }
  });

  test('have the codes of this process where no architecture is named', () => {
    if (process.arch === 'arm64') expect(registerCode('name', 'X0')).toBe(arm64Registers.X0);
    else expect(registerCode('name', 'RAX')).toBe(x64Registers.RAX);
  });
});

describe('a register value', () => {
  const words = (struct: string, fields: Readonly<Record<string, bigint | number>>) => {
    const bytes = bytesOf(struct, 16, fields);
    return [
      readBits(bytes, { bit: 0, width: 64 }),
      readBits(bytes, { bit: 64, width: 64 }),
    ] as const;
  };
  const segments: SegmentRegisterName[] = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];
  const tables: TableRegisterName[] = ['IDTR', 'GDTR'];
  const wide = /^(?:XMM|FP_|PENDING_EVENT|HYPERVISOR_VERSION|\w+_INFO$|[QZ]\d)/;

  test('of a segment lies where hv_x64_segment_register has it', () => {
    const segment = fc.record({ base: u64, limit: u32, selector: u16, attributes: u16 });
    fc.assert(
      fc.property(fc.constantFrom(...segments), segment, (name, segment) => {
        const [low, high] = encodeRegister(name, segment);
        expect([low, high]).toEqual(words('hv_x64_segment_register', segment));
        expect(decodeRegister(name, low, high)).toEqual(segment);
      }),
      { seed },
    );
  });

  test('of a descriptor table lies where hv_x64_table_register has it', () => {
    const table = fc.record({ base: u64, limit: u16 });
    fc.assert(
      fc.property(fc.constantFrom(...tables), table, u64, (name, table, stale) => {
        const [low, high] = encodeRegister(name, table);
        expect([low, high]).toEqual(words('hv_x64_table_register', table));
        const padding = BigInt.asUintN(48, stale);
        expect(decodeRegister(name, low | padding, high)).toEqual(table);
      }),
      { seed },
    );
  });

  test('of every other register has 64 or 128 bits', () => {
    const others = [
      ...new Set([...Object.keys(x64Registers), ...Object.keys(arm64Registers)]),
    ].filter((name) => ![...segments, ...tables].includes(name as SegmentRegisterName)) as Exclude<
      RegisterName,
      SegmentRegisterName | TableRegisterName
    >[];
    expect(others.filter((name) => wide.test(name))).toHaveLength(17 + 9 + 2 + 1 + 9 + 64);
    fc.assert(
      fc.property(u128, u64, (value, stale) => {
        const low = BigInt.asUintN(64, value);
        for (const name of others) {
          if (wide.test(name)) {
            expect(encodeRegister(name, value)).toEqual([low, value >> 64n]);
            expect(decodeRegister(name, low, value >> 64n)).toBe(value);
          } else {
            expect(encodeRegister(name, low)).toEqual([low, 0n]);
            expect(decodeRegister(name, low, stale)).toBe(low);
          }
        }
      }),
      { seed, numRuns: 5 },
    );
  });

  test('is taken as a safe integer, too', () => {
    expect(encodeRegister('RIP', 0xfff0)).toEqual([0xfff0n, 0n]);
    expect(encodeRegister('XMM0', 7)).toEqual([7n, 0n]);
    expect(encodeRegister('GDTR', { base: 5, limit: 0x17 })).toEqual([0x17n << 48n, 5n]);
  });

  test.each([
    ['RIP', -1n, RangeError],
    ['RIP', 2n ** 64n, RangeError],
    ['RIP', 0.5, RangeError],
    ['RIP', 2 ** 53, RangeError],
    ['RIP', '5', TypeError],
    ['RIP', undefined, TypeError],
    ['RIP', { base: 0n }, TypeError],
    ['XMM0', 2n ** 128n, RangeError],
    ['XMM0', -1, RangeError],
    ['XMM0', null, TypeError],
    ['CS', 5n, TypeError],
    ['CS', null, TypeError],
    ['CS', { base: 0n, limit: 0, selector: 0 }, TypeError],
    ['CS', { base: 0n, limit: 0, selector: 0x10000, attributes: 0 }, RangeError],
    ['CS', { base: 0n, limit: 2 ** 32, selector: 0, attributes: 0 }, RangeError],
    ['CS', { base: 0n, limit: 0, selector: 0, attributes: -1 }, RangeError],
    ['CS', { base: 2n ** 64n, limit: 0, selector: 0, attributes: 0 }, RangeError],
    ['CS', { base: 0n, limit: 0, selector: 0, attributes: 0, flags: 0 }, TypeError],
    ['IDTR', 5n, TypeError],
    ['IDTR', { base: 0n, limit: 0x10000 }, RangeError],
    ['IDTR', { base: 0n, limit: 0, selector: 0 }, TypeError],
    ['IDTR', { limit: 0 }, TypeError],
  ] as const)('of %s cannot be %s', (name, value, type) => {
    const encode = encodeRegister as (name: string, value: unknown) => unknown;
    expect(() => encode(name, value)).toThrow(type);
    expect(() => encode(name, value)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`"${name}`) as string }),
    );
  });

  test('of a register that does not exist is refused', () => {
    const name = 'NONE' as RegisterName;
    expect(() => encodeRegister(name, 0n)).toThrow(RangeError);
    expect(() => decodeRegister(name, 0n, 0n)).toThrow(RangeError);
  });
});

describe('the register page', () => {
  const struct = 'hv_vp_register_page';

  test('has every register where the facts have it', () => {
    for (const [name, { at }] of Object.entries(registerPageFields)) {
      expect([name, at * 8]).toEqual([name, locate(struct, name.toLowerCase()).bit]);
    }
    const others = /^(version|isvalid|rsvdz|dirty|reserved1?|interrupt_vectors|(\w+_)?registers)$/;
    expect(Object.keys(registerPageFields)).toEqual(
      Object.keys(structFacts(struct).fields)
        .filter((name) => !others.test(name))
        .map((name) => name.toUpperCase()),
    );
  });

  test('has the rest where the facts have it', () => {
    const { size, version, isValid, dirty, registers, vectorCount, vectors, mostVectors } =
      registerPageLayout;
    expect(size).toBe(structFacts(struct).size);
    expect([version, isValid, dirty, registers, vectorCount, vectors].map((at) => at * 8)).toEqual(
      [
        'version',
        'isvalid',
        'dirty',
        'gp_registers',
        'interrupt_vectors.vector_count',
        'interrupt_vectors.vector',
      ].map((name) => locate(struct, name).bit),
    );
    expect(mostVectors).toBe(register_page['HV_VP_REGISTER_PAGE_MAX_VECTOR_COUNT']);
    expect(structFacts(struct, 'arm64').size).toBe(dirty + 4);
  });

  test('has the dirty classes of the facts', () => {
    expect(dirtyMasks).toEqual(
      Object.fromEntries(
        constantsOf(register_page, 'HV_X64_REGISTER_CLASS_').map(([name, bit]) => [name, 1 << bit]),
      ),
    );
  });

  test('has its general registers in the order of their codes', () => {
    const order = Object.entries(registerPageFields)
      .filter(([, { dirty }]) => dirty === dirtyMasks.GENERAL)
      .map(([name, { at }]) => [registerCode('name', name, 'x64') - x64Registers.RAX, at]);
    expect(order).toEqual(
      Array.from({ length: 16 }, (_, i) => [i, registerPageLayout.registers + 8 * i]),
    );
  });
});
