import fc from 'fast-check';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { encodeMessage, type EncodableType } from '../../../lib/sim/encode-message.js';
import { InterceptMessages, type Intercept } from '../../../lib/abi/intercepts.js';
import { messageTypes } from '../../../lib/abi/message-types.js';
import type { MessageJson } from '../../../lib/abi/messages/message.js';
import { commonMessages, x64Messages } from '../../../lib/abi/messages/table.js';
import { constantsOf, facts } from './facts.js';

const seed = 20261121;
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** The message of a type, decoded. */
function decoded<Type extends EncodableType>(
  type: Type,
  fields: Parameters<typeof encodeMessage<Type>>[1],
): Extract<Intercept, { type: Type }> {
  const architecture = type.startsWith('arm64-') ? 'arm64' : 'x64';
  const { current } = new InterceptMessages(encodeMessage(type, fields), architecture);
  const is = (message: Intercept): message is Extract<Intercept, { type: Type }> =>
    message.type === type;
  if (!is(current)) throw new Error(`${type} became ${current.type}`);
  return current;
}

describe('InterceptMessages', () => {
  test('has one view for each type, and hands out the same again', () => {
    const bytes = new Uint8Array(256);
    const messages = new InterceptMessages(bytes, 'x64');
    const first = new Map<EncodableType, Intercept>();
    const types = Object.keys({ ...commonMessages, ...x64Messages }) as EncodableType[];
    for (const round of [1, 2]) {
      for (const type of types) {
        bytes.set(encodeMessage(type));
        const { current } = messages;
        if (round === 1) first.set(type, current);
        expect(current.type).toBe(type);
        expect(current).toBe(first.get(type));
      }
    }
    expect(new Set(first.values()).size).toBe(types.length);
  });

  test('looks at the part of a larger buffer that it was given', () => {
    const page = new Uint8Array(4096).fill(0xff);
    page.set(encodeMessage('halt', { vpIndex: 3, rip: 0x1000n }), 512);
    const { current } = new InterceptMessages(page.subarray(512, 768), 'x64');
    expect(current).toMatchObject({ type: 'halt', vpIndex: 3, rip: 0x1000n });
    page.fill(0);
    expect(current).toMatchObject({ vpIndex: 0, rip: 0n });
  });

  test('takes memory that threads share, and Buffers, of which snapshots are copies', () => {
    const message = encodeMessage('msr', { msr: 0x40000000, rax: 5n });
    const shared = new Uint8Array(new SharedArrayBuffer(256));
    for (const bytes of [shared, Buffer.alloc(256)]) {
      bytes.set(message);
      const snapshot = new InterceptMessages(bytes, 'x64').current.snapshot();
      bytes.fill(0);
      expect(snapshot).toMatchObject({ type: 'msr', msr: 0x40000000, rax: 5n });
    }
  });

  test('takes 256 bytes and nothing else', () => {
    const make = (bytes: unknown) => () => new InterceptMessages(bytes as Uint8Array);
    for (const bytes of [undefined, null, 256, 'x', [], {}, new ArrayBuffer(256)]) {
      expect(make(bytes)).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
      );
    }
    for (const size of [0, 16, 255, 257, 4096]) {
      expect(make(new Uint8Array(size))).toThrow(
        expect.objectContaining({
          name: 'RangeError',
          code: 'ERR_OUT_OF_RANGE',
          message: `The "message" argument must be 256 bytes, received ${size} bytes`,
        }),
      );
    }
  });

  test('decodes what is of this process where no architecture is named', () => {
    const type = process.arch === 'arm64' ? 'arm64-unmapped-gpa' : 'unmapped-gpa';
    expect(new InterceptMessages(encodeMessage(type)).current.type).toBe(type);
  });

  test('tells the same code apart by architecture', () => {
    const bytes = encodeMessage('arm64-gpa-intercept', { pc: 0x4000n, gpa: 0x9000n });
    expect(new InterceptMessages(bytes, 'arm64').current).toMatchObject({
      type: 'arm64-gpa-intercept',
      pc: 0x4000n,
      gpa: 0x9000n,
    });
    expect(new InterceptMessages(bytes, 'x64').current.type).toBe('gpa-intercept');
    const reset = encodeMessage('arm64-reset', { resetType: 'reboot' });
    expect(new InterceptMessages(reset, 'x64').current).toMatchObject({
      type: 'unknown',
      messageTypeName: 'ARM64_RESET_INTERCEPT',
    });
  });

  test('allows a switch over all types', () => {
    // That this compiles is the test: no member of the union is left over.
    const register = (message: Intercept): bigint | number | Uint8Array | undefined => {
      switch (message.type) {
        case 'io-port':
        case 'msr':
        case 'cpuid':
        case 'hypercall':
          return message.rax;
        case 'unmapped-gpa':
        case 'gpa-intercept':
        case 'unaccepted-gpa':
        case 'arm64-unmapped-gpa':
        case 'arm64-gpa-intercept':
        case 'arm64-unaccepted-gpa':
          return message.gpa;
        case 'exception':
        case 'sipi':
        case 'apic-eoi':
          return message.vector;
        case 'halt':
        case 'unrecoverable-exception':
        case 'sint-deliverable':
        case 'interruption-deliverable':
        case 'sev-vmgexit':
          return message.rip;
        case 'gpa-attribute':
        case 'invalid-vp-register-value':
        case 'unsupported-feature':
        case 'opaque':
          return message.vpIndex;
        case 'sint-intercept':
          return message.sint;
        case 'timer-expired':
          return message.timerIndex;
        case 'async-call-completion':
          return message.status;
        case 'scheduler-vp-signal-bitset':
        case 'scheduler-vp-signal-pair':
          return message.overflowCount;
        case 'arm64-hypercall':
          return message.control;
        case 'arm64-sint-deliverable':
          return message.pc;
        case 'arm64-reset':
          return message.resetCode;
        case 'unknown':
          return message.payload;
        default:
          return message satisfies never;
      }
    };
    expect(register(decoded('cpuid', { rax: 1 }))).toBe(1n);
  });
});

describe('a message of no known layout', () => {
  test('is delivered raw, whatever its type', () => {
    const known = new Set(
      Object.values({ ...commonMessages, ...x64Messages }).map(({ code }): number => code),
    );
    const other = fc.oneof(u32, fc.constantFrom(...Object.values(messageTypes)));
    const payload = fc.uint8Array({ minLength: 240, maxLength: 240 });
    const size = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(
        other.filter((code) => !known.has(code)),
        payload,
        size,
        (code, payload, size) => {
          const bytes = new Uint8Array(256);
          bytes.set(payload, 16);
          bytes[4] = size;
          new DataView(bytes.buffer).setUint32(0, code, true);
          const { current } = new InterceptMessages(bytes, 'x64');
          expect(current).toMatchObject({ type: 'unknown', messageType: code, truncated: false });
          const snapshot = current.snapshot();
          bytes.fill(0);
          expect(snapshot.messageType).toBe(code);
          expect(snapshot.payload).toEqual(payload.subarray(0, Math.min(size, 240)));
        },
      ),
      { seed },
    );
  });

  test('has a name where its type has one', () => {
    const bytes = new Uint8Array(256);
    new DataView(bytes.buffer).setUint32(0, 0x8001000a, true);
    expect(new InterceptMessages(bytes, 'x64').current.messageTypeName).toBe('X64_RDTSC_INTERCEPT');
    new DataView(bytes.buffer).setUint32(0, 0x90000000, true);
    expect(new InterceptMessages(bytes, 'x64').current.messageTypeName).toBeUndefined();
  });
});

describe('a message that lies', () => {
  test.each([
    ['io-port', 16],
    ['exception', 16],
    ['unmapped-gpa', 16],
    ['arm64-unmapped-gpa', 4],
  ] as const)('about the number of instruction bytes has none: %s', (type, most) => {
    const instructionBytes = Uint8Array.from({ length: most }, (_, i) => 0xa0 + i);
    const architecture = type === 'arm64-unmapped-gpa' ? 'arm64' : 'x64';
    for (const count of [0, 1, most - 1, most, most + 1, 0x80, 0xff]) {
      const message = encodeMessage(type, { instructionBytes, instructionByteCount: count });
      const { current } = new InterceptMessages(message, architecture);
      if (!('instructionBytes' in current)) throw new Error(`${current.type} has no instruction`);
      expect(current.instructionBytes).toEqual(
        instructionBytes.subarray(0, count > most ? 0 : count),
      );
      expect(current.instructionByteCount).toBe(count);
    }
  });

  test.each(['unmapped-gpa', 'gpa-intercept', 'unaccepted-gpa'] as const)(
    'about where in its page an access is has it from the virtual address: %s',
    (x64) => {
      for (const type of [x64, `arm64-${x64}`] as const) {
        const known = { gvaValid: true, gvaGpaValid: true };
        for (const [fields, gpa] of [
          [{ ...known, gva: 0xffff800000001014n, gpa: 0xe0000000n }, 0xe0000014n],
          [{ ...known, gva: 0x1014n, gpa: 0n }, 0x14n],
          [{ ...known, gva: 0x5000n, gpa: 0xe0000000n }, 0xe0000000n],
          [{ ...known, gva: 2n ** 64n - 1n, gpa: 2n ** 64n - 4096n }, 2n ** 64n - 1n],
          // What is exact already, or of something else.
          [{ ...known, gva: 0x1014n, gpa: 0xe0000018n }, 0xe0000018n],
          [{ gva: 0x1014n, gpa: 0xe0000000n }, 0xe0000000n],
          [{ gvaValid: true, gva: 0x1014n, gpa: 0xe0000000n }, 0xe0000000n],
          [{ gvaGpaValid: true, gva: 0x1014n, gpa: 0xe0000000n }, 0xe0000000n],
        ] as const) {
          const exit = decoded(type, fields);
          expect(exit).toMatchObject({ ...fields, gpa, rawGpa: fields.gpa });
          expect(exit.snapshot()).toMatchObject({ ...fields, gpa, rawGpa: fields.gpa });
        }
      }
    },
  );

  test('about the number of its elements has as many as fit', () => {
    const pairs = encodeMessage('scheduler-vp-signal-pair');
    pairs[16 + 4] = 255;
    const { current: pair } = new InterceptMessages(pairs, 'x64');
    expect(pair.type === 'scheduler-vp-signal-pair' && pair.signals).toHaveLength(19);
    const attributes = encodeMessage('gpa-attribute');
    attributes[16 + 4] = 31;
    const { current: attribute } = new InterceptMessages(attributes, 'x64');
    expect(attribute.type === 'gpa-attribute' && attribute.ranges).toHaveLength(29);
  });

  test('about its size says so, and has at most what fits', () => {
    const message = encodeMessage('io-port', { port: 0x80, rdi: 7n });
    const { current } = new InterceptMessages(message, 'x64');
    for (const [size, truncated] of [
      [0, true],
      [127, true],
      [128, false],
      [240, false],
      [241, false],
      [255, false],
    ] as const) {
      message[4] = size;
      expect(current).toMatchObject({ truncated, payloadSize: Math.min(size, 240), rdi: 7n });
      expect(current.payload).toHaveLength(Math.min(size, 240));
    }
  });
});

describe('what follows from fields', () => {
  test('isWrite is an access of 1 only', () => {
    const access = (value: 'read' | 'write' | 'execute' | number) =>
      decoded('msr', { access: value });
    expect(access('write').isWrite).toBe(true);
    for (const other of ['read', 'execute', 3, 255] as const) {
      expect(access(other)).toMatchObject({ isWrite: false, access: other });
    }
    expect(decoded('arm64-unmapped-gpa', { access: 'write' }).isWrite).toBe(true);
    expect(decoded('arm64-unmapped-gpa', { access: 'execute' }).isWrite).toBe(false);
  });

  test('is64Bit is protected mode and EFER.LMA', () => {
    for (const cr0Pe of [true, false]) {
      for (const eferLma of [true, false]) {
        expect(decoded('halt', { cr0Pe, eferLma }).is64Bit).toBe(cr0Pe && eferLma);
      }
    }
    expect(
      decoded('halt', { cpl: 3, cr0Am: true, debugActive: true, interruptionPending: true })
        .is64Bit,
    ).toBe(false);
  });

  test('executionState has the bits of its fields', () => {
    const { executionState } = decoded('halt', { cpl: 3, eferLma: true, vtl: 2 });
    expect(executionState).toBe(3 | (1 << 4) | (2 << 7));
  });

  test.each([
    [1, 0x88],
    [2, 0x7788],
    [4, 0x55667788],
  ])('the value of a %i-byte OUT is that of the register', (size, value) => {
    expect(decoded('io-port', { size, rax: 0x1122334455667788n }).value).toBe(value);
  });

  test('the value of WRMSR is EDX:EAX, whatever the upper halves are', () => {
    fc.assert(
      fc.property(u64, u64, (rax, rdx) => {
        const { value, eax, edx } = decoded('msr', { rax, rdx });
        const low = BigInt.asUintN(32, rax);
        const high = BigInt.asUintN(32, rdx);
        expect([value, BigInt(eax), BigInt(edx)]).toEqual([(high << 32n) | low, low, high]);
      }),
      { seed },
    );
  });

  test('CPUID has its leaf and default result as 32-bit numbers', () => {
    const cpuid = decoded('cpuid', {
      rax: 0xffffffff_40000000n,
      rcx: 0x1_00000002n,
      defaultRax: 0xffffffff_80000001n,
      defaultRbx: 2n,
      defaultRcx: 3n,
      defaultRdx: 4n,
    });
    expect([cpuid.leaf, cpuid.subleaf]).toEqual([0x40000000, 2]);
    expect(cpuid.defaultResult).toEqual({ eax: 0x80000001, ebx: 2, ecx: 3, edx: 4 });
  });

  describe('a hypercall', () => {
    const control = Object.fromEntries(
      constantsOf(facts.hypervisor.constants.hypercall_control, 'HV_HYPERCALL_'),
    );
    const bits = (value: bigint, mask: string, offset: string) =>
      Number((value & BigInt(control[mask] ?? 0)) >> BigInt(control[offset] ?? 0));

    test('of a 64-bit caller is in RCX, RDX and R8', () => {
      fc.assert(
        fc.property(u64, u64, u64, (rcx, rdx, r8) => {
          const call = decoded('hypercall', { rcx, rdx, r8, cr0Pe: true, eferLma: true, rax: 5n });
          expect(call).toMatchObject({ control: rcx, inputGpa: rdx, outputGpa: r8 });
          expect({
            code: call.code,
            isFast: call.isFast,
            variableHeaderSize: call.variableHeaderSize,
            isNested: call.isNested,
            repCount: call.repCount,
            repStart: call.repStart,
          }).toEqual({
            code: Number(rcx & 0xffffn),
            isFast: (rcx & BigInt(control['FAST_BIT'] ?? 0)) !== 0n,
            variableHeaderSize: bits(rcx, 'VARHEAD_MASK', 'VARHEAD_OFFSET'),
            isNested: (rcx & BigInt(control['NESTED'] ?? 0)) !== 0n,
            repCount: bits(rcx, 'REP_COMP_MASK', 'REP_COMP_OFFSET'),
            repStart: bits(rcx, 'REP_START_MASK', 'REP_START_OFFSET'),
          });
        }),
        { seed },
      );
    });

    test('of a 32-bit caller is in EDX:EAX, EBX:ECX and EDI:ESI', () => {
      fc.assert(
        fc.property(u64, u64, u64, u64, (a, b, c, d) => {
          const call = decoded('hypercall', {
            ...{ rdx: a, rax: b, rbx: c, rcx: d, rdi: b, rsi: a },
            ...{ r8: 1n, cr0Pe: true },
          });
          const pair = (high: bigint, low: bigint) =>
            (BigInt.asUintN(32, high) << 32n) | BigInt.asUintN(32, low);
          expect(call).toMatchObject({
            control: pair(a, b),
            inputGpa: pair(c, d),
            outputGpa: pair(b, a),
            code: Number(b & 0xffffn),
            repCount: Number(a & 0xfffn),
          });
        }),
        { seed },
      );
    });
  });

  test('the VPs of a sparse set are those of its banks', () => {
    const set = decoded('scheduler-vp-signal-bitset', {
      validBankMask: (1n << 0n) | (1n << 2n) | (1n << 63n),
      banks: [0b101n, 1n << 63n, 1n, 0xffffn],
    });
    expect(set.vpIndices).toEqual([0, 2, 191, 4032]);
    expect(decoded('scheduler-vp-signal-bitset', {}).vpIndices).toEqual([]);
    expect(decoded('scheduler-vp-signal-bitset', { format: 1n }).vpIndices).toBeUndefined();
    // More banks announced than a message has room for.
    const all = { validBankMask: 2n ** 64n - 1n, banks: Array.from({ length: 16 }, () => 1n) };
    expect(decoded('scheduler-vp-signal-bitset', all).vpIndices).toHaveLength(16);
  });
});

describe('inspection', () => {
  test('shows the fields, numbers in hexadecimal', () => {
    const shown = inspect(
      decoded('io-port', {
        port: 0x3f8,
        size: 1,
        access: 'write',
        rax: 0x41n,
        cs: { base: 0xffff0000n, limit: 0xffff, selector: 0xf000, attributes: 0x9b },
        instructionBytes: Uint8Array.of(0xee, 0x0f),
      }),
    );
    expect(shown).toMatch(/^IoPortIntercept \{\n {2}type: 'io-port',/);
    for (const part of [
      'port: 0x3f8,',
      'size: 0x1,',
      "access: 'write',",
      'isString: false,',
      'rax: 0x41,',
      "instructionBytes: 'ee 0f',",
    ]) {
      expect(shown).toContain(part);
    }
    expect(shown.replaceAll(/\s+/g, ' ')).toContain(
      'cs: { base: 0xffff0000, limit: 0xffff, selector: 0xf000, attributes: 0x9b }',
    );
  });

  test('shows what it can of a message without a layout', () => {
    const bytes = new Uint8Array(256).fill(0xab, 16);
    bytes.set([0x0a, 0, 0x01, 0x80, 2]);
    expect(inspect(new InterceptMessages(bytes, 'x64').current)).toBe(
      "UnknownMessage { type: 'unknown', messageType: 0x8001000a, payload: 'ab ab' }",
    );
  });

  test('goes as deep as it is asked to', () => {
    const halt = decoded('halt', {});
    expect(inspect({ exit: halt }, { depth: 0 })).toBe('{ exit: [HaltIntercept] }');
    expect(inspect({ exit: halt }, { depth: 1 })).toContain('cs: [Object]');
    expect(inspect(halt, { depth: 0 })).toContain('cs: [Object]');
    expect(inspect(halt, { depth: null })).toContain('selector: 0x0');
    expect(inspect([decoded('opaque', { vpIndex: 17 })])).toBe(
      "[ OpaqueIntercept { type: 'opaque', vpIndex: 0x11 } ]",
    );
  });
});

describe('JSON', () => {
  test('has the type and the fields, words as BigInt() reads them and bytes as Buffer does', () => {
    const exit = decoded('io-port', {
      port: 0x3f8,
      size: 1,
      access: 'write',
      rax: 2n ** 64n - 1n,
      cs: { base: 0xffff0000n, limit: 0xffff, selector: 0xf000, attributes: 0x9b },
      instructionBytes: Uint8Array.of(0xee, 0x0f),
    });
    const read = JSON.parse(JSON.stringify({ exit })) as { exit: MessageJson };
    expect(read.exit).toMatchObject({
      type: 'io-port',
      port: 0x3f8,
      access: 'write',
      isString: false,
      rax: '0xffffffffffffffff',
      cs: { base: '0xffff0000', limit: 0xffff, selector: 0xf000, attributes: 0x9b },
      instructionBytes: 'ee0f',
      instructionByteCount: 2,
    });
    expect(Object.keys(read.exit)).toEqual(['type', ...Object.keys(x64Messages['io-port'].layout)]);
  });

  test('has the words and ranges of lists, and the payload of what has no layout', () => {
    expect(
      decoded('scheduler-vp-signal-pair', { signals: [{ partitionId: 5n, vpIndex: 1 }] }).toJSON(),
    ).toEqual({
      type: 'scheduler-vp-signal-pair',
      overflowCount: 0,
      signals: [{ partitionId: '0x5', vpIndex: 1 }],
    });
    const bytes = new Uint8Array(256);
    bytes.set([0x0a, 0, 0x01, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd]);
    expect(JSON.stringify(new InterceptMessages(bytes, 'x64').current)).toBe(
      '{"type":"unknown","messageType":2147549194,"payload":"abcd"}',
    );
  });
});

describe('encodeMessage', () => {
  const encode = encodeMessage as (type: unknown, fields?: unknown) => Uint8Array;

  test.each([
    ['no-such', {}, RangeError, 'type'],
    [1, {}, TypeError, 'type'],
    [undefined, {}, TypeError, 'type'],
    ['unknown', {}, RangeError, 'type'],
    ['halt', null, TypeError, 'fields'],
    ['halt', 5, TypeError, 'fields'],
    ['halt', { port: 1 }, 'unknown', 'fields'],
    ['io-port', { value: 1 }, 'unknown', 'fields'],
    ['io-port', { port: 0x10000 }, RangeError, 'fields.port'],
    ['io-port', { port: '1' }, TypeError, 'fields.port'],
    ['io-port', { size: 8 }, RangeError, 'fields.size'],
    ['io-port', { isRep: 1 }, TypeError, 'fields.isRep'],
    ['io-port', { access: 'sideways' }, RangeError, 'fields.access'],
    ['io-port', { access: 256 }, RangeError, 'fields.access'],
    ['io-port', { access: null }, TypeError, 'fields.access'],
    ['io-port', { rax: -1n }, RangeError, 'fields.rax'],
    ['io-port', { rax: 2n ** 64n }, RangeError, 'fields.rax'],
    ['io-port', { instructionBytes: new Uint8Array(17) }, RangeError, 'fields.instructionBytes'],
    ['io-port', { instructionBytes: [1] }, TypeError, 'fields.instructionBytes'],
    ['io-port', { cs: 5 }, TypeError, 'fields.cs'],
    ['io-port', { cs: { base: 0n } }, TypeError, 'fields.cs.limit'],
    ['io-port', { cs: { base: 0n, limit: 0, selector: -1 } }, RangeError, 'fields.cs.selector'],
    ['io-port', { cs: { bass: 0n } }, 'unknown', 'fields.cs'],
    ['hypercall', { xmm: 5n }, TypeError, 'fields.xmm'],
    ['hypercall', { xmm: [2n ** 128n] }, RangeError, 'fields.xmm[0]'],
    ['hypercall', { xmm: Array(7).fill(0n) }, RangeError, 'fields.xmm'],
    ['scheduler-vp-signal-pair', { signals: [5] }, TypeError, 'fields.signals[0]'],
    [
      'scheduler-vp-signal-pair',
      { signals: [{ partitionId: 1n, vpIndex: -1 }] },
      RangeError,
      'fields.signals[0].vpIndex',
    ],
    ['scheduler-vp-signal-pair', { signals: Array(20).fill({}) }, RangeError, 'fields.signals'],
    ['gpa-attribute', { ranges: Array(30).fill({}) }, RangeError, 'fields.ranges'],
    [
      'gpa-attribute',
      { ranges: [{ page: 2n ** 52n, additionalPages: 0, large: false }] },
      RangeError,
      'fields.ranges[0].page',
    ],
    [
      'gpa-attribute',
      { ranges: [{ page: 0n, additionalPages: 2048, large: false }] },
      RangeError,
      'fields.ranges[0].additionalPages',
    ],
    [
      'gpa-attribute',
      { ranges: [{ page: 0n, additionalPages: 0, large: 1 }] },
      TypeError,
      'fields.ranges[0].large',
    ],
  ] as const)('refuses %s with %o', (type, fields, error, argument) => {
    expect(() => encode(type, fields)).toThrow(error === 'unknown' ? TypeError : error);
    expect(() => encode(type, fields)).toThrow(
      expect.objectContaining({
        code:
          error === 'unknown'
            ? 'ERR_INVALID_ARG_VALUE'
            : error === TypeError
              ? 'ERR_INVALID_ARG_TYPE'
              : 'ERR_OUT_OF_RANGE',
        message: expect.stringContaining(`The "${argument}" argument must be`) as string,
      }),
    );
  });

  test('takes words as safe integers, and leaves out what is undefined', () => {
    expect(encodeMessage('msr', { rax: 5, msr: 0x10 })).toEqual(
      encode('msr', { rax: 5n, msr: 0x10, rdx: undefined }),
    );
  });

  test('takes names or codes', () => {
    expect(encodeMessage('msr', { access: 'write' })).toEqual(encodeMessage('msr', { access: 1 }));
  });
});
