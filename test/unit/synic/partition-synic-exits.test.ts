import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { hypercalls } from '../../../lib/abi/hypercalls.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import { hvStatusCodes, type RetargetInterruptRequest } from '../../../lib/index.js';
import {
  postMessage,
  signalEvent,
  retarget,
  hypercallMessage,
  postMessageInput,
  retargetInput,
  signalEventInput,
  SmallMemory,
  type HypercallInput,
} from '../../guest-hypercall.js';
import { vpOf } from '../../vp-of.js';
import { create, errors, fake, host, memory, ports, setUp, synic, vp } from '../synic-on-host.js';

const payload = Uint8Array.of(1, 2, 3);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('on a host', () => {
  beforeEach(setUp);

  describe('handleExit()', () => {
    let flags: number[];

    beforeEach(() => {
      flags = [];
      ports.addEventPort(3, 0, { handleEvent: (flag) => flags.push(flag) });
    });

    const signal = (flag: number, others: Partial<HypercallInput> = {}): Uint8Array =>
      hypercallMessage({
        code: signalEvent,
        fast: true,
        input: signalEventInput(3, flag),
        ...others,
      });

    /** Lets the VP stop with a message, and has the SynIC handle that. */
    function handle(message: Uint8Array): boolean {
      fake.queue(message);
      const exit = vp.run();
      if (exit === undefined) throw new Error('the VP was canceled');
      host.native.record();
      return synic.handleExit(vp, exit);
    }

    /** The registers that were written by hypercall, by name. */
    function written(): Record<string, bigint> {
      const calls = host.native.calls.filter(({ name }) => name === 'hypercall');
      return Object.fromEntries<bigint>(
        calls.flatMap(({ args }) => {
          const input = args[3] as Uint8Array;
          expect(args[1]).toBe(hypercalls.HVCALL_SET_VP_REGISTERS.code);
          const view = new DataView(input.buffer, input.byteOffset, input.length);
          return Array.from({ length: Number(args[2]) }, (_, rep) => {
            const register = view.getUint32(16 + 32 * rep, true);
            const found = Object.entries(x64Registers).find(([, number]) => number === register);
            return [found?.[0] ?? register, view.getBigUint64(32 + 32 * rep, true)] as const;
          });
        }),
      );
    }

    /** A message with other fields of the header. */
    function withHeader(
      message: Uint8Array,
      { rip = 0x1000n, length = 3, csAttributes = 0 },
    ): Uint8Array {
      const header = new DataView(message.buffer, message.byteOffset + 16);
      header.setUint8(4, length);
      header.setUint16(22, csAttributes, true);
      header.setBigUint64(24, rip, true);
      return message;
    }
    const longCode = 1 << 13;

    it('gives the guest the status in RAX, behind the instruction', () => {
      expect(handle(signal(5))).toBe(true);
      expect(flags).toEqual([5]);
      expect(written()).toEqual({ RAX: 0n, RIP: 0x1003n });
      expect(handle(signal(5, { input: signalEventInput(4, 5) }))).toBe(true);
      expect(written()).toEqual({
        RAX: BigInt(hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID),
        RIP: 0x1003n,
      });
    });

    it('gives a 32-bit guest the status in EDX:EAX', () => {
      expect(handle(signal(5, { bits: 32 }))).toBe(true);
      expect(flags).toEqual([5]);
      expect(written()).toEqual({ RAX: 0n, RDX: 0n, RIP: 0x1003n });
    });

    it.each([64, 32] as const)('says how many reps are done: %i bits', (bits) => {
      synic.hypercalls.add({
        code: 0x1234,
        name: 'HvMine',
        inputSize: 0,
        repInputSize: 0,
        handle: (call) => {
          call.repsCompleted = 2;
          return 0x79;
        },
      });
      expect(handle(hypercallMessage({ code: 0x1234, fast: true, repCount: 5, bits }))).toBe(true);
      expect(written()).toEqual({
        ...(bits === 64 ? { RAX: (2n << 32n) | 0x79n } : { RAX: 0x79n, RDX: 2n }),
        RIP: 0x1003n,
      });
    });

    it.each([
      ['64-bit code', 64, longCode, 2n ** 64n - 2n, 1n],
      ['64-bit code above 4 GiB', 64, longCode, 0xffff_fffen, 0x1_0000_0001n],
      ['compatibility mode', 64, 0, 0xffff_fffen, 1n],
      ['a 32-bit guest', 32, 0, 0xffff_fffen, 1n],
    ] as const)('moves RIP on as an instruction of %s does', (_, bits, csAttributes, rip, next) => {
      handle(withHeader(signal(5, { bits }), { rip, csAttributes }));
      expect(written()['RIP']).toBe(next);
      // Compatibility mode is long mode: the 64-bit convention.
      expect('RDX' in written()).toBe(bits === 32);
      expect(flags).toEqual([5]);
    });

    it.each([
      [0, 0x1003n],
      [4, 0x1004n],
    ])('moves RIP by what the hypervisor says, or 3: %i', (length, next) => {
      handle(withHeader(signal(5), { length }));
      expect(written()['RIP']).toBe(next);
    });

    it('writes the register page where it is valid', () => {
      fake.pages[0]?.set([1], registerPageLayout.isValid);
      expect(handle(signal(5))).toBe(true);
      expect(host.native.count('hypercall')).toBe(0);
      expect([vp.registerPage?.rip, vp.registerPage?.get('RAX')]).toEqual([0x1003n, 0n]);
    });

    it('reads slow input from what is mapped', () => {
      const messages: unknown[][] = [];
      ports.addMessagePort(2, 0, {
        handleMessage: (message, secure, type) => messages.push([[...message], secure, type]),
      });
      memory.write(0x1800, postMessageInput(2, payload, { type: 9 }));
      handle(hypercallMessage({ code: postMessage, input: 0x1_0800n, bits: 64 }));
      expect(messages).toEqual([[[1, 2, 3], false, 9]]);
      expect(written()['RAX']).toBe(0n);
      handle(hypercallMessage({ code: postMessage, input: 0x2_0800n, bits: 64 }));
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_INVALID_ALIGNMENT));
      expect(messages).toHaveLength(1);
    });

    it('reads slow input from the memory that it was given', () => {
      const other = new SmallMemory();
      synic[Symbol.dispose]();
      create({ memory: other });
      ports.addEventPort(3, 0, { handleEvent: (flag) => flags.push(flag) });
      other.bytes.set(signalEventInput(3, 9), 0x800);
      handle(hypercallMessage({ code: signalEvent, input: 0x800n, bits: 64 }));
      expect([flags, other.reads]).toEqual([[9], 1]);
    });

    it('gives the VTL of the caller', () => {
      ports.addEventPort(4, 2, { handleEvent: (flag) => flags.push(flag) });
      const input = signalEventInput(4, 1);
      handle(signal(1, { input, vtl: 1 }));
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_OPERATION_DENIED));
      handle(signal(1, { input, vtl: 2 }));
      expect([written()['RAX'], flags]).toEqual([0n, [1]]);
    });

    it('has devices’ interrupts retargeted by the handler', () => {
      const requests: RetargetInterruptRequest[] = [];
      synic[Symbol.dispose]();
      create({
        retargetDeviceInterrupt: (request) => {
          requests.push(request);
          return hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID;
        },
      });
      handle(
        hypercallMessage({
          code: retarget,
          fast: true,
          input: retargetInput({ maskOrFormat: 0b1010n }),
        }),
      );
      expect(requests).toMatchObject([{ vector: 0x51, processors: [1, 3] }]);
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID));
    });

    it('reports a handler that throws; the guest gets a status and goes on', async () => {
      const cause = new Error('no');
      ports.addEventPort(4, 0, {
        handleEvent: () => {
          throw cause;
        },
      });
      fake.queue(
        signal(1, { input: signalEventInput(4, 1) }),
        signal(2),
        encodeMessage('halt', { vpIndex: 0 }),
      );
      const statuses: (bigint | undefined)[] = [];
      const run = vp.start((exit) => {
        host.native.record();
        if (!synic.handleExit(vp, exit)) return 'stop';
        statuses.push(written()['RAX']);
        return undefined;
      });
      expect(await run.finished).toBe('stopped');
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
      expect(statuses).toEqual([BigInt(hvStatusCodes.HV_STATUS_OPERATION_FAILED), 0n]);
      expect(flags).toEqual([2]);
    });

    it('reports a hypercall of the VMM’s that throws', () => {
      const cause = new Error('no');
      const throwing = (): never => {
        throw cause;
      };
      synic.hypercalls.add({ code: 0x1234, name: 'HvMine', inputSize: 0, handle: throwing });
      expect(handle(hypercallMessage({ code: 0x1234, fast: true }))).toBe(true);
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER', cause }]);
      expect(written()['RAX']).toBe(BigInt(hvStatusCodes.HV_STATUS_OPERATION_FAILED));
    });

    it('completes the hypercall of a handler that stops the run: it is not made again', async () => {
      ports.addEventPort(4, 0, {
        handleEvent: (flag) => {
          flags.push(flag);
          run.stop();
        },
      });
      fake.queue(signal(1, { input: signalEventInput(4, 1) }), signal(2));
      const run = vp.start((exit) => {
        host.native.record();
        expect(synic.handleExit(vp, exit)).toBe(true);
      });
      expect(await run.finished).toBe('stopped');
      expect(written()).toEqual({ RAX: 0n, RIP: 0x1003n });
      expect([errors, flags]).toEqual([[], [1]]);
    });

    it.each<[string, () => void]>([
      [
        'the VP',
        () => {
          vp.close();
        },
      ],
      [
        'the partition',
        () => {
          host.partition.close();
        },
      ],
    ])('completes nothing where a handler closes %s', async (_, close) => {
      ports.addEventPort(4, 0, { handleEvent: close });
      fake.queue(signal(1, { input: signalEventInput(4, 1) }), signal(2));
      const run = vp.start((exit) => {
        host.native.record();
        expect(synic.handleExit(vp, exit)).toBe(true);
      });
      expect(await run.finished).toBe('closed');
      await nextTurn();
      expect(host.native.count('hypercall')).toBe(0);
      expect([errors, flags]).toEqual([[], []]);
    });

    it('refuses an exit that the VP did not stop with before anything is dispatched', () => {
      fake.queue(signal(1), signal(2), signal(3));
      const first = vp.run()?.snapshot();
      if (first === undefined) throw new Error('no exit');
      expect(synic.handleExit(vp, first)).toBe(true);
      const stale = (): unknown => synic.handleExit(vp, first);
      expect(stale).toThrow(code('ERR_MSHV_STALE_EXIT'));
      vp.run();
      expect(stale).toThrow(code('ERR_MSHV_STALE_EXIT'));
      const other = vpOf(host.partition, 1);
      expect(() => synic.handleExit(other, first)).toThrow(code('ERR_MSHV_STALE_EXIT'));
      vp.close();
      expect(stale).toThrow(code('ERR_MSHV_CLOSED'));
      expect(flags).toEqual([1]);
    });

    it('throws what the completion is refused with, and can be tried again', () => {
      fake.queue(signal(1));
      const exit = vp.run();
      if (exit === undefined) throw new Error('no exit');
      host.native.hypervisor = () => ({ status: hvStatusCodes.HV_STATUS_INVALID_VP_STATE });
      expect(() => synic.handleExit(vp, exit)).toThrow(
        expect.objectContaining({ hypercall: 'HVCALL_SET_VP_REGISTERS' }),
      );
      host.native.hypervisor = () => undefined;
      expect(synic.handleExit(vp, exit)).toBe(true);
      // The guest's hypercall is made anew each time.
      expect(flags).toEqual([1, 1]);
    });

    it('delivers to the SINTs that are free, of the VTL and the VP that the exit names', () => {
      const posts = (): number =>
        host.native.calls.filter(
          ({ args }) => args[1] === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code,
        ).length;
      host.native.hypervisor = ({ code: called }) =>
        called === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code
          ? { status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE }
          : undefined;
      synic.attachVp(1);
      void synic.postMessage(1, 1, 2, 1, payload);
      void synic.postMessage(1, 1, 3, 1, payload);
      host.native.hypervisor = () => undefined;
      const free = { vpIndex: 1, vtl: 1, deliverableSints: 1 << 2 };
      expect(handle(encodeMessage('sint-deliverable', { ...free, vpIndex: 2 }))).toBe(true);
      expect(handle(encodeMessage('sint-deliverable', { ...free, vtl: 0 }))).toBe(true);
      expect([posts(), synic.messages.size]).toEqual([0, 2]);
      expect(handle(encodeMessage('sint-deliverable', free))).toBe(true);
      expect([posts(), synic.messages.size]).toEqual([1, 1]);
    });

    it.each(['halt', 'io-port', 'msr', 'apic-eoi', 'sint-intercept'] as const)(
      'leaves a %s alone',
      (kind) => {
        expect(handle(encodeMessage(kind, {}))).toBe(false);
        expect(host.native.calls).toEqual([]);
      },
    );

    it('leaves a message that nobody knows alone', () => {
      const message = encodeMessage('halt', {});
      new DataView(message.buffer, message.byteOffset).setUint32(0, 0x8000_ffff, true);
      expect(handle(message)).toBe(false);
    });
  });
});
