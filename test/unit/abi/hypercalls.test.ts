import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cacheTypes } from '../../../lib/abi/cache-type.js';
import * as inputs from '../../../lib/abi/hypercall-inputs.js';
import * as outputs from '../../../lib/abi/hypercall-outputs.js';
import { hypercallName, hypercalls, repsPerPage } from '../../../lib/abi/hypercalls.js';
import { constantsOf, facts, type Arch } from './facts.js';
import { bytesOf, locate } from './layout.js';

const { constants } = facts.hypervisor;
const u1 = fc.boolean();
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const seed = 20261121;

describe('hypercalls', () => {
  test('have the codes, sizes and descriptors of the facts', () => {
    expect(hypercalls).toEqual(
      Object.fromEntries(
        Object.entries(facts.hypervisor.hypercalls).map(([name, fact]) => [
          name,
          {
            code: fact.code,
            kind: fact.kind,
            device: fact.device,
            vp: fact.vp,
            input: fact.inputSize,
            repInput: fact.repInputSize,
            output: fact.outputSize,
            repOutput: fact.repOutputSize,
          },
        ]),
      ),
    );
  });

  test('are named by code, and no other code is', () => {
    const names = new Map(
      Object.entries(facts.hypervisor.hypercalls).map(([name, { code }]) => [code, name]),
    );
    for (let code = 0; code <= 0xffff; code++) {
      if (hypercallName(code) !== names.get(code))
        expect(hypercallName(code)).toBe(names.get(code));
    }
  });

  test('take as many reps a page as the kernel uses, and as fit', () => {
    expect({
      HV_GET_REGISTER_BATCH_SIZE: repsPerPage(hypercalls.HVCALL_GET_VP_REGISTERS),
      HV_SET_REGISTER_BATCH_SIZE: repsPerPage(hypercalls.HVCALL_SET_VP_REGISTERS),
      HV_GET_GPA_ACCESS_STATES_BATCH_SIZE: repsPerPage(
        hypercalls.HVCALL_GET_GPA_PAGES_ACCESS_STATES,
      ),
    }).toEqual(
      Object.fromEntries(
        constantsOf(constants.misc, 'HV_').flatMap(([name, value]) =>
          name.endsWith('_BATCH_SIZE') ? [[`HV_${name}`, value]] : [],
        ),
      ),
    );
    expect(repsPerPage(hypercalls.HVCALL_GET_VP_CPUID_VALUES)).toBe(169);
  });
});

describe('an input', () => {
  type Fields = Readonly<Record<string, bigint | number | boolean>>;

  /** What `write` leaves in a page of 0xff must be the struct with the given fields and nothing else. */
  function check(
    struct: string,
    write: (input: DataView) => number,
    fields: Fields,
    size: number,
    arch: Arch = 'x64',
  ): void {
    // Not at the start of its buffer, as a DataView may lie anywhere.
    const page = new Uint8Array(new ArrayBuffer(4096 + 64), 32, 4096).fill(0xff);
    const length = write(new DataView(page.buffer, page.byteOffset, page.length));
    expect(length).toBe(size);
    expect(page.subarray(0, size)).toEqual(bytesOf(struct, size, fields, arch));
    expect(page.subarray(size).every((byte) => byte === 0xff)).toBe(true);
  }

  function property<Values extends [unknown, ...unknown[]]>(
    arbitraries: { [Index in keyof Values]: fc.Arbitrary<Values[Index]> },
    body: (...values: Values) => void,
  ): void {
    fc.assert(fc.property(...arbitraries, body), { seed, numRuns: 50 });
  }

  test('of GET_PARTITION_PROPERTY is complete', () => {
    property([u32], (code) => {
      check(
        'hv_input_get_partition_property',
        (input) => inputs.writeGetPartitionProperty(input, code),
        { property_code: code },
        hypercalls.HVCALL_GET_PARTITION_PROPERTY.input,
      );
    });
  });

  test('of SET_PARTITION_PROPERTY is complete', () => {
    property([u32, u64], (code, value) => {
      check(
        'hv_input_set_partition_property',
        (input) => inputs.writeSetPartitionProperty(input, code, value),
        { property_code: code, property_value: value },
        hypercalls.HVCALL_SET_PARTITION_PROPERTY.input,
      );
    });
  });

  test('of GET_PARTITION_PROPERTY_EX is complete', () => {
    property([u32, u64], (code, argument) => {
      check(
        'hv_input_get_partition_property_ex',
        (input) => inputs.writeGetPartitionPropertyEx(input, code, argument),
        { property_code: code, arg: argument },
        hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.input,
      );
      check(
        'hv_input_get_partition_property_ex',
        (input) => inputs.writeGetPartitionPropertyEx(input, code),
        { property_code: code },
        hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.input,
      );
    });
  });

  test('of INSTALL_INTERCEPT is complete', () => {
    property([u32, u32, u64], (access, type, parameter) => {
      check(
        'hv_input_install_intercept',
        (input) => inputs.writeInstallIntercept(input, access, type, parameter),
        {
          access_type: access,
          intercept_type: type,
          'intercept_parameter.as_uint64': parameter,
        },
        hypercalls.HVCALL_INSTALL_INTERCEPT.input,
      );
    });
  });

  const vtl = fc.option(fc.integer({ min: 0, max: 15 }), { nil: undefined });
  const vtlFields = (value: number | undefined): Fields =>
    value === undefined ? {} : { 'input_vtl.target_vtl': value, 'input_vtl.use_target_vtl': 1 };

  /** A list, and a part of it. */
  function partOf(length: number): fc.Arbitrary<{ first: number; count: number }> {
    return fc
      .tuple(fc.nat({ max: length }), fc.nat({ max: length }))
      .map(([a, b]) => ({ first: Math.min(a, b), count: Math.abs(a - b) }));
  }

  const names = fc.uint32Array({ minLength: 40, maxLength: 40 });

  test('of GET_VP_REGISTERS is complete, for any part of a list', () => {
    property([u32, vtl, names, partOf(40)], (vp, vtl, names, { first, count }) => {
      check(
        'hv_input_get_vp_registers',
        (input) => inputs.writeGetVpRegisters(input, vp, vtl, names, first, count),
        {
          vp_index: vp,
          ...vtlFields(vtl),
          ...Object.fromEntries(
            [...names.subarray(first, first + count)].map((name, i) => [`names[${i}]`, name]),
          ),
        },
        16 + 4 * count,
      );
    });
  });

  test('of SET_VP_REGISTERS is complete, for any part of a list', () => {
    const values = fc.bigUint64Array({ minLength: 80, maxLength: 80 });
    property([u32, vtl, names, values, partOf(40)], (vp, vtl, names, values, { first, count }) => {
      const elements = Array.from({ length: count }, (_, i) => ({
        [`elements[${i}].name`]: names[first + i] ?? 0,
        [`elements[${i}].value.reg128.low_part`]: values[2 * (first + i)] ?? 0n,
        [`elements[${i}].value.reg128.high_part`]: values[2 * (first + i) + 1] ?? 0n,
      }));
      check(
        'hv_input_set_vp_registers',
        (input) =>
          inputs.writeSetVpRegisters(
            input,
            new BigUint64Array(input.buffer, input.byteOffset, input.byteLength / 8),
            vp,
            vtl,
            names,
            values,
            first,
            count,
          ),
        Object.assign({ vp_index: vp, ...vtlFields(vtl) }, ...elements) as Fields,
        16 + 32 * count,
      );
    });
  });

  test('of TRANSLATE_VIRTUAL_ADDRESS is complete', () => {
    property([u32, u64, u64], (vp, flags, page) => {
      check(
        'hv_input_translate_virtual_address',
        (input) => inputs.writeTranslateVirtualAddress(input, vp, flags, page),
        { vp_index: vp, control_flags: flags, gva_page: page },
        hypercalls.HVCALL_TRANSLATE_VIRTUAL_ADDRESS.input,
      );
    });
  });

  test('of CLEAR_VIRTUAL_INTERRUPT is complete', () => {
    check(
      'hv_input_clear_virtual_interrupt',
      inputs.writeClearVirtualInterrupt,
      {},
      hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT.input,
    );
  });

  test('of REGISTER_INTERCEPT_RESULT for CPUID is complete', () => {
    const result = fc.record({
      eax: u32,
      eaxMask: u32,
      ebx: u32,
      ebxMask: u32,
      ecx: u32,
      ecxMask: u32,
      edx: u32,
      edxMask: u32,
    });
    property([u32, u32, u32, u32, u1, u1, result], (vp, type, leaf, subleaf, one, all, result) => {
      check(
        'hv_input_register_intercept_result',
        (input) =>
          inputs.writeRegisterCpuidResult(input, vp, type, leaf, subleaf, one, all, result),
        {
          vp_index: vp,
          intercept_type: type,
          'parameters.cpuid.input.eax': leaf,
          'parameters.cpuid.input.ecx': subleaf,
          'parameters.cpuid.input.subleaf_specific': one,
          'parameters.cpuid.input.always_override': all,
          'parameters.cpuid.result.eax': result.eax,
          'parameters.cpuid.result.eax_mask': result.eaxMask,
          'parameters.cpuid.result.ebx': result.ebx,
          'parameters.cpuid.result.ebx_mask': result.ebxMask,
          'parameters.cpuid.result.ecx': result.ecx,
          'parameters.cpuid.result.ecx_mask': result.ecxMask,
          'parameters.cpuid.result.edx': result.edx,
          'parameters.cpuid.result.edx_mask': result.edxMask,
        },
        hypercalls.HVCALL_REGISTER_INTERCEPT_RESULT.input,
      );
    });
  });

  test('of REGISTER_INTERCEPT_RESULT for an MSR is complete', () => {
    property([u32, u32, u32, u32, u32], (vp, type, msr, access, action) => {
      check(
        'hv_input_register_intercept_result',
        (input) => inputs.writeRegisterMsrResult(input, vp, type, msr, access, action),
        {
          vp_index: vp,
          intercept_type: type,
          'parameters.msr.msr_index': msr,
          'parameters.msr.access_type': access,
          'parameters.msr.action': action,
        },
        hypercalls.HVCALL_REGISTER_INTERCEPT_RESULT.input,
      );
    });
  });

  test('of ASSERT_VIRTUAL_INTERRUPT is complete', () => {
    property([u32, u32, u64, u1, u1, u8], (type, vector, destination, level, logical, vtl) => {
      check(
        'hv_input_assert_virtual_interrupt',
        (input) =>
          inputs.writeAssertVirtualInterrupt(input, type, vector, destination, level, logical, vtl),
        {
          'control.interrupt_type': type,
          'control.level_triggered': level,
          'control.logical_dest_mode': logical,
          dest_addr: destination,
          vector,
          target_vtl: vtl,
        },
        hypercalls.HVCALL_ASSERT_VIRTUAL_INTERRUPT.input,
      );
    });
  });

  test('of ASSERT_VIRTUAL_INTERRUPT for arm64 is complete', () => {
    property([u32, u32, u64, u1, u8], (type, vector, destination, asserted, vtl) => {
      check(
        'hv_input_assert_virtual_interrupt',
        (input) =>
          inputs.writeAssertVirtualInterruptArm64(input, type, vector, destination, asserted, vtl),
        {
          'control.interrupt_type': type,
          'control.asserted': asserted,
          dest_addr: destination,
          vector,
          target_vtl: vtl,
        },
        hypercalls.HVCALL_ASSERT_VIRTUAL_INTERRUPT.input,
        'arm64',
      );
    });
  });

  test('of SIGNAL_EVENT_DIRECT is complete', () => {
    property([u32, u8, u8, u16], (vp, vtl, sint, flag) => {
      check(
        'hv_input_signal_event_direct',
        (input) => inputs.writeSignalEventDirect(input, vp, vtl, sint, flag),
        { target_vp: vp, target_vtl: vtl, target_sint: sint, flag_number: flag },
        hypercalls.HVCALL_SIGNAL_EVENT_DIRECT.input,
      );
    });
  });

  test('of POST_MESSAGE_DIRECT is complete, with its message', () => {
    const payload = fc.uint8Array({ maxLength: 240 });
    property([u32, u8, u32, u32, payload], (vp, vtl, sint, type, payload) => {
      const message = bytesOf('hv_message', 256, {
        'header.message_type': type,
        'header.payload_size': payload.length,
      });
      message.set(payload, 16);
      check(
        'hv_input_post_message_direct',
        (input) => inputs.writePostMessageDirect(input, vp, vtl, sint, type, payload),
        {
          vp_index: vp,
          vtl,
          sint_index: sint,
          ...Object.fromEntries([...message].map((byte, i) => [`message[${i}]`, byte])),
        },
        hypercalls.HVCALL_POST_MESSAGE_DIRECT.input,
      );
    });
  });

  test('of GET_GPA_PAGES_ACCESS_STATES is complete', () => {
    property([u64, u64], (flags, page) => {
      check(
        'hv_input_get_gpa_pages_access_state',
        (input) => inputs.writeGetGpaPagesAccessStates(input, flags, page),
        { 'flags.as_uint64': flags, hv_gpa_page_number: page },
        hypercalls.HVCALL_GET_GPA_PAGES_ACCESS_STATES.input,
      );
    });
  });

  test('of GET_VP_CPUID_VALUES is complete, for any part of a list', () => {
    const leaf = fc.record({ eax: u32, ecx: u32, xfem: u64, xss: u64 });
    const leaves = fc.array(leaf, { minLength: 20, maxLength: 20 });
    property([u32, u32, leaves, partOf(20)], (vp, flags, leaves, { first, count }) => {
      const elements = leaves.slice(first, first + count).map((leaf, i) => ({
        [`cpuid_leaf_info[${i}].eax`]: leaf.eax,
        [`cpuid_leaf_info[${i}].ecx`]: leaf.ecx,
        [`cpuid_leaf_info[${i}].xfem`]: leaf.xfem,
        [`cpuid_leaf_info[${i}].xss`]: leaf.xss,
      }));
      check(
        'hv_input_get_vp_cpuid_values',
        (input) => inputs.writeGetVpCpuidValues(input, vp, flags, leaves, first, count),
        Object.assign({ vp_index: vp, 'flags.as_uint32': flags }, ...elements) as Fields,
        24 + 24 * count,
      );
    });
  });
});

describe('an output', () => {
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

  test('of GET_PARTITION_PROPERTY is its value', () => {
    const bytes = bytesOf('hv_output_get_partition_property', 8, {
      property_value: 0xfedcba9876543210n,
    });
    expect(outputs.readPartitionProperty(view(bytes))).toBe(0xfedcba9876543210n);
  });

  test('of GET_VP_REGISTERS goes to the place of its first register', () => {
    const bytes = bytesOf('hv_output_get_vp_registers', 32, {
      'values[0].reg128.low_part': 1,
      'values[0].reg128.high_part': 2,
      'values[1].reg128.low_part': 2n ** 64n - 1n,
      'values[1].reg128.high_part': 4,
    });
    const values = new BigUint64Array(8);
    outputs.readVpRegisters(new BigUint64Array(bytes.buffer), values, 1, 2);
    expect([...values]).toEqual([0n, 0n, 1n, 2n, 2n ** 64n - 1n, 4n, 0n, 0n]);
  });

  test('of TRANSLATE_VIRTUAL_ADDRESS has every field from where it is', () => {
    fc.assert(
      fc.property(u32, u8, u1, u64, (result, cacheType, overlay, gpaPage) => {
        const bytes = bytesOf('hv_output_translate_virtual_address', 16, {
          'translation_result.result_code': result,
          'translation_result.cache_type': cacheType,
          'translation_result.overlay_page': overlay,
          'translation_result.reserved': 0x7fffff,
          gpa_page: gpaPage,
        });
        expect(outputs.readTranslation(view(bytes))).toEqual({
          result: outputs.translateGvaResults[result] ?? result,
          gpaPage,
          cacheType: cacheTypes[cacheType] ?? cacheType,
          overlay,
        });
      }),
      { seed, numRuns: 50 },
    );
  });

  test('names the results of a translation in the order of their codes', () => {
    const names = constantsOf(constants.translate_gva, 'HV_TRANSLATE_GVA_');
    // The results come after the flags in the facts, from SUCCESS on.
    const results = names.slice(names.findIndex(([name]) => name === 'SUCCESS'));
    expect(
      outputs.translateGvaResults.map((name, code) => [
        name
          .toUpperCase()
          .replaceAll('-', '_')
          .replace(/^INVALID_/, 'INVALIDE_'),
        code,
      ]),
    ).toEqual(results);
    expect(outputs.translateGvaFlags).toEqual(
      Object.fromEntries(
        names.slice(0, names.length - results.length).map(([name, value]) => [name, BigInt(value)]),
      ),
    );
  });

  test('of SIGNAL_EVENT_DIRECT tells whether the flag was clear', () => {
    for (const newly of [true, false]) {
      const bytes = bytesOf('hv_output_signal_event_direct', 8, { newly_signaled: newly });
      bytes.fill(0xff, 1);
      expect(outputs.readNewlySignaled(view(bytes))).toBe(newly);
    }
  });

  test('of GET_VP_CPUID_VALUES has four registers an element', () => {
    const bytes = new Uint8Array(32);
    bytes.set(bytesOf('hv_output_get_vp_cpuid_values', 16, { eax: 1, ebx: 2, ecx: 3, edx: 4 }), 0);
    bytes.set(
      bytesOf('hv_output_get_vp_cpuid_values', 16, { eax: 0xffffffff, ebx: 6, ecx: 7, edx: 8 }),
      16,
    );
    expect(outputs.readCpuidValues(view(bytes), 0)).toEqual({ eax: 1, ebx: 2, ecx: 3, edx: 4 });
    expect(outputs.readCpuidValues(view(bytes), 1)).toEqual({
      eax: 0xffffffff,
      ebx: 6,
      ecx: 7,
      edx: 8,
    });
  });

  const bit = (struct: string, name: string) => {
    const { bit, width } = locate(struct, name);
    expect(width).toBe(1);
    return 2 ** bit;
  };

  test('and its flags have the bits of the facts', () => {
    const { accessStateFlags, accessStateBits, cpuidValuesFlags } = outputs;
    for (const [name, flag] of Object.entries(accessStateFlags)) {
      expect(flag).toBe(BigInt(bit('hv_gpa_page_access_state_flags', name.toLowerCase())));
    }
    for (const [name, flag] of Object.entries(accessStateBits)) {
      expect(flag).toBe(bit('hv_gpa_page_access_state', name.toLowerCase()));
    }
    for (const [name, flag] of Object.entries(cpuidValuesFlags)) {
      expect(flag).toBe(bit('hv_get_vp_cpuid_values_flags', name.toLowerCase()));
    }
  });

  test('names the cache types by their codes', () => {
    const words: Readonly<Record<string, string>> = {
      UNCACHED: 'uc',
      WRITE_COMBINING: 'wc',
      WRITE_THROUGH: 'wt',
      WRITE_PROTECTED: 'wp',
      WRITE_BACK: 'wb',
    };
    const expected: (string | undefined)[] = [undefined, undefined, undefined, undefined];
    for (const [name, code] of constantsOf(constants.cache_type, 'HV_CACHE_TYPE_')) {
      expected[code] = words[name];
    }
    expect(cacheTypes).toEqual(expected);
  });
});
