import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { registerPageFields, type RegisterPageName } from '../../lib/abi/register-page.js';
import { registerCode } from '../../lib/abi/registers.js';
import {
  dirtyMasks,
  SharedPartition,
  Vp,
  type Intercept,
  type RegisterInputs,
  type WritableRegisterPageName,
} from '../../lib/index.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  partition,
  partitionForEachTest,
  runInto,
  vp,
  withNewPartition,
} from './partition-for-tests.js';

// The registers of a VP are in two places: in the hypervisor, and between two runs in the register page, of which the
// hypervisor takes what is marked when the VP runs. Whoever asks gets what the next run begins with. Where the hypervisor
// leaves the page off (the lab's scripted mode does) all of this holds as well.

const guest = await guestSideForTests();

partitionForEachTest(guest, 1);

const setRegisters = hypercalls.HVCALL_SET_VP_REGISTERS.code;
const getRegisters = hypercalls.HVCALL_GET_VP_REGISTERS.code;
const invalidValue = 0x50;

/** Runs once more, so that the hypervisor has all that was written. */
function settle(): void {
  expect(runInto(encodeMessage('halt')).type).toBe('halt');
}

/** Lets the VP stop at IN from a port, with RAX and RIP as they are. */
function stopAtIn(): Extract<Intercept, { type: 'io-port' }> {
  const { RAX, RIP } = vp.getRegisters(['RAX', 'RIP']);
  const exit = runInto(
    encodeMessage('io-port', {
      access: 'read',
      size: 1,
      port: 0x60,
      instructionLength: 2,
      rax: RAX,
      rip: RIP,
      cr0Pe: true,
      eferLma: true,
      cs: { base: 0n, limit: 0xffffffff, selector: 8, attributes: 0xa09b },
    }),
  );
  if (exit.type !== 'io-port') throw new Error(exit.type);
  return exit;
}

const segment = { base: 0x10000n, limit: 0xfff, selector: 0x18, attributes: 0xc093 };

/** In the page and not, of all classes: more than a page's worth of names in no order. */
const many = {
  CR3: 0x1000n,
  R9: 9n,
  GS: segment,
  XMM0: 2n ** 127n + 1n,
  LSTAR: 0xffff_8000_0000_0000n,
  RIP: 0x1234n,
  XMM6: 6n,
  TR: { ...segment, attributes: 0x8b },
  RAX: 1n,
  RBX: 2n,
  RCX: 3n,
  RDX: 4n,
  GDTR: { base: 0x5000n, limit: 0x7f },
  RSP: 5n,
  RBP: 6n,
  RSI: 7n,
  RDI: 8n,
  R8: 2n ** 64n - 1n,
  R10: 10n,
  R11: 11n,
  R12: 12n,
  R13: 13n,
  R14: 14n,
  R15: 15n,
  RFLAGS: 0x246n,
  CS: { ...segment, attributes: 0xa09b },
  DS: { ...segment, selector: 0x20 },
  ES: { ...segment, selector: 0x28 },
  FS: { ...segment, selector: 0x30 },
  SS: { ...segment, selector: 0x38 },
  XMM5: 2n ** 64n,
  XMM15: 15n,
  KERNEL_GS_BASE: 0x77n,
  CR2: 0x2000n,
} as const;
const manyNames = Object.keys(many) as (keyof typeof many)[];

describe('registers that are set', () => {
  it('before an exit is completed stay, and the completion too', () => {
    const exit = stopAtIn();
    vp.setRegisters({ RCX: 0x1234n, RSI: 5n });
    vp.completeIoPort(exit, 0x55);
    expect(vp.getRegisters(['RCX', 'RSI', 'RAX'])).toEqual({ RCX: 0x1234n, RSI: 5n, RAX: 0x55n });
    settle();
    expect(vp.getRegisters(['RCX', 'RSI', 'RAX'])).toEqual({ RCX: 0x1234n, RSI: 5n, RAX: 0x55n });
  });

  it('after an exit was completed win', () => {
    const exit = stopAtIn();
    vp.completeIoPort(exit, 0x55);
    vp.setRegisters({ RIP: 0x9000n, RAX: 1n });
    expect(vp.getRegisters(['RIP', 'RAX'])).toEqual({ RIP: 0x9000n, RAX: 1n });
    settle();
    expect(vp.getRegisters(['RIP', 'RAX'])).toEqual({ RIP: 0x9000n, RAX: 1n });
  });

  it('are read back at once and after the next run, however many, wherever they are', () => {
    settle();
    vp.setRegisters(many);
    for (const names of [manyNames, [...manyNames].reverse()]) {
      expect(vp.getRegisters(names)).toEqual(many);
    }
    settle();
    expect(vp.getRegisters(manyNames)).toEqual(many);
  });

  it('are all or nothing where they are in both places', () => {
    vp.setRegisters(many);
    settle();
    const dirty = vp.registerPage?.dirty;
    guest.refuse(setRegisters, invalidValue);
    expect(() => {
      vp.setRegisters({ RAX: 0x666n, XMM1: 1n, LSTAR: 1n, RIP: 0n });
    }).toThrow(expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }));
    expect(vp.getRegisters(manyNames)).toEqual(many);
    expect(vp.registerPage?.dirty).toBe(dirty);
    settle();
    expect(vp.getRegisters(manyNames)).toEqual(many);
  });

  it('are not read in part where the hypervisor refuses some', () => {
    vp.setRegisters(many);
    settle();
    const values = new BigUint64Array(4).fill(7n);
    guest.refuse(getRegisters, invalidValue);
    const codes = Uint32Array.from(['RAX', 'LSTAR'] as const, (name) => registerCode('', name));
    expect(() => partition.getRegisters(0, codes, values)).toThrow(
      expect.objectContaining({ hypercall: 'HVCALL_GET_VP_REGISTERS' }),
    );
    expect([...values]).toEqual([7n, 7n, 7n, 7n]);
  });

  it('may be what the page only shows, which shows them then', () => {
    vp.setRegisters({ CR0: 0x80000011n, EFER: 0xd00n });
    settle();
    vp.setRegisters({ CR0: 0x80000033n, RDX: 7n, EFER: 0x500n });
    const now = { CR0: 0x80000033n, RDX: 7n, EFER: 0x500n };
    expect(vp.getRegisters(['CR0', 'RDX', 'EFER'])).toEqual(now);
    const page = vp.registerPage;
    if (page?.valid === true) {
      expect([page.get('CR0'), page.get('RDX'), page.get('EFER')]).toEqual(Object.values(now));
      expect(page.dirty).toBe(dirtyMasks.GENERAL);
    }
    settle();
    expect(vp.getRegisters(['CR0', 'RDX', 'EFER'])).toEqual(now);
  });
});

describe('an exit that is completed', () => {
  it('is seen as completed before the VP runs on, by its VP, its partition and who has received the VP', () => {
    vp.setRegisters({ RIP: 0x1000n, RAX: 0x1200n });
    const exit = stopAtIn();
    vp.completeIoPort(exit, 0x55);
    const after = { RIP: 0x1002n, RAX: 0x1255n };
    expect(vp.getRegisters(['RIP', 'RAX'])).toEqual(after);
    const codes = Uint32Array.from(['RIP', 'RAX'] as const, (name) => registerCode('', name));
    expect([...partition.getRegisters(0, codes)]).toEqual([0x1002n, 0n, 0x1255n, 0n]);
    using received = Vp.receive(vp.share(), { native: guest.native });
    expect(received.getRegisters(['RIP', 'RAX'])).toEqual(after);
  });

  it('is not undone by what a partition or a received VP sets', () => {
    vp.setRegisters({ RIP: 0x1000n, RAX: 0x1200n });
    const exit = stopAtIn();
    using received = Vp.receive(vp.share(), { native: guest.native });
    received.setRegisters({ RBX: 0xbn });
    vp.completeIoPort(exit, 0x55);
    received.setRegisters({ RCX: 0xcn });
    const codes = Uint32Array.of(registerCode('', 'RDX'), registerCode('', 'LSTAR'));
    partition.setRegisters(0, codes, BigUint64Array.of(0xdn, 0n, 0x88n, 0n));
    const after = { RIP: 0x1002n, RAX: 0x1255n, RBX: 0xbn, RCX: 0xcn, RDX: 0xdn, LSTAR: 0x88n };
    const names = Object.keys(after) as (keyof typeof after)[];
    expect(vp.getRegisters(names)).toEqual(after);
    settle();
    expect(vp.getRegisters(names)).toEqual(after);
  });

  it('is seen by a partition without the VP when it runs on', () => {
    vp.setRegisters({ RIP: 0x1000n });
    const exit = stopAtIn();
    vp.completeIoPort(exit, 0x55);
    using shared = SharedPartition.receive(partition.share(), { native: guest.native });
    const codes = Uint32Array.of(registerCode('', 'RIP'));
    const valid = vp.registerPage?.valid === true;
    expect(shared.getRegisters(0, codes)[0]).toBe(valid ? 0x1000n : 0x1002n);
    settle();
    expect(shared.getRegisters(0, codes)[0]).toBe(0x1002n);
  });
});

describe('while the VP runs', () => {
  it('registers are the hypervisor’s, and its page is left alone', async () => {
    vp.setRegisters({ RBX: 1n });
    settle();
    vp.setRegisters({ RBX: 2n });
    const run = vp.start(() => undefined);
    // What the hypervisor has is seen once the run has begun.
    const shared = SharedPartition.receive(partition.share(), { native: guest.native });
    const codes = Uint32Array.of(registerCode('', 'RBX'));
    while (shared.getRegisters(0, codes)[0] !== 2n) await new Promise(setImmediate);
    vp.setRegisters({ RBX: 3n });
    expect(vp.getRegisters(['RBX'])).toEqual({ RBX: 3n });
    expect(shared.getRegisters(0, codes)[0]).toBe(3n);
    shared.close();
    vp.cancel();
    expect(await run.finished).toBe('canceled');
    expect(vp.getRegisters(['RBX'])).toEqual({ RBX: 3n });
    settle();
    expect(vp.getRegisters(['RBX'])).toEqual({ RBX: 3n });
  });

  it('between two exits of a handler it stands still', async () => {
    vp.setRegisters({ RIP: 0x1000n, RAX: 0n });
    guest.queueMessage(
      partition,
      0,
      encodeMessage('io-port', { access: 'read', size: 1, rip: 0x1000n, instructionLength: 2 }),
    );
    guest.queueMessage(partition, 0, encodeMessage('halt'));
    const seen: unknown[] = [];
    const run = vp.start((exit) => {
      if (exit.type === 'io-port') {
        vp.setRegisters({ RCX: 0x1234n, XMM2: 9n });
        vp.completeIoPort(exit, 0x55);
      }
      seen.push(vp.getRegisters(['RIP', 'RAX', 'RCX', 'XMM2']));
      return exit.type === 'halt' ? 'stop' : undefined;
    });
    expect(await run.finished).toBe('stopped');
    const after = { RIP: 0x1002n, RAX: 0x55n, RCX: 0x1234n, XMM2: 9n };
    expect(seen).toEqual([after, after]);
  });
});

describe('the XSAVE state', () => {
  const XMM1 = registerCode('', 'XMM1');

  /** XMM1 as the hypervisor has it. */
  const inHypervisor = (): bigint | undefined => {
    using shared = SharedPartition.receive(partition.share(), { native: guest.native });
    return shared.getRegisters(0, Uint32Array.of(XMM1))[0];
  };

  it('is read with the registers of the page in it', () => {
    settle();
    vp.setRegisters({ XMM1: 0x11n, RBX: 1n });
    vp.getState('xsave');
    expect(inHypervisor()).toBe(0x11n);
    const page = vp.registerPage;
    if (page?.valid === true) expect(page.dirty).toBe(dirtyMasks.GENERAL);
    expect(vp.getRegisters(['XMM1', 'RBX'])).toEqual({ XMM1: 0x11n, RBX: 1n });
    settle();
    expect(vp.getRegisters(['XMM1', 'RBX'])).toEqual({ XMM1: 0x11n, RBX: 1n });
  });

  it('is not overwritten by registers that were set before it', () => {
    settle();
    vp.setRegisters({ XMM1: 0x11n });
    vp.setState('xsave', vp.getState('xsave'));
    // As a hypervisor would that has taken the state: behind the page.
    using shared = SharedPartition.receive(partition.share(), { native: guest.native });
    shared.setRegisters(0, Uint32Array.of(XMM1), BigUint64Array.of(0x22n, 0n));
    vp.setRegisters({ RBX: 1n });
    settle();
    expect(vp.getRegisters(['XMM1'])).toEqual({ XMM1: 0x22n });
  });

  it('is shown by the page when it is set', () => {
    settle();
    using shared = SharedPartition.receive(partition.share(), { native: guest.native });
    const state = vp.getState('xsave');
    shared.setRegisters(0, Uint32Array.of(XMM1), BigUint64Array.of(0x33n, 0n));
    vp.setState('xsave', state);
    expect(vp.getRegisters(['XMM1'])).toEqual({ XMM1: 0x33n });
    // Which takes all of the class.
    vp.setRegisters({ XMM0: 1n });
    settle();
    expect(vp.getRegisters(['XMM0', 'XMM1'])).toEqual({ XMM0: 1n, XMM1: 0x33n });
  });

  it('leaves the page as it was where the hypervisor refuses', () => {
    settle();
    vp.setRegisters({ XMM1: 0x11n });
    if (vp.registerPage?.valid !== true) return;
    for (const use of [
      () => vp.getState('xsave'),
      () => {
        vp.setState('xsave', vp.getState('xsave'));
      },
    ]) {
      guest.refuse(setRegisters, invalidValue);
      expect(use).toThrow(expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }));
      expect(vp.registerPage.dirty).toBe(dirtyMasks.XMM);
      expect(vp.getRegisters(['XMM1'])).toEqual({ XMM1: 0x11n });
    }
  });
});

describe('in any order', () => {
  type Name = keyof typeof many;
  const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const valueOf = (name: Name): fc.Arbitrary<RegisterInputs[Name]> => {
    const example = many[name];
    if (name === 'RFLAGS') return word.map((value) => value | 2n);
    if (typeof example === 'bigint') return word;
    return word.map((base) => ({ ...example, base }));
  };
  const values = fc
    .subarray(manyNames, { minLength: 1 })
    .chain((names) =>
      fc.record(Object.fromEntries(names.map((name) => [name, valueOf(name)]))),
    ) as fc.Arbitrary<RegisterInputs>;
  const pageNames = manyNames.filter(
    (name): name is Name & WritableRegisterPageName =>
      (registerPageFields as Partial<Record<string, { dirty: number }>>)[name]?.dirty !==
        undefined && registerPageFields[name as RegisterPageName].dirty !== 0,
  );

  type Step =
    | { do: 'set' | 'received' | 'partition' | 'page'; values: RegisterInputs }
    | { do: 'refused'; values: RegisterInputs }
    | { do: 'stop' | 'complete' | 'skip' | 'cancel' | 'state' };
  const steps: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      do: fc.constantFrom(
        'set' as const,
        'received' as const,
        'partition' as const,
        'page' as const,
      ),
      values,
    }),
    fc.record({ do: fc.constant('refused' as const), values }),
    fc.record({
      do: fc.constantFrom(...(['stop', 'stop', 'complete', 'skip', 'cancel', 'state'] as const)),
    }),
  );

  /** Does something, and says what the registers are then. */
  function step(model: Map<Name, unknown>, received: Vp, next: Step, exit: Intercept | undefined) {
    const put = (changed: RegisterInputs): void => {
      for (const [name, value] of Object.entries(changed)) model.set(name as Name, value);
    };
    switch (next.do) {
      case 'set':
        vp.setRegisters(next.values);
        put(next.values);
        return exit;
      case 'received':
        received.setRegisters(next.values);
        put(next.values);
        return exit;
      case 'partition': {
        // Words only.
        const words = Object.entries(next.values).filter(
          (entry): entry is [Name, bigint] => typeof entry[1] === 'bigint',
        );
        const codes = Uint32Array.from(words, ([name]) => registerCode('', name));
        partition.setRegisters(
          0,
          codes,
          BigUint64Array.from(words.flatMap(([, word]) => [word, 0n])),
        );
        put(Object.fromEntries(words));
        return exit;
      }
      case 'page': {
        const page = vp.registerPage;
        if (page?.valid !== true) return exit;
        for (const name of pageNames) {
          const value = next.values[name];
          if (value === undefined) continue;
          page.set(name, value);
          put({ [name]: value });
        }
        return exit;
      }
      case 'refused': {
        const outside = Object.keys(next.values).some(
          (name) => !(pageNames as readonly string[]).includes(name),
        );
        // The page takes anything.
        if (!outside && vp.registerPage?.valid === true) return exit;
        guest.refuse(setRegisters, invalidValue);
        expect(() => {
          vp.setRegisters(next.values);
        }).toThrow(expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }));
        return exit;
      }
      case 'stop':
        return stopAtIn();
      case 'complete':
      case 'skip': {
        if (exit?.type !== 'io-port') return exit;
        if (next.do === 'skip') vp.skipInstruction(exit);
        else vp.completeIoPort(exit, 0xa5);
        if (next.do === 'complete') model.set('RAX', (exit.rax & ~0xffn) | 0xa5n);
        model.set('RIP', BigInt.asUintN(64, exit.rip + 2n));
        return undefined;
      }
      case 'cancel':
        vp.cancel();
        expect(vp.run()).toBeUndefined();
        return undefined;
      case 'state':
        vp.setState('xsave', vp.getState('xsave'));
        return exit;
    }
  }

  it('registers are what was set last, whoever asks', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 24, size: 'max' }), (sequence) => {
        withNewPartition(1, () => {
          using received = Vp.receive(vp.share(), { native: guest.native });
          vp.setRegisters(many);
          const model = new Map<Name, unknown>(Object.entries(many) as [Name, unknown][]);
          let exit: Intercept | undefined;
          for (const next of sequence) {
            exit = step(model, received, next, exit);
            const expected = Object.fromEntries(model);
            expect(vp.getRegisters(manyNames)).toEqual(expected);
            expect(received.getRegisters(manyNames)).toEqual(expected);
          }
          settle();
          expect(vp.getRegisters(manyNames)).toEqual(Object.fromEntries(model));
        });
      }),
      { numRuns: 60, seed: 20261130 },
    );
  });
});
