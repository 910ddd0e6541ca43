import { describe, expect, it } from 'vitest';

import { encodeMessage, type MessageFields } from '../../lib/sim/encode-message.js';
import { messageLayout } from '../../lib/abi/message-types.js';
import type { Intercept } from '../../lib/index.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import { partition, partitionForEachTest, runInto, vp } from './partition-for-tests.js';

// What a VP stops with, and what completing it does to the VP: judged by its registers once it has run
// again, since the register page is taken over then.

const guest = await guestSideForTests();
partitionForEachTest(guest, 2);

const halt = encodeMessage('halt', { vpIndex: 0 });

/** Runs the VP once more, so that the hypervisor has all that was written. */
const settle = (): void => {
  expect(runInto(halt).type).toBe('halt');
};

/** The bytes that a message is delivered with: the driver copies all 256. */
const whole = (message: Uint8Array): number[] => [
  ...message,
  ...new Uint8Array(messageLayout.size - message.length),
];

describe('stop()', () => {
  // The exit is in the hypervisor then, or on its way, or somewhere between.
  const moments = Array.from({ length: 40 }, (_, i) => (i % 20) / 4);

  it.each(['sint-deliverable', 'interruption-deliverable'] as const)(
    'leaves an exit that does not come again to the next run: %s',
    async (type) => {
      const message = encodeMessage(type, { vpIndex: 0 });
      const seen: string[] = [];
      for (const milliseconds of moments) {
        guest.queueMessage(partition, 0, message);
        const stopped = vp.start(() => {
          throw new Error('a run that is stopped has no exits');
        });
        const began = performance.now();
        while (performance.now() - began < milliseconds);
        stopped.stop();
        expect(await stopped.finished).toBe('stopped');
        const run = vp.start((exit) => {
          seen.push(exit.type);
          return 'stop';
        });
        expect(await run.finished).toBe('stopped');
      }
      expect(seen).toEqual(moments.map(() => type));
      expect(runInto(halt).type).toBe('halt');
    },
  );

  it('in a handler lets its exit be completed', async () => {
    vp.setRegisters({ RIP: 0x1000 });
    guest.queueMessage(
      partition,
      0,
      encodeMessage('io-port', {
        port: 1,
        size: 1,
        access: 'write',
        rip: 0x1000,
        instructionLength: 2,
      }),
    );
    const run = vp.start((exit) => {
      run.stop();
      if (exit.type === 'io-port') vp.completeIoPort(exit);
    });
    expect(await run.finished).toBe('stopped');
    settle();
    expect(vp.getRegisters(['RIP']).RIP).toBe(0x1002n);
  });
});

describe('run()', () => {
  const raw = new Uint8Array(messageLayout.size).map((_, i) => (i * 7) & 0xff);
  raw.set([0x34, 0x12, 0x00, 0x80, 240]);
  const messages: readonly [string, Uint8Array][] = [
    ['io-port', encodeMessage('io-port', { port: 0x3f8, size: 1, rax: 0x41, access: 'write' })],
    ['msr', encodeMessage('msr', { msr: 0xc0000080, rdx: 1, rax: 2, instructionLength: 2 })],
    ['cpuid', encodeMessage('cpuid', { rax: 0x40000000, rcx: 7, defaultRax: 1 })],
    ['hypercall', encodeMessage('hypercall', { rcx: 0x5c, rdx: 0x1000, instructionLength: 3 })],
    ['unmapped-gpa', encodeMessage('unmapped-gpa', { gpa: 0xfee0_0000n, access: 'read' })],
    ['unrecoverable-exception', encodeMessage('unrecoverable-exception', { rip: 0xfff0 })],
    ['halt', halt],
    ['unknown', raw],
  ];

  it.each(messages)('returns what the hypervisor sent: %s', (type, message) => {
    const exit = runInto(message);
    expect(exit.type).toBe(type);
    expect([...exit.payload]).toEqual(
      whole(message).slice(messageLayout.payload, messageLayout.payload + (message[4] ?? 0)),
    );
    expect(exit.messageType).toBe(new DataView(message.buffer).getUint32(0, true));
  });

  it('returns messages in their order', () => {
    for (const [, message] of messages) guest.queueMessage(partition, 0, message);
    const exits = messages.map(() => vp.run());
    expect(exits.map((exit) => exit?.type)).toEqual(messages.map(([type]) => type));
  });

  it('fills the bytes of an exit again, and a snapshot stays', () => {
    const exit = runInto(encodeMessage('io-port', { port: 1, size: 1, access: 'read' }));
    const snapshot = exit.snapshot();
    const later = runInto(encodeMessage('io-port', { port: 2, size: 1, access: 'read' }));
    expect(later).toMatchObject({ port: 2 });
    expect(exit).toMatchObject({ port: 2 });
    expect(snapshot).toMatchObject({ type: 'io-port', port: 1 });
  });

  it('returns an object again, but not for the exits that follow', () => {
    const exits = Array.from({ length: 200 }, () => runInto(halt));
    expect(new Set(exits.slice(0, 64)).size).toBe(64);
    expect(new Set(exits).size).toBe(64);
  });

  it('keeps two VPs apart', () => {
    const other = vpOf(partition, 1);
    guest.queueMessage(partition, 1, encodeMessage('halt', { vpIndex: 1 }));
    guest.queueMessage(partition, 0, halt);
    const exits = [vp.run(), other.run()];
    expect(exits).toMatchObject([{ vpIndex: 0 }, { vpIndex: 1 }]);
    expect(exits[0]).not.toBe(exits[1]);
  });

  it('leaves the exit in the intercept page', () => {
    const page = vp.interceptPage;
    for (const [type, message] of messages) {
      runInto(message);
      expect(page?.current.type).toBe(type);
      expect([...(page?.current.payload ?? [])]).toEqual([
        ...whole(message).slice(messageLayout.payload, messageLayout.payload + (message[4] ?? 0)),
      ]);
    }
    expect(vp.interceptPage).toBe(page);
    vp.close();
    expect(() => page?.current).toThrow(TypeError);
  });
});

describe('registers', () => {
  const long = { base: 0n, limit: 0xffffffff, selector: 8, attributes: 0xa09b };
  const values = {
    RAX: 0x1122334455667788n,
    R15: 2n ** 64n - 1n,
    RIP: 0xffff800000001000n,
    RFLAGS: 2n,
    CS: long,
    GDTR: { base: 0xffff800000002000n, limit: 0x7f },
    CR3: 0x1000n,
    XMM3: (1n << 127n) | 5n,
  };

  it('are read back as they were written', () => {
    vp.setRegisters(values);
    expect(vp.getRegisters(['XMM3', 'CR3', 'GDTR', 'CS', 'RFLAGS', 'RIP', 'R15', 'RAX'])).toEqual(
      values,
    );
    expect(vp.getRegisters([])).toEqual({});
  });

  it('belong to one VP', () => {
    vp.setRegisters({ RBX: 1 });
    vpOf(partition, 1).setRegisters({ RBX: 2 });
    expect(vp.getRegisters(['RBX'])).toEqual({ RBX: 1n });
    expect(vpOf(partition, 1).getRegisters(['RBX'])).toEqual({ RBX: 2n });
  });

  it('take integers for words', () => {
    vp.setRegisters({ RCX: Number.MAX_SAFE_INTEGER, ES: { ...long, base: 4096 } });
    expect(vp.getRegisters(['RCX', 'ES'])).toEqual({
      RCX: BigInt(Number.MAX_SAFE_INTEGER),
      ES: { ...long, base: 4096n },
    });
  });
});

describe('the register page', () => {
  it('is the same object each time, and gone with the VP', () => {
    const page = vp.registerPage;
    expect(page).toBeDefined();
    expect(vp.registerPage).toBe(page);
    vp.close();
    expect(() => page?.valid).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });

  it('is taken over at the next run where it is valid, and refuses to be used where it is not', () => {
    vp.setRegisters({ RAX: 1, RBX: 2, RIP: 0x1000, RFLAGS: 2 });
    settle();
    const page = vp.registerPage;
    if (page === undefined) throw new Error('there is no register page');
    const words = new BigUint64Array(18);
    if (!page.valid) {
      // Nothing else tells so before a write would be lost.
      for (const use of [
        () => page.rip,
        () => (page.rip = 0n),
        () => page.get('RAX'),
        () => {
          page.set('RAX', 1n);
        },
        () => page.copyGeneral(words),
      ]) {
        expect(use).toThrow(expect.objectContaining({ code: 'ERR_MSHV_REGISTER_PAGE_INVALID' }));
      }
      expect(page.dirty).toBe(0);
      return;
    }
    expect(page.get('RAX')).toBe(1n);
    expect(page.rip).toBe(0x1000n);
    page.set('RAX', 0x55n);
    page.rip = 0x2000;
    page.rflags = 0x246n;
    page.set('XMM1', 2n ** 100n);
    page.set('DS', { base: 0x10n, limit: 0xfff, selector: 0x10, attributes: 0x93 });
    expect(page.copyGeneral(words)).toBe(words);
    expect([words[0], words[3], words[16], words[17]]).toEqual([0x55n, 2n, 0x2000n, 0x246n]);
    expect(page.dirty).toBe(0b11111);
    settle();
    expect(page.dirty).toBe(0);
    expect(vp.getRegisters(['RAX', 'RBX', 'RIP', 'RFLAGS', 'XMM1', 'DS'])).toEqual({
      RAX: 0x55n,
      RBX: 2n,
      RIP: 0x2000n,
      RFLAGS: 0x246n,
      XMM1: 2n ** 100n,
      DS: { base: 0x10n, limit: 0xfff, selector: 0x10, attributes: 0x93 },
    });
  });
});

describe('completion', () => {
  const before = {
    RAX: 0x1111_2222_3333_4444n,
    RBX: 0x5555_6666_7777_8888n,
    RCX: 0x9999_aaaa_bbbb_ccccn,
    RDX: 0xdddd_eeee_ffff_0000n,
    RSI: 7n,
    RIP: 0x1000n,
  };
  const names = ['RAX', 'RBX', 'RCX', 'RDX', 'RSI', 'RIP'] as const;
  const longMode = {
    cr0Pe: true,
    eferLma: true,
    cs: { base: 0n, limit: 0xffffffff, selector: 8, attributes: 0xa09b },
  };
  const header = { rip: before.RIP, instructionLength: 2, ...longMode };

  type Case = readonly [
    title: string,
    message: Uint8Array,
    complete: (exit: Intercept) => void,
    after: Partial<typeof before>,
  ];

  const io = (fields: MessageFields<'io-port'>) =>
    encodeMessage('io-port', { ...header, port: 0x60, rax: before.RAX, ...fields });
  const completeIo = (value?: number) => (exit: Intercept) => {
    if (exit.type !== 'io-port') throw new Error(exit.type);
    vp.completeIoPort(exit, value);
  };
  const msr = (access: 'read' | 'write') =>
    encodeMessage('msr', { ...header, access, msr: 0x10, rax: before.RAX, rdx: before.RDX });
  const completeMsr = (value?: bigint) => (exit: Intercept) => {
    if (exit.type !== 'msr') throw new Error(exit.type);
    vp.completeMsr(exit, value);
  };
  const hypercall = (fields: MessageFields<'hypercall'>) =>
    encodeMessage('hypercall', { ...header, instructionLength: 3, ...fields });
  const completeHypercall =
    (status: number, repsCompleted?: number) =>
    (exit: Intercept): void => {
      if (exit.type !== 'hypercall') throw new Error(exit.type);
      vp.completeHypercall(
        exit,
        repsCompleted === undefined ? { status } : { status, repsCompleted },
      );
    };
  const skip = (exit: Intercept): void => {
    if (exit.type !== 'halt') throw new Error(exit.type);
    vp.skipInstruction(exit);
  };
  const next = { RIP: 0x1002n };

  const cases: readonly Case[] = [
    [
      'IN of a byte changes AL',
      io({ access: 'read', size: 1 }),
      completeIo(0xab),
      { RAX: 0x1111_2222_3333_44abn, ...next },
    ],
    [
      'IN of a word changes AX',
      io({ access: 'read', size: 2 }),
      completeIo(0xabcd),
      { RAX: 0x1111_2222_3333_abcdn, ...next },
    ],
    [
      'IN of a doubleword changes all of RAX',
      io({ access: 'read', size: 4 }),
      completeIo(0x89abcdef),
      { RAX: 0x89abcdefn, ...next },
    ],
    ['OUT changes nothing', io({ access: 'write', size: 4 }), completeIo(), next],
    [
      'RDMSR changes EDX:EAX',
      msr('read'),
      completeMsr(0xfedcba98_87654321n),
      { RAX: 0x87654321n, RDX: 0xfedcba98n, ...next },
    ],
    ['WRMSR changes nothing', msr('write'), completeMsr(), next],
    [
      'CPUID changes four registers',
      encodeMessage('cpuid', { ...header, rax: 1n, rcx: 0n }),
      (exit) => {
        if (exit.type !== 'cpuid') throw new Error(exit.type);
        vp.completeCpuid(exit, { eax: 0xffffffff, ebx: 1, ecx: 2, edx: 3 });
      },
      { RAX: 0xffffffffn, RBX: 1n, RCX: 2n, RDX: 3n, ...next },
    ],
    [
      'a hypercall in long mode returns in RAX',
      hypercall({}),
      completeHypercall(0x12, 0xabc),
      { RAX: 0xabc_00000012n, RIP: 0x1003n },
    ],
    [
      'a hypercall in protected mode returns in EDX:EAX',
      hypercall({ eferLma: false, cs: { ...longMode.cs, attributes: 0xc09b } }),
      completeHypercall(5, 3),
      { RAX: 5n, RDX: 3n, RIP: 0x1003n },
    ],
    [
      'a simple hypercall completes no reps',
      hypercall({}),
      completeHypercall(0),
      { RAX: 0n, RIP: 0x1003n },
    ],
    [
      'skipping moves RIP',
      encodeMessage('halt', { ...header, instructionLength: 15 }),
      skip,
      { RIP: 0x100fn },
    ],
    [
      'RIP grows beyond 32 bits in 64-bit code',
      encodeMessage('halt', { ...header, rip: 0xffff_ffffn }),
      skip,
      { RIP: 0x1_0000_0001n },
    ],
    [
      'RIP wraps at 64 bits in 64-bit code',
      encodeMessage('halt', { ...header, rip: 2n ** 64n - 1n }),
      skip,
      { RIP: 1n },
    ],
    [
      'RIP wraps at 32 bits in compatibility mode',
      encodeMessage('halt', {
        ...header,
        rip: 0xffff_ffffn,
        cs: { ...longMode.cs, attributes: 0xc09b },
      }),
      skip,
      { RIP: 1n },
    ],
  ];

  it.each(cases)('%s', (_, message, complete, after) => {
    vp.setRegisters(before);
    complete(runInto(message));
    settle();
    expect(vp.getRegisters(names)).toEqual({ ...before, ...after });
  });

  it.each(cases)('%s, by a snapshot', (_, message, complete, after) => {
    vp.setRegisters(before);
    complete(runInto(message).snapshot());
    settle();
    expect(vp.getRegisters(names)).toEqual({ ...before, ...after });
  });

  it('happens once', () => {
    vp.setRegisters(before);
    const exit = runInto(io({ access: 'read', size: 1 }));
    completeIo(1)(exit);
    for (const again of [exit, exit.snapshot()]) {
      expect(() => {
        completeIo(2)(again);
      }).toThrow(expect.objectContaining({ name: 'MshvError', code: 'ERR_MSHV_STALE_EXIT' }));
    }
    settle();
    expect(vp.getRegisters(['RAX', 'RIP'])).toEqual({ RAX: 0x1111_2222_3333_4401n, ...next });
  });

  it('is refused for an exit of before, of another VP, and where the VP has not exited', () => {
    const stale = expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }) as Error;
    vp.setRegisters(before);
    const old = runInto(io({ access: 'read', size: 1, port: 1 })).snapshot();
    const view = runInto(io({ access: 'read', size: 1, port: 2 }));
    expect(() => {
      completeIo(1)(old);
    }).toThrow(stale);
    settle();
    expect(() => {
      completeIo(1)(view);
    }).toThrow(stale);
    const other = vpOf(partition, 1);
    guest.queueMessage(partition, 1, io({ access: 'read', size: 1, vpIndex: 1 }));
    const foreign = other.run();
    if (foreign?.type !== 'io-port') throw new Error('VP 1 did not stop with its message');
    const own = runInto(io({ access: 'read', size: 1 }));
    expect(() => {
      completeIo(1)(foreign);
    }).toThrow(stale);
    completeIo(1)(own);
    other.completeIoPort(foreign, 1);
    expect(vp.getRegisters(['RIP']).RIP).not.toBe(undefined);
  });

  it.each<[string, Uint8Array, (exit: Intercept) => void]>([
    ['INS', io({ access: 'read', size: 1, isString: true }), completeIo(0)],
    ['REP OUTS', io({ access: 'write', size: 1, isString: true, isRep: true }), completeIo()],
    ['an access of 3 bytes', io({ access: 'read', size: 3 }), completeIo(0)],
    [
      'an instruction of unknown length',
      encodeMessage('halt', { ...header, instructionLength: 0 }),
      skip,
    ],
  ])('is refused for %s, and changes nothing', (_, message, complete) => {
    vp.setRegisters(before);
    const exit = runInto(message);
    expect(() => {
      complete(exit);
    }).toThrow(expect.objectContaining({ name: 'MshvError', code: 'ERR_MSHV_NOT_COMPLETABLE' }));
    settle();
    expect(vp.getRegisters(names)).toEqual(before);
  });
});

describe('state', () => {
  it.each([
    ['lapic', 4096],
    ['simp', 4096],
    ['siefp', 4096],
    ['synthetic-timers', 200],
  ] as const)('%s has its %i bytes and takes them back', (type, size) => {
    const state = vp.getState(type);
    expect(state).toHaveLength(size);
    vp.setState(type, state);
    expect(vp.getState(type)).toEqual(state);
  });

  it('xsave is as long as the partition says', () => {
    const size = Number(partition.property('MAX_XSAVE_DATA_SIZE'));
    const state = vp.getState('xsave');
    expect(state).toHaveLength(size);
    vp.setState('xsave', state);
    expect(() => {
      vp.setState('xsave', new Uint8Array(size + 1));
    }).toThrow(RangeError);
  });
});
