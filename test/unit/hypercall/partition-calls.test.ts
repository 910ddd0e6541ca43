import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { translateGvaFlags } from '../../../lib/abi/hypercall-outputs.js';
import { hypercalls, type HypercallName } from '../../../lib/abi/hypercalls.js';
import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import {
  MshvError,
  type InterceptKind,
  type InterceptRequest,
  type PartitionCalls,
} from '../../../lib/index.js';
import type { FakeAnswer } from '../../fake-native.js';
import { bytesOf } from '../abi/layout.js';
import { FakeHost } from '../fake-host.js';

// What each typed method hands to the hypervisor, by the layouts of the facts, what it makes of the
// answer, and what comes of it where any of its hypercalls fails.

type Fields = Readonly<Record<string, bigint | number | boolean>>;

interface Method {
  readonly title: string;
  readonly call: (calls: PartitionCalls) => unknown;
  readonly hypercall: HypercallName;
  readonly struct: string;
  readonly fields: Fields;
  readonly reps?: number;
  readonly result?: unknown;
  /** What the hypervisor answers with. Default 0xff everywhere. */
  readonly output?: readonly number[];
}

const ones = 0xffff_ffff;

function intercept(
  request: InterceptRequest,
  type: number,
  access: number,
  parameter = 0n,
): Method {
  return {
    title: `installIntercept(${JSON.stringify(request)})`,
    call: (calls) => {
      calls.installIntercept(request);
    },
    hypercall: 'HVCALL_INSTALL_INTERCEPT',
    struct: 'hv_input_install_intercept',
    fields: {
      intercept_type: type,
      access_type: access,
      'intercept_parameter.as_uint64': parameter,
    },
  };
}

/** By the facts, with the default access. */
const intercepts: readonly (readonly [
  InterceptRequest & { type: InterceptKind },
  number,
  number,
  bigint?,
])[] = [
  [{ type: 'io-port', port: 0x3f8 }, 0, 3, 0x3f8n],
  [{ type: 'msr' }, 1, 3],
  [{ type: 'cpuid', leaf: 0x4000_0001 }, 2, 4, 0x4000_0001n],
  [{ type: 'exception', vector: 14 }, 3, 4, 14n],
  [{ type: 'mmio' }, 5, 3],
  [{ type: 'global-cpuid' }, 6, 4],
  [{ type: 'apic-smi' }, 7, 4],
  [{ type: 'hypercall' }, 8, 4],
  [{ type: 'apic-init-sipi' }, 9, 4],
  [{ type: 'microcode-revision' }, 10, 1],
  [{ type: 'apic-write', registers: 0x8000_0001 }, 11, 2, 0x8000_0001n],
  [{ type: 'msr-index', msr: 0xc000_0080 }, 12, 3, 0xc000_0080n],
  [{ type: 'unknown-synic-connection' }, 13, 4],
  [{ type: 'apic-eoi' }, 14, 2],
  [{ type: 'unknown-device-retarget' }, 15, 4],
  [{ type: 'io-port-range', first: 0x1f0, last: 0x1f7 }, 17, 3, 0x01f7_01f0n],
];

const methods: readonly Method[] = [
  {
    title: 'property() by name',
    call: (calls) => calls.property('XSAVE_STATES'),
    hypercall: 'HVCALL_GET_PARTITION_PROPERTY',
    struct: 'hv_input_get_partition_property',
    fields: { property_code: 0x60007 },
    output: [1, 0, 0, 0, 0, 0, 0, 0x80],
    result: 0x8000_0000_0000_0001n,
  },
  {
    title: 'property() by code',
    call: (calls) => calls.property(ones),
    hypercall: 'HVCALL_GET_PARTITION_PROPERTY',
    struct: 'hv_input_get_partition_property',
    fields: { property_code: ones },
    result: 2n ** 64n - 1n,
  },
  {
    title: 'setProperty()',
    call: (calls) => {
      calls.setProperty('TIME_FREEZE', 2n ** 64n - 1n);
    },
    hypercall: 'HVCALL_SET_PARTITION_PROPERTY',
    struct: 'hv_input_set_partition_property',
    fields: { property_code: 0x30003, property_value: 2n ** 64n - 1n },
  },
  {
    title: 'propertyEx()',
    call: (calls) => calls.propertyEx('VMM_CAPABILITIES'),
    hypercall: 'HVCALL_GET_PARTITION_PROPERTY_EX',
    struct: 'hv_input_get_partition_property_ex',
    fields: { property_code: 0x90007 },
    result: new Uint8Array(4072).fill(0xff),
  },
  {
    title: 'propertyEx() of a part',
    call: (calls) => calls.propertyEx(7, { argument: 3, size: 2 }),
    hypercall: 'HVCALL_GET_PARTITION_PROPERTY_EX',
    struct: 'hv_input_get_partition_property_ex',
    fields: { property_code: 7, arg: 3 },
    output: [5, 6],
    result: Uint8Array.of(5, 6),
  },
  ...intercepts.map(([request, type, access, parameter]) =>
    intercept(request, type, access, parameter),
  ),
  intercept({ type: 'io-port', port: 0xffff, access: 'none' }, 0, 0, 0xffffn),
  intercept({ type: 'io-port', port: 0, access: 'read' }, 0, 1),
  intercept({ type: 'msr', access: 'write' }, 1, 2),
  intercept({ type: 'msr', access: 'execute' }, 1, 4),
  {
    title: 'registerCpuidResult() for all VPs and subleaves, of some bits',
    call: (calls) => {
      calls.registerCpuidResult({ leaf: 1, ecx: { value: 1 << 5, mask: 0x8000_0020 }, edx: 7 });
    },
    hypercall: 'HVCALL_REGISTER_INTERCEPT_RESULT',
    struct: 'hv_input_register_intercept_result',
    fields: {
      vp_index: ones,
      intercept_type: 2,
      'parameters.cpuid.input.eax': 1,
      'parameters.cpuid.input.always_override': 1,
      'parameters.cpuid.result.ecx': 1 << 5,
      'parameters.cpuid.result.ecx_mask': 0x8000_0020,
      'parameters.cpuid.result.edx': 7,
      'parameters.cpuid.result.edx_mask': ones,
    },
  },
  {
    title: 'registerCpuidResult() for a VP and a subleaf',
    call: (calls) => {
      calls.registerCpuidResult({
        vp: 255,
        leaf: 0xd,
        subleaf: 0,
        alwaysOverride: false,
        eax: ones,
        ebx: 0,
      });
    },
    hypercall: 'HVCALL_REGISTER_INTERCEPT_RESULT',
    struct: 'hv_input_register_intercept_result',
    fields: {
      vp_index: 255,
      intercept_type: 2,
      'parameters.cpuid.input.eax': 0xd,
      'parameters.cpuid.input.subleaf_specific': 1,
      'parameters.cpuid.result.eax': ones,
      'parameters.cpuid.result.eax_mask': ones,
      'parameters.cpuid.result.ebx_mask': ones,
    },
  },
  {
    title: 'registerMsrResult() for all VPs',
    call: (calls) => {
      calls.registerMsrResult({ msr: 0xc000_0080, action: 'ignore-write-read-zero' });
    },
    hypercall: 'HVCALL_REGISTER_INTERCEPT_RESULT',
    struct: 'hv_input_register_intercept_result',
    fields: {
      vp_index: ones,
      intercept_type: 1,
      'parameters.msr.msr_index': 0xc000_0080,
      'parameters.msr.access_type': 3,
      'parameters.msr.action': 1,
    },
  },
  {
    title: 'registerMsrResult() for a VP',
    call: (calls) => {
      calls.registerMsrResult({ vp: 0, msr: 0x10, access: 'write', action: 'fault' });
    },
    hypercall: 'HVCALL_REGISTER_INTERCEPT_RESULT',
    struct: 'hv_input_register_intercept_result',
    fields: {
      intercept_type: 1,
      'parameters.msr.msr_index': 0x10,
      'parameters.msr.access_type': 2,
    },
  },
  {
    title: 'translateGva() that succeeds',
    call: (calls) => calls.translateGva({ vp: 2, gva: 0xffff_8000_0000_1234n }),
    hypercall: 'HVCALL_TRANSLATE_VIRTUAL_ADDRESS',
    struct: 'hv_input_translate_virtual_address',
    fields: { vp_index: 2, control_flags: 1, gva_page: 0xffff_8000_0000_1n },
    output: [0, 0, 0, 0, 6, 1, 0, 0, 0x78, 0x56, 0, 0, 0, 0, 0, 0],
    result: { result: 'success', gpa: 0x5678_234n, cacheType: 'wb', overlay: true },
  },
  {
    title: 'translateGva() with all flags, that fails',
    call: (calls) =>
      calls.translateGva({
        vp: 0,
        gva: 0,
        flags: Object.keys(translateGvaFlags) as (keyof typeof translateGvaFlags)[],
      }),
    hypercall: 'HVCALL_TRANSLATE_VIRTUAL_ADDRESS',
    struct: 'hv_input_translate_virtual_address',
    fields: { control_flags: 0x7ff },
    output: [1, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0],
    result: { result: 'page-not-present', gpa: undefined, cacheType: 3, overlay: false },
  },
  {
    title: 'translateGva() with no flags, and a result without a name',
    call: (calls) => calls.translateGva({ vp: 0, gva: 4096, flags: [] }),
    hypercall: 'HVCALL_TRANSLATE_VIRTUAL_ADDRESS',
    struct: 'hv_input_translate_virtual_address',
    fields: { gva_page: 1 },
    result: { result: ones, gpa: undefined, cacheType: 0xff, overlay: true },
  },
  {
    title: 'requestInterrupt()',
    call: (calls) => {
      calls.requestInterrupt({ vector: 0x41 });
    },
    hypercall: 'HVCALL_ASSERT_VIRTUAL_INTERRUPT',
    struct: 'hv_input_assert_virtual_interrupt',
    fields: { vector: 0x41 },
  },
  {
    title: 'requestInterrupt() with everything',
    call: (calls) => {
      calls.requestInterrupt({
        type: 'local-int1',
        vector: 255,
        destination: ones,
        level: true,
        logical: true,
        vtl: 2,
      });
    },
    hypercall: 'HVCALL_ASSERT_VIRTUAL_INTERRUPT',
    struct: 'hv_input_assert_virtual_interrupt',
    fields: {
      'control.interrupt_type': 9,
      'control.level_triggered': 1,
      'control.logical_dest_mode': 1,
      dest_addr: ones,
      vector: 255,
      target_vtl: 2,
    },
  },
  {
    title: 'requestMsi()',
    call: (calls) => {
      calls.requestMsi(0xfee0_3000n, 0x4141);
    },
    hypercall: 'HVCALL_ASSERT_VIRTUAL_INTERRUPT',
    struct: 'hv_input_assert_virtual_interrupt',
    fields: {
      'control.interrupt_type': 1,
      dest_addr: 3,
      vector: 0x41,
    },
  },
  {
    title: 'requestMsi() to a set of VPs',
    call: (calls) => {
      calls.requestMsi(0xfee8_1004, 0x400);
    },
    hypercall: 'HVCALL_ASSERT_VIRTUAL_INTERRUPT',
    struct: 'hv_input_assert_virtual_interrupt',
    fields: { 'control.interrupt_type': 4, 'control.logical_dest_mode': 1, dest_addr: 0x81 },
  },
  {
    title: 'clearVirtualInterrupt()',
    call: (calls) => {
      calls.clearVirtualInterrupt();
    },
    hypercall: 'HVCALL_CLEAR_VIRTUAL_INTERRUPT',
    struct: 'hv_input_clear_virtual_interrupt',
    fields: {},
  },
  {
    title: 'getRegisters()',
    call: (calls) => calls.getRegisters(3, Uint32Array.of(0x20000, ones)),
    hypercall: 'HVCALL_GET_VP_REGISTERS',
    struct: 'hv_input_get_vp_registers',
    reps: 2,
    fields: { vp_index: 3, 'names[0]': 0x20000, 'names[1]': ones },
    result: new BigUint64Array(4).fill(2n ** 64n - 1n),
  },
  {
    title: 'getRegisters() of VTL 0',
    call: (calls) => calls.getRegisters(3, Uint32Array.of(0x10006), new BigUint64Array(2), 0),
    hypercall: 'HVCALL_GET_VP_REGISTERS',
    struct: 'hv_input_get_vp_registers',
    reps: 1,
    fields: {
      vp_index: 3,
      'input_vtl.target_vtl': 0,
      'input_vtl.use_target_vtl': 1,
      'names[0]': 0x10006,
    },
    result: new BigUint64Array(2).fill(2n ** 64n - 1n),
  },
  {
    title: 'setRegisters() of VTL 15',
    call: (calls) => {
      calls.setRegisters(3, Uint32Array.of(0x10006), BigUint64Array.of(1n << 50n, 0n), 15);
    },
    hypercall: 'HVCALL_SET_VP_REGISTERS',
    struct: 'hv_input_set_vp_registers',
    reps: 1,
    fields: {
      vp_index: 3,
      'input_vtl.target_vtl': 15,
      'input_vtl.use_target_vtl': 1,
      'elements[0].name': 0x10006,
      'elements[0].value.reg128.low_part': 1n << 50n,
    },
  },
  {
    title: 'setRegisters()',
    call: (calls) => {
      calls.setRegisters(255, Uint32Array.of(0x20010), BigUint64Array.of(5n, 2n ** 63n, 9n));
    },
    hypercall: 'HVCALL_SET_VP_REGISTERS',
    struct: 'hv_input_set_vp_registers',
    reps: 1,
    fields: {
      vp_index: 255,
      'elements[0].name': 0x20010,
      'elements[0].value.reg128.low_part': 5,
      'elements[0].value.reg128.high_part': 2n ** 63n,
    },
  },
  {
    title: 'accessStates() that looks',
    call: (calls) => calls.accessStates({ gpa: 0x7000n, pages: 3 }),
    hypercall: 'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
    struct: 'hv_input_get_gpa_pages_access_state',
    reps: 3,
    fields: { hv_gpa_page_number: 7 },
    output: [0, 1, 3],
    result: Uint8Array.of(0, 1, 3),
  },
  {
    title: 'accessStates() that clears',
    call: (calls) =>
      calls.accessStates({
        gpa: 2n ** 64n - 4096n,
        pages: 1,
        clearAccessed: true,
        clearDirty: true,
      }),
    hypercall: 'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
    struct: 'hv_input_get_gpa_pages_access_state',
    reps: 1,
    fields: {
      hv_gpa_page_number: 2n ** 52n - 1n,
      'flags.clear_accessed': 1,
      'flags.clear_dirty': 1,
    },
    result: Uint8Array.of(0xff),
  },
  {
    title: 'accessStates() that sets',
    call: (calls) => calls.accessStates({ gpa: 0, pages: 1, setAccessed: true, setDirty: true }),
    hypercall: 'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
    struct: 'hv_input_get_gpa_pages_access_state',
    reps: 1,
    fields: { 'flags.set_accessed': 1, 'flags.set_dirty': 1 },
    result: Uint8Array.of(0xff),
  },
  {
    title: 'signalEventDirect() of a clear flag',
    call: (calls) => calls.signalEventDirect({ vp: 4, sint: 15, flag: 2047, vtl: 1 }),
    hypercall: 'HVCALL_SIGNAL_EVENT_DIRECT',
    struct: 'hv_input_signal_event_direct',
    fields: { target_vp: 4, target_vtl: 1, target_sint: 15, flag_number: 2047 },
    output: [1, 0, 0, 0, 0, 0, 0, 0],
    result: true,
  },
  {
    title: 'signalEventDirect() of a set flag',
    call: (calls) => calls.signalEventDirect({ vp: 0, sint: 0, flag: 0 }),
    hypercall: 'HVCALL_SIGNAL_EVENT_DIRECT',
    struct: 'hv_input_signal_event_direct',
    fields: {},
    output: [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    result: false,
  },
  {
    title: 'postMessageDirect()',
    call: (calls) => {
      const payload = new Uint8Array(240);
      payload[0] = 1;
      payload[239] = 2;
      calls.postMessageDirect({ vp: 5, vtl: 1, sint: 2, type: 0x8000_0001, payload });
    },
    hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
    struct: 'hv_input_post_message_direct',
    fields: {
      vp_index: 5,
      vtl: 1,
      sint_index: 2,
      'message[0]': 1,
      'message[3]': 0x80,
      'message[4]': 240,
      'message[16]': 1,
      'message[255]': 2,
    },
  },
  {
    title: 'cpuidValues()',
    call: (calls) => calls.cpuidValues({ vp: 1, leaves: [{ eax: 1 }, { eax: 0xd, ecx: 1 }] }),
    hypercall: 'HVCALL_GET_VP_CPUID_VALUES',
    struct: 'hv_input_get_vp_cpuid_values',
    reps: 2,
    fields: {
      vp_index: 1,
      'flags.use_vp_xfem_xss': 1,
      'flags.apply_registered_values': 1,
      'cpuid_leaf_info[0].eax': 1,
      'cpuid_leaf_info[1].eax': 0xd,
      'cpuid_leaf_info[1].ecx': 1,
    },
    result: [1, 2].map(() => ({ eax: ones, ebx: ones, ecx: ones, edx: ones })),
  },
  {
    title: 'cpuidValues() of a state that is not the VP’s',
    call: (calls) =>
      calls.cpuidValues({
        vp: 0,
        leaves: [{ eax: 0xd, xfem: 7, xss: 2n ** 64n - 1n }],
        useVpXfemXss: false,
        applyRegisteredValues: false,
      }),
    hypercall: 'HVCALL_GET_VP_CPUID_VALUES',
    struct: 'hv_input_get_vp_cpuid_values',
    reps: 1,
    fields: {
      'cpuid_leaf_info[0].eax': 0xd,
      'cpuid_leaf_info[0].xfem': 7,
      'cpuid_leaf_info[0].xss': 2n ** 64n - 1n,
    },
    output: [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0x80],
    result: [{ eax: 1, ebx: 2, ecx: 3, edx: 0x8000_0004 }],
  },
];

const titled = methods.map((method) => [method.title, method] as const);

function answer(host: FakeHost, method: Method, ...answers: (FakeAnswer | undefined)[]): void {
  host.native.record();
  host.native.hypervisor = ({ output }) => {
    output.fill(0xff);
    output.set((method.output ?? []).slice(0, output.length));
    return answers.shift();
  };
}

describe('the hypervisor gets', () => {
  it.each(titled)('%s whole, and its answer comes back', (_, method) => {
    using host = new FakeHost();
    answer(host, method);
    const { code, input, repInput, output, repOutput } = hypercalls[method.hypercall];
    const { reps = 0 } = method;
    const result = method.call(host.partition);
    const partial = method.output !== undefined && method.output.length < output;
    expect(host.native.calls).toEqual([
      {
        name: 'hypercall',
        args: [
          host.partition.fd,
          code,
          reps,
          bytesOf(method.struct, input + reps * repInput, method.fields),
          partial ? method.output.length : output + reps * repOutput,
        ],
        result: 0,
      },
    ]);
    expect(result).toEqual(method.result);
    expect(host.native.violations).toEqual([]);
  });
});

const { EAGAIN, EFAULT, EINTR, EINVAL, EIO, ENOMEM, ENOTTY, EPERM } = constants.errno;

describe('where it fails', () => {
  const failures: readonly (readonly [string, FakeAnswer])[] = [
    ...[EINVAL, EPERM, ENOMEM, EFAULT, ENOTTY, EIO].map(
      (errno) => [`errno ${errno}`, { errno }] as const,
    ),
    ...(
      [
        'HV_STATUS_INVALID_VP_INDEX',
        'HV_STATUS_INVALID_PARAMETER',
        'HV_STATUS_ACCESS_DENIED',
        'HV_STATUS_OBJECT_IN_USE',
        'HV_STATUS_INSUFFICIENT_ROOT_MEMORY',
      ] as const
    ).map((name) => [name, { status: hvStatusCodes[name] }] as const),
  ];

  it.each(titled)('%s throws once and can be called again', (_, method) => {
    using host = new FakeHost();
    for (const [name, failure] of failures) {
      answer(host, method, failure);
      let error: unknown;
      try {
        method.call(host.partition);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(MshvError);
      expect(error).toMatchObject({
        ioctl: 'MSHV_ROOT_HVCALL',
        hypercall: method.hypercall,
        ...(failure.errno !== undefined && { errno: -failure.errno }),
        ...(failure.status !== undefined && { hvStatus: { code: failure.status, name } }),
        ...(method.reps !== undefined && { repsCompleted: 0 }),
      });
      expect(host.native.calls).toHaveLength(1);
      expect(method.call(host.partition)).toEqual(method.result);
    }
  });

  it.each(titled)('%s gets over deposits and signals', (_, method) => {
    using host = new FakeHost();
    const { HV_STATUS_INSUFFICIENT_MEMORY: status } = hvStatusCodes;
    answer(host, method, { status, errno: EAGAIN }, { errno: EINTR }, { status, errno: EAGAIN });
    expect(method.call(host.partition)).toEqual(method.result);
    expect(host.native.calls).toHaveLength(4);
    const [first, ...others] = host.native.calls;
    for (const other of others) expect(other.args).toEqual(first?.args);
  });
});

it('has a test for each hypercall and each kind of intercept', () => {
  const tested = new Set(methods.map(({ hypercall }) => hypercall));
  expect(Object.keys(hypercalls).filter((name) => !tested.has(name as HypercallName))).toEqual([]);
  expect(new Set(intercepts.map(([{ type }]) => type)).size).toBe(16);
});

describe('registers', () => {
  it('go into the array that is given, and only as many words as there are names', () => {
    using host = new FakeHost();
    host.native.hypervisor = ({ output }) => {
      output.fill(1);
      return undefined;
    };
    const values = new BigUint64Array(6);
    const word = 0x0101_0101_0101_0101n;
    expect(host.partition.getRegisters(0, Uint32Array.of(1, 2), values)).toBe(values);
    expect([...values]).toEqual([word, word, word, word, 0n, 0n]);
  });

  it('are not written to the array by a call that fails', () => {
    using host = new FakeHost();
    host.native.hypervisor = ({ output }) => {
      output.fill(1);
      return { status: hvStatusCodes.HV_STATUS_INVALID_VP_INDEX };
    };
    const values = new BigUint64Array(4);
    expect(() => host.partition.getRegisters(9, Uint32Array.of(1, 2), values)).toThrow(MshvError);
    expect([...values]).toEqual([0n, 0n, 0n, 0n]);
  });
});
