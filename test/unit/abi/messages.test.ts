import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeMessage, type EncodableType } from '../../../lib/sim/encode-message.js';
import { InterceptMessages } from '../../../lib/abi/intercepts.js';
import { messageLayout, messageTypeName, messageTypes } from '../../../lib/abi/message-types.js';
import type { Field, Layout } from '../../../lib/abi/messages/layout.js';
import {
  allMessages,
  arm64Messages,
  commonMessages,
  x64Messages,
} from '../../../lib/abi/messages/table.js';
import type { SegmentRegister } from '../../../lib/abi/segment-register.js';
import { constantsOf, facts, type Arch } from './facts.js';
import { leaves, locate, readBits, structFacts, type BitRange } from './layout.js';

const seed = 20261121;

/** The names that the facts have for the fields of a class. */
type Names = Readonly<Record<string, string>>;

const header: Names = {
  vpIndex: 'header.vp_index',
  instructionLength: 'header.instruction_length',
  cr8: 'header.cr8',
  access: 'header.intercept_access_type',
  cpl: 'header.execution_state.cpl',
  cr0Pe: 'header.execution_state.cr0_pe',
  cr0Am: 'header.execution_state.cr0_am',
  eferLma: 'header.execution_state.efer_lma',
  debugActive: 'header.execution_state.debug_active',
  interruptionPending: 'header.execution_state.interruption_pending',
  vtl: 'header.execution_state.vtl',
  enclaveMode: 'header.execution_state.enclave_mode',
  interruptShadow: 'header.execution_state.interrupt_shadow',
  virtualizationFaultActive: 'header.execution_state.virtualization_fault_active',
  cs: 'header.cs_segment',
  rip: 'header.rip',
  rflags: 'header.rflags',
};

const memory: Names = {
  ...header,
  cacheType: 'cache_type',
  gvaValid: 'memory_access_info.gva_valid',
  gvaGpaValid: 'memory_access_info.gva_gpa_valid',
  hypercallOutputPending: 'memory_access_info.hypercall_output_pending',
  tlbLockedNoOverlay: 'memory_access_info.tlb_locked_no_overlay',
  tprPriority: 'tpr_priority',
  gva: 'guest_virtual_address',
  gpa: 'guest_physical_address',
  instructionBytes: 'instruction_bytes',
  instructionByteCount: 'instruction_byte_count',
};

const same = (...names: string[]): Names => Object.fromEntries(names.map((name) => [name, name]));

const arm64Header: Names = {
  vpIndex: 'header.vp_index',
  instructionLength: 'header.instruction_length',
  access: 'header.intercept_access_type',
  cpl: 'header.execution_state.cpl',
  debugActive: 'header.execution_state.debug_active',
  interruptionPending: 'header.execution_state.interruption_pending',
  vtl: 'header.execution_state.vtl',
  virtualizationFaultActive: 'header.execution_state.virtualization_fault_active',
  pc: 'header.pc',
  cpsr: 'header.cpsr',
};

const arm64Memory: Names = {
  ...arm64Header,
  cacheType: 'cache_type',
  gvaValid: 'memory_access_info.gva_valid',
  gvaGpaValid: 'memory_access_info.gva_gpa_valid',
  hypercallOutputPending: 'memory_access_info.hypercall_output_pending',
  instructionBytes: 'instruction_bytes',
  instructionByteCount: 'instruction_byte_count',
  gva: 'guest_virtual_address',
  gpa: 'guest_physical_address',
  syndrome: 'syndrome',
};

const names: Readonly<Record<EncodableType, Names>> = {
  'unmapped-gpa': memory,
  'gpa-intercept': memory,
  'unaccepted-gpa': memory,
  'unrecoverable-exception': header,
  halt: header,
  'io-port': {
    ...header,
    port: 'port_number',
    size: 'access_info.access_size',
    isString: 'access_info.string_op',
    isRep: 'access_info.rep_prefix',
    ...same('rax', 'rcx', 'rsi', 'rdi'),
    instructionBytes: 'instruction_bytes',
    instructionByteCount: 'instruction_byte_count',
    ds: 'ds_segment',
    es: 'es_segment',
  },
  msr: { ...header, msr: 'msr_number', ...same('rdx', 'rax') },
  cpuid: {
    ...header,
    ...same('rax', 'rcx', 'rdx', 'rbx'),
    defaultRax: 'default_result_rax',
    defaultRcx: 'default_result_rcx',
    defaultRdx: 'default_result_rdx',
    defaultRbx: 'default_result_rbx',
  },
  hypercall: {
    ...header,
    ...same('rax', 'rbx', 'rcx', 'rdx', 'r8', 'rsi', 'rdi', 'isolated'),
    xmm: 'xmmregisters',
  },
  exception: {
    ...header,
    vector: 'exception_vector',
    errorCodeValid: 'exception_info.error_code_valid',
    softwareException: 'exception_info.software_exception',
    errorCode: 'error_code',
    parameter: 'exception_parameter',
    instructionBytes: 'instruction_bytes',
    instructionByteCount: 'instruction_byte_count',
    ds: 'ds_segment',
    ss: 'ss_segment',
    ...same('rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'),
    ...same('r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'),
  },
  'apic-eoi': { vpIndex: 'vp_index', vector: 'interrupt_vector' },
  'sint-intercept': { sint: 'sint_index' },
  'sint-deliverable': { ...header, deliverableSints: 'deliverable_sints' },
  'interruption-deliverable': { ...header, deliverableType: 'deliverable_type' },
  sipi: { ...header, targetVpIndex: 'target_vp_index', vector: 'interrupt_vector' },
  'timer-expired': {
    timerIndex: 'timer_index',
    expirationTime: 'expiration_time',
    deliveryTime: 'delivery_time',
  },
  'invalid-vp-register-value': { vpIndex: 'vp_index' },
  'unsupported-feature': {
    vpIndex: 'vp_index',
    feature: 'feature_code',
    parameter: 'feature_parameter',
  },
  opaque: { vpIndex: 'vp_index' },
  'async-call-completion': {
    partitionId: 'partition_id',
    status: 'status',
    completionCount: 'completion_count',
    subStatus: 'sub_status',
  },
  'sev-vmgexit': {
    ...header,
    ghcbMsr: 'ghcb_msr',
    ghcbPageValid: 'ghcb_page_valid',
    ghcbUsage: 'ghcb_usage',
    ghcbProtocolVersion: 'ghcb_protocol_version',
    swExitCode: 'sw_exit_code',
    swExitInfo1: 'sw_exit_info1',
    swExitInfo2: 'sw_exit_info2',
    swScratch: 'sw_scratch',
  },
  'gpa-attribute': {
    vpIndex: 'vp_index',
    adjust: 'adjust',
    hostVisibility: 'host_visibility',
    memoryType: 'memory_type',
    ranges: 'ranges',
  },
  'scheduler-vp-signal-bitset': {
    partitionId: 'partition_id',
    overflowCount: 'overflow_count',
    vpCount: 'vp_count',
    format: 'vp_bitset.bitset.format',
    validBankMask: 'vp_bitset.bitset.valid_bank_mask',
    banks: 'vp_bitset.bitset_buffer',
  },
  'scheduler-vp-signal-pair': { overflowCount: 'overflow_count', signals: '' },
  'arm64-unmapped-gpa': arm64Memory,
  'arm64-gpa-intercept': arm64Memory,
  'arm64-unaccepted-gpa': arm64Memory,
  'arm64-reset': { ...arm64Header, resetType: 'reset_type', resetCode: 'reset_code' },
  'arm64-hypercall': { ...arm64Header, ...same('immediate', 'x'), isolated: 'flags.isolated' },
  'arm64-sint-deliverable': { ...arm64Header, deliverableSints: 'deliverable_sints' },
};

const types = Object.keys(allMessages) as EncodableType[];
const archOf = (type: EncodableType): Arch => (type in arm64Messages ? 'arm64' : 'x64');

/** The struct of a message's payload. */
function structOf(type: EncodableType): string {
  const fact = Object.entries(facts.hypervisor.messages).find(
    ([, { type: code }]) => code === allMessages[type].code,
  );
  switch (type) {
    case 'arm64-unmapped-gpa':
    case 'arm64-gpa-intercept':
    case 'arm64-unaccepted-gpa':
      return 'hv_arm64_memory_intercept_message';
    case 'arm64-reset':
      return 'hv_arm64_reset_intercept_message';
    case 'arm64-hypercall':
      return 'hv_arm64_hypercall_intercept_message';
    case 'arm64-sint-deliverable':
      return 'hv_arm64_sint_deliverable_message';
    default:
      if (fact === undefined) throw new Error(`no facts of ${type}`);
      return fact[1].payload;
  }
}

/** What the facts find for one field in the bytes of a payload, in the form that the class has it. */
function expected(
  payload: Uint8Array,
  type: EncodableType,
  field: Field,
  path: string,
  used?: (range: BitRange) => void,
): unknown {
  const read = (name: string): bigint => {
    const range = locate(structOf(type), name, archOf(type));
    used?.(range);
    return readBits(payload, range);
  };
  const list = <Item>(count: bigint, most: number, item: (index: number) => Item): Item[] =>
    Array.from({ length: Math.min(Number(count), most) }, (_, i) => item(i));
  switch (field.kind) {
    case 'u8':
    case 'u16':
    case 'u32':
    case 'bits':
      return Number(read(path));
    case 'u64':
      return read(path);
    case 'gpa': {
      const raw = read(path);
      const gva = read('guest_virtual_address');
      const known = read('memory_access_info.gva_valid') & read('memory_access_info.gva_gpa_valid');
      return raw % 4096n === 0n && known === 1n ? raw + (gva % 4096n) : raw;
    }
    case 'flag':
      return read(path) === 1n;
    case 'choice':
      return field.names[Number(read(path))] ?? Number(read(path));
    case 'segment':
      return {
        base: read(`${path}.base`),
        limit: Number(read(`${path}.limit`)),
        selector: Number(read(`${path}.selector`)),
        attributes: Number(read(`${path}.attributes`)),
      } satisfies SegmentRegister;
    case 'bytes': {
      const most = archOf(type) === 'arm64' ? 4 : 16;
      const all = list(16n, most, (i) => Number(read(`${path}[${i}]`)));
      const count = Number(read('instruction_byte_count'));
      return Uint8Array.from(count > most ? [] : all.slice(0, count));
    }
    case 'u64s':
      // The first two words of a set are its format and mask.
      return list(BigInt(field.length), field.length, (i) =>
        read(`${path}[${type === 'scheduler-vp-signal-bitset' ? i + 2 : i}]`),
      );
    case 'u128s':
      return list(
        6n,
        6,
        (i) => (read(`${path}[${i}].high_part`) << 64n) | read(`${path}[${i}].low_part`),
      );
    case 'signals': {
      const all = list(19n, 19, (i) => ({
        partitionId: read(`partition_ids[${i}]`),
        vpIndex: Number(read(`vp_indexes[${i}]`)),
      }));
      return all.slice(0, Number(read('vp_count')));
    }
    case 'ranges': {
      const all = list(29n, 29, (i) => ({
        page: read(`ranges[${i}].page.basepfn`),
        additionalPages: Number(read(`ranges[${i}].page.additional_pages`)),
        large: read(`ranges[${i}].page.largepage`) === 1n,
      }));
      return all.slice(0, Number(read('range_count')));
    }
  }
}

const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
const number = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });

/** Any value that a field can have. */
function anyValue(field: Field): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'u8':
      return number(8);
    case 'u16':
      return number(16);
    case 'u32':
      return number(32);
    case 'bits':
      return number(field.width);
    case 'u64':
      return uint(64);
    case 'gpa':
      return fc.oneof(
        uint(64),
        uint(52).map((page) => page << 12n),
      );
    case 'flag':
      return fc.boolean();
    case 'choice': {
      const named = field.names.filter((name) => name !== undefined);
      const nameless = number(field.width).filter((code) => field.names[code] === undefined);
      return fc.oneof(fc.constantFrom(...named), nameless);
    }
    case 'segment':
      return fc.record({
        base: uint(64),
        limit: number(32),
        selector: number(16),
        attributes: number(16),
      });
    case 'bytes':
      return fc.uint8Array({ maxLength: field.most });
    case 'u64s':
      return fc.array(uint(64), { minLength: field.length, maxLength: field.length });
    case 'u128s':
      return fc.array(uint(128), { minLength: field.length, maxLength: field.length });
    case 'signals':
      return fc.array(fc.record({ partitionId: uint(64), vpIndex: number(32) }), {
        maxLength: field.most,
      });
    case 'ranges':
      return fc.array(
        fc.record({ page: uint(52), additionalPages: number(11), large: fc.boolean() }),
        { maxLength: field.most },
      );
  }
}

function fieldsOf(type: EncodableType): [string, Field][] {
  const layout: Layout = allMessages[type].layout;
  return Object.entries(layout);
}

/** All fields of a message, each with any value; but for the number of its instruction bytes, which is right. */
function anyFields(type: EncodableType): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const fields = fieldsOf(type).filter(([name]) => name !== 'instructionByteCount');
  return fc
    .record(Object.fromEntries(fields.map(([name, field]) => [name, anyValue(field)])))
    .map((record) => {
      const { instructionBytes } = record;
      return instructionBytes instanceof Uint8Array
        ? { ...record, instructionByteCount: instructionBytes.length }
        : record;
    });
}

/** The same as the class has them. */
function asDecoded(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { gpa, gva, gvaValid, gvaGpaValid } = fields;
  return typeof gpa === 'bigint' &&
    typeof gva === 'bigint' &&
    gvaValid === true &&
    gvaGpaValid === true
    ? { ...fields, gpa: gpa % 4096n === 0n ? gpa + (gva % 4096n) : gpa }
    : fields;
}

function fieldsFound(message: object, type: EncodableType): Record<string, unknown> {
  return Object.fromEntries(
    fieldsOf(type).map(([name]) => [name, Reflect.get(message, name) as unknown]),
  );
}

/** 256 bytes with the type of a message. */
function withType(bytes: Uint8Array, code: number): Uint8Array {
  const message = Uint8Array.from(bytes);
  new DataView(message.buffer).setUint32(0, code, true);
  return message;
}

const anyBytes = fc.uint8Array({ minLength: 256, maxLength: 256 });

describe('message types', () => {
  test('are those of the facts', () => {
    expect(messageTypes).toEqual(
      Object.fromEntries(constantsOf(facts.hypervisor.constants.message_type, 'HVMSG_')),
    );
    for (const [name, code] of Object.entries(messageTypes)) {
      expect(messageTypeName(code)).toBe(name);
    }
    expect(messageTypeName(0x80000002)).toBeUndefined();
  });

  test('have their header where the facts have it', () => {
    const { size, type, payloadSize, flags, sender, payload, payloadCapacity } = messageLayout;
    expect([type, payloadSize, flags, sender, payload].map((at) => at * 8)).toEqual(
      [
        'header.message_type',
        'header.payload_size',
        'header.message_flags',
        'header.sender',
        'u.payload',
      ].map((name) => locate('hv_message', name).bit),
    );
    expect([size, payloadCapacity]).toEqual([structFacts('hv_message').size, size - payload]);
  });

  test('with a payload in the facts are all decoded on x64', () => {
    const decoded = { ...commonMessages, ...x64Messages };
    expect(
      Object.values(decoded)
        .map(({ code, size }) => ({ code, size }))
        .sort((a, b) => a.code - b.code),
    ).toEqual(
      Object.values(facts.hypervisor.messages)
        .map(({ type, size }) => ({ code: type, size }))
        .sort((a, b) => a.code - b.code),
    );
  });

  test('have a row each in docs/vps.md, which says whether they come once', () => {
    const page = readFileSync(new URL('../../../docs/vps.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| (`'.+?'`) +\| [^|]*\w[^|]*\| (once|again) +\|$/gm)].flatMap(
      ([, names = '', comes]) =>
        [...names.matchAll(/'([\w-]+)'/g)].map(([, type = '']) => [type, comes]),
    );
    const known = Object.entries(allMessages).map(([type, { comesOnce }]) => [
      type,
      comesOnce ? 'once' : 'again',
    ]);
    expect(rows.sort()).toEqual([...known, ['unknown', 'once']].sort());
  });
});

describe.each(types)('a message %s', (type) => {
  const { code, size, layout } = allMessages[type];
  const struct = structOf(type);

  test('has fields for everything that the facts name, and its size', () => {
    expect(Object.keys(names[type]).sort()).toEqual(Object.keys(layout).sort());
    expect(structFacts(struct, archOf(type)).size).toBe(size);
    // Bits that a field of the class takes.
    const taken = new Set<number>();
    for (const [name, field] of fieldsOf(type)) {
      expected(new Uint8Array(240), type, field, names[type][name] ?? '', ({ bit, width }) => {
        for (let i = bit; i < bit + width; i++) taken.add(i);
      });
    }
    const missing = leaves(struct, archOf(type)).filter(({ bit, width }) =>
      Array.from({ length: width }, (_, i) => bit + i).some((at) => !taken.has(at)),
    );
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  test('reads every field from where the facts have it, whatever the bytes are', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const message = withType(bytes, code);
        const { current } = new InterceptMessages(message, archOf(type));
        expect(current.type).toBe(type);
        expect(current.messageType).toBe(code);
        const payload = message.subarray(16);
        expect(fieldsFound(current, type)).toEqual(
          Object.fromEntries(
            fieldsOf(type).map(([name, field]) => [
              name,
              expected(payload, type, field, names[type][name] ?? ''),
            ]),
          ),
        );
      }),
      { seed, numRuns: 60 },
    );
  });

  test('is decoded as it was encoded, and encoded where the facts say', () => {
    fc.assert(
      fc.property(anyFields(type), (fields) => {
        const message = encodeMessage(type, fields);
        expect(message).toHaveLength(256);
        const { current } = new InterceptMessages(message, archOf(type));
        expect(current.type).toBe(type);
        expect(current.payloadSize).toBe(size);
        expect(current.truncated).toBe(false);
        expect(fieldsFound(current, type)).toEqual(asDecoded(fields));
        for (const [name, field] of fieldsOf(type)) {
          expect(expected(message.subarray(16), type, field, names[type][name] ?? '')).toEqual(
            asDecoded(fields)[name],
          );
        }
        expect(message.subarray(16 + size).every((byte) => byte === 0)).toBe(true);
      }),
      { seed, numRuns: 60 },
    );
  });

  test('keeps its fields in a snapshot', () => {
    fc.assert(
      fc.property(anyFields(type), (fields) => {
        const message = encodeMessage(type, fields);
        const messages = new InterceptMessages(message, archOf(type));
        const snapshot = messages.current.snapshot();
        expect(snapshot).toBeInstanceOf(messages.current.constructor);
        message.fill(0xa5);
        expect(snapshot.type).toBe(type);
        expect(fieldsFound(snapshot, type)).toEqual(asDecoded(fields));
        expect(fieldsFound(snapshot.snapshot(), type)).toEqual(asDecoded(fields));
      }),
      { seed, numRuns: 10 },
    );
  });

  test('is all 0 where no field is given', () => {
    const message = encodeMessage(type);
    expect(message.subarray(16).every((byte) => byte === 0)).toBe(true);
  });
});
