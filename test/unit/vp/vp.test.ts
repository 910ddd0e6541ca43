import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { vpStateTypes } from '../../../lib/abi/vp-state.js';
import {
  SharedPartition,
  Vp,
  type HaltIntercept,
  type Intercept,
  type StartedRun,
} from '../../../lib/index.js';
import { failAt } from '../../fake-native.js';
import type { FakeVp } from '../../fake-vps.js';
import { openDescriptors } from '../../open-descriptors.js';
import { vpOf } from '../../vp-of.js';
import { FakeHost } from '../fake-host.js';
import { errorOf } from '../../thrown-by.js';

// What a Vp makes of each thing that the addon can return. What the driver does is in test/conformance.

const { EACCES, EAGAIN, EBUSY, ECANCELED, EFAULT, EINTR } = constants.errno;
const { EINVAL, EIO, EMFILE, ENODEV, ENOMEM, ENOTSUP, EPERM } = constants.errno;

let host: FakeHost;
let vp: Vp;
let fake: FakeVp;
let running: StartedRun | undefined;

beforeEach(() => {
  const before = openDescriptors();
  host = new FakeHost();
  vp = vpOf(host.partition, 0);
  fake = host.native.vps.of(vp.fd);
  host.native.record();
  return () => {
    host[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  };
});

const halt = encodeMessage('halt', { instructionLength: 1, rip: 0x1000 });
const code = (expected: string): unknown => expect.objectContaining({ code: expected });
const names = (): string[] => host.native.calls.map(({ name }) => name);

describe('attaching', () => {
  it('waits until something needs it', () => {
    vp.getRegisters(['RAX']);
    expect(names()).toEqual(['hypercall']);
    vp.cancel();
    vp.cancel();
    expect(names()).toEqual(['hypercall', 'vpAttach', 'vpCancel', 'vpCancel']);
  });

  it.each<[string, () => unknown]>([
    ['run()', () => vp.run()],
    ['start()', () => vp.start(() => 'stop')],
    [
      'cancel()',
      () => {
        vp.cancel();
      },
    ],
    ['getState()', () => vp.getState('lapic')],
    ['share()', () => vp.share()],
  ])('fails in %s with what the addon says, and is tried again', (_, use) => {
    host.native.record(failAt(EMFILE, 0));
    expect(errorOf(use)).toMatchObject({
      code: 'EMFILE',
      errno: -EMFILE,
      message: expect.stringContaining('cannot prepare VP 0 for running: EMFILE') as string,
    });
    expect(names()).toEqual(['vpAttach']);
    host.native.record();
    vp.cancel();
    expect(names()).toEqual(['vpAttach', 'vpCancel']);
  });
});

describe('run()', () => {
  it('runs again where it was interrupted', () => {
    fake.queue(EINTR, EINTR, halt);
    expect(vp.run()?.type).toBe('halt');
    expect(fake.runs).toBe(3);
  });

  it('returns undefined where it was canceled, once', () => {
    fake.queue(halt);
    vp.cancel();
    expect(vp.run()).toBeUndefined();
    expect(vp.run()?.type).toBe('halt');
  });

  it.each([
    [EIO, 'EIO', 'the hypervisor refused to run it'],
    [EFAULT, 'EFAULT', 'the exit, which is lost'],
    [ENOMEM, 'ENOMEM', 'MSHV_RUN_VP'],
    [EINVAL, 'EINVAL', 'MSHV_RUN_VP'],
  ])('throws errno %i, after one run', (errno, name, text) => {
    fake.queue(errno, halt);
    expect(errorOf(() => vp.run())).toMatchObject({
      name: 'MshvError',
      code: name,
      errno: -errno,
      syscall: 'ioctl',
      ioctl: 'MSHV_RUN_VP',
      message: expect.stringContaining(text) as string,
    });
    expect(fake.runs).toBe(1);
    expect(vp.run()?.type).toBe('halt');
  });

  it('throws ERR_MSHV_VP_RUNNING where another environment runs the VP', () => {
    fake.running = true;
    expect(errorOf(() => vp.run())).toMatchObject({
      code: 'ERR_MSHV_VP_RUNNING',
      message: expect.stringContaining('cannot run VP 0') as string,
    });
  });

  it('leaves nothing to complete where it did not return an exit', () => {
    fake.queue(halt, EIO);
    const exit = vp.run();
    if (exit?.type !== 'halt') throw new Error('the VP did not halt');
    expect(() => vp.run()).toThrow(code('EIO'));
    expect(() => {
      vp.skipInstruction(exit);
    }).toThrow(code('ERR_MSHV_STALE_EXIT'));
  });
});

describe('start()', () => {
  it('hands exits to the handler until it says stop', async () => {
    const exits: string[] = [];
    const run = vp.start((exit) => {
      exits.push(exit.type);
      return exits.length === 3 ? 'stop' : undefined;
    });
    expect(run.ended).toBe(false);
    fake.queue(halt, encodeMessage('msr', {}), EINTR, halt, halt);
    expect(await run.finished).toBe('stopped');
    expect(run.ended).toBe(true);
    expect(exits).toEqual(['halt', 'msr', 'halt']);
    // The VP is free again.
    expect(vp.run()?.type).toBe('halt');
  });

  it('waits for an asynchronous handler', async () => {
    const seen: string[] = [];
    const run = vp.start(async (exit) => {
      seen.push(`in ${exit.type}`);
      await nextTurn();
      await nextTurn();
      // Still this exit.
      seen.push(`out ${exit.type}`);
      return seen.length === 4 ? 'stop' : undefined;
    });
    fake.queue(halt, encodeMessage('cpuid', {}));
    expect(await run.finished).toBe('stopped');
    expect(seen).toEqual(['in halt', 'out halt', 'in cpuid', 'out cpuid']);
  });

  it('takes any thenable', async () => {
    const thenable = {
      then: (resolve: (answer: 'stop') => void): void => {
        resolve('stop');
      },
    };
    const run = vp.start(() => thenable as Promise<'stop'>);
    fake.queue(halt);
    expect(await run.finished).toBe('stopped');
  });

  it("finishes as 'canceled', after an exit that was on its way", async () => {
    const handler = vi.fn(() => {
      vp.cancel();
    });
    const run = vp.start(handler);
    fake.queue(halt, halt);
    expect(await run.finished).toBe('canceled');
    expect(handler).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['the VP', () => vp],
    ['its partition', () => host.partition],
    ['the device', () => host.device],
  ])("finishes as 'closed' with %s, wherever it is", async (_, parent) => {
    const run = vp.start(() => undefined);
    parent().close();
    expect(run.ended).toBe(true);
    expect(await run.finished).toBe('closed');
  });

  it('finishes once where the handler closes the VP', async () => {
    const handler = vi.fn((): 'stop' => {
      vp.close();
      return 'stop';
    });
    const run = vp.start(handler);
    fake.queue(halt, halt);
    expect(await run.finished).toBe('closed');
    await nextTurn();
    expect(handler).toHaveBeenCalledTimes(1);
  });

  it('calls no handler after stop(), which is harmless again and again', async () => {
    const handler = vi.fn();
    const run = vp.start(handler);
    fake.queue(halt);
    run.stop();
    run.stop();
    expect(await run.finished).toBe('stopped');
    await nextTurn();
    await nextTurn();
    expect(handler).not.toHaveBeenCalled();
    expect(run.ref()).toBe(run);
    expect(run.unref()).toBe(run);
  });

  it('does not resume what was stopped while the handler was busy', async () => {
    let answer: () => void = () => undefined;
    const handler = vi.fn(() => new Promise<void>((resolve) => (answer = resolve)));
    const run = vp.start(handler);
    fake.queue(halt, halt);
    await vi.waitUntil(() => handler.mock.calls.length === 1);
    run.stop();
    answer();
    expect(await run.finished).toBe('stopped');
    await nextTurn();
    expect(handler).toHaveBeenCalledTimes(1);
    expect(names()).not.toContain('vpResume');
  });

  const failure = new Error('of the handler');
  it.each<[string, () => 'stop' | undefined | Promise<undefined>]>([
    [
      'throws',
      () => {
        throw failure;
      },
    ],
    ['rejects', () => Promise.reject(failure)],
    [
      'rejects later',
      async () => {
        await nextTurn();
        throw failure;
      },
    ],
  ])('rejects where the handler %s, and the VP is stopped', async (_, handler) => {
    const run = vp.start(handler);
    fake.queue(halt, halt);
    await expect(run.finished).rejects.toBe(failure);
    expect(run.ended).toBe(true);
    expect(vp.run()?.type).toBe('halt');
  });

  it.each([null, true, 0, 'Stop', {}, []])(
    'rejects where the handler answers %o',
    async (answer) => {
      const run = vp.start(() => answer as unknown as undefined);
      fake.queue(halt);
      await expect(run.finished).rejects.toMatchObject({
        name: 'TypeError',
        code: 'ERR_INVALID_RETURN_VALUE',
        message: `An exit handler must return nothing or 'stop', received ${inspect(answer)}`,
      });
      const later = vp.start(() => Promise.resolve(answer as unknown as undefined));
      fake.queue(halt);
      await expect(later.finished).rejects.toMatchObject({ code: 'ERR_INVALID_RETURN_VALUE' });
    },
  );

  it('lets an error after the end be seen', async () => {
    // The test runner's own listeners would take it for a failure.
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = new Promise((resolve) => {
      process.once('uncaughtException', resolve);
    });
    const run = vp.start(() => {
      vp.close();
      throw failure;
    });
    fake.queue(halt);
    expect(await run.finished).toBe('closed');
    expect(await caught).toBe(failure);
    for (const other of others) {
      process.on('uncaughtException', other);
    }
  });

  it.each<[string, (exit: HaltIntercept) => void]>([
    [
      'that the VP is closed',
      (exit) => {
        vp.close();
        vp.skipInstruction(exit);
      },
    ],
    [
      'that the partition is closed',
      (exit) => {
        host.partition.close();
        vp.skipInstruction(exit);
      },
    ],
    [
      'that the VP has run on',
      (exit) => {
        running?.stop();
        fake.queue(halt);
        vp.run();
        vp.skipInstruction(exit);
      },
    ],
  ])('lets nobody hear after an end that was asked for, of a handler: %s', async (_, handle) => {
    const errors: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => errors.push(error));
    let handled = 0;
    for (const wait of [false, true]) {
      if (vp.closed) break;
      running = vp.start((exit) => {
        const late = (): void => {
          handled++;
          if (exit.type === 'halt') handle(exit);
        };
        if (!wait) {
          late();
          return undefined;
        }
        return nextTurn().then(late);
      });
      fake.queue(halt);
      expect(await running.finished).toMatch(/^(closed|stopped)$/);
      await nextTurn();
      await nextTurn();
    }
    expect(handled).toBeGreaterThan(0);
    expect(errors).toEqual([]);
    process.removeAllListeners('uncaughtException');
    for (const other of others) {
      process.on('uncaughtException', other);
    }
  });

  it('rejects where what the handler returns throws when it is looked at', async () => {
    const hostile = [
      {
        get then(): never {
          throw failure;
        },
      },
      {
        then: (): never => {
          throw failure;
        },
      },
    ];
    for (const answer of hostile) {
      const run = vp.start(() => answer as unknown as undefined);
      fake.queue(halt);
      await expect(run.finished).rejects.toBe(failure);
      expect(run.ended).toBe(true);
    }
  });

  it('rejects where what the handler returns cannot even be shown', async () => {
    const answer = {
      [inspect.custom]: (): never => {
        throw failure;
      },
    };
    const run = vp.start(() => answer as unknown as undefined);
    fake.queue(halt);
    await expect(run.finished).rejects.toMatchObject({ code: 'ERR_INVALID_RETURN_VALUE' });
    expect(run.ended).toBe(true);
  });

  it.each([
    [EIO, 'EIO'],
    [EFAULT, 'EFAULT'],
    [EBUSY, 'ERR_MSHV_VP_RUNNING'],
  ])('rejects where a run fails with errno %i, and does not run again', async (errno, name) => {
    const handler = vi.fn();
    const run = vp.start(handler);
    fake.queue(halt, errno, halt);
    await expect(run.finished).rejects.toMatchObject({ name: 'MshvError', code: name });
    expect(handler).toHaveBeenCalledTimes(1);
    expect(fake.runs).toBe(2);
  });

  it('rejects where the VP cannot be resumed', async () => {
    host.native.record((call) => (call === 'vpResume' ? EIO : undefined));
    const run = vp.start(() => undefined);
    fake.queue(halt);
    await expect(run.finished).rejects.toMatchObject({ code: 'EIO' });
    expect(run.ended).toBe(true);
  });

  it.each([
    [EAGAIN, { code: 'EAGAIN', syscall: 'vpStart' }],
    [EBUSY, { code: 'ERR_MSHV_VP_RUNNING' }],
  ])('throws where the thread does not start: errno %i', (errno, error) => {
    vp.cancel();
    host.native.record(failAt(errno, 0));
    expect(errorOf(() => vp.start(() => undefined))).toMatchObject(error);
    host.native.record();
    vp.start(() => undefined).stop();
  });

  it('refuses run() and another start() meanwhile, in the handler too, without asking anybody', async () => {
    const running = code('ERR_MSHV_VP_RUNNING') as Error;
    const start = (): unknown => vp.start(() => undefined);
    const run = vp.start(() => {
      expect(() => vp.run()).toThrow(running);
      expect(start).toThrow(running);
      return 'stop';
    });
    host.native.record();
    expect(() => vp.run()).toThrow(running);
    expect(start).toThrow(running);
    expect(names()).toEqual([]);
    fake.queue(halt);
    expect(await run.finished).toBe('stopped');
  });

  it('completes exits in the handler, and no longer', async () => {
    let kept: Intercept | undefined;
    const run = vp.start((exit) => {
      if (exit.type !== 'halt') return 'stop';
      kept = exit;
      vp.skipInstruction(exit);
      return undefined;
    });
    fake.queue(halt, encodeMessage('msr', {}));
    expect(await run.finished).toBe('stopped');
    expect(() => {
      if (kept?.type === 'halt') vp.skipInstruction(kept);
    }).toThrow(code('ERR_MSHV_STALE_EXIT'));
  });

  it('shows what it is', () => {
    const run = vp.start(() => undefined);
    expect(inspect(run)).toBe('StartedRun { vp: 0, ended: false }');
    run.stop();
    expect(inspect(run)).toBe('StartedRun { vp: 0, ended: true }');
  });
});

it('throws where a cancel fails', () => {
  vp.cancel();
  host.native.record(failAt(EINVAL, 0));
  expect(
    errorOf(() => {
      vp.cancel();
    }),
  ).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('cancel VP 0') as string });
});

describe('registers', () => {
  beforeEach(() => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    expect(vp.registerPage?.valid).toBe(true);
    host.native.record();
  });

  /** How many registers each hypercall had. */
  const reps = () =>
    host.native.calls.flatMap(({ name, args }) => (name === 'hypercall' ? [args[2]] : []));

  it('of a valid register page take no hypercall, and others take one', () => {
    vp.setRegisters({ RAX: 1n, RIP: 2n, XMM5: 2n ** 100n });
    const now = vp.getRegisters(['RIP', 'XMM5', 'RAX']);
    expect(now).toEqual({ RAX: 1n, RIP: 2n, XMM5: 2n ** 100n });
    expect(reps()).toEqual([]);
    vp.setRegisters({ RBX: 3n, LSTAR: 4n, RCX: 5n, XMM6: 6n });
    expect(vp.getRegisters(['CR0', 'RBX', 'LSTAR'])).toMatchObject({ RBX: 3n });
    expect(reps()).toEqual([2, 2]);
  });

  it('are the hypervisor’s while the VP runs elsewhere, and where it begins to meanwhile', () => {
    fake.running = true;
    vp.setRegisters({ RAX: 1n, LSTAR: 2n });
    vp.getRegisters(['RAX']);
    expect(reps()).toEqual([2, 1]);
    fake.running = false;
    host.native.record();
    host.native.hypervisor = () => {
      fake.running = true;
      return undefined;
    };
    vp.setRegisters({ RAX: 1n, LSTAR: 2n, RBX: 3n });
    expect(reps()).toEqual([1, 2]);
    expect(new DataView(fake.pages[0]?.buffer ?? new ArrayBuffer(8)).getUint32(4, true)).toBe(0);
  });
});

describe('completing', () => {
  const io = encodeMessage('io-port', {
    access: 'read',
    size: 1,
    rax: 0x1234,
    rip: 0x1000,
    instructionLength: 1,
  });
  const complete = (): void => {
    fake.queue(io);
    const exit = vp.run();
    if (exit?.type !== 'io-port') throw new Error('the VP did not access a port');
    host.native.record((name) => (name === refused ? ENOMEM : undefined));
    vp.completeIoPort(exit, 0xff);
  };
  let refused = '';
  beforeEach(() => {
    refused = '';
  });

  it('goes through the register page where it is valid, without a system call', () => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    expect(vp.registerPage?.valid).toBe(true);
    complete();
    expect(names()).toEqual(['vpCompleteExit']);
    expect(vp.registerPage?.get('RAX')).toBe(0x12ffn);
    expect(vp.registerPage?.rip).toBe(0x1001n);
    expect(vp.registerPage?.dirty).toBe(0b11);
  });

  it.each([
    ['is not valid', () => undefined],
    ['is missing', () => (fake.pages[0] = undefined)],
    [
      'cannot be mapped',
      () => {
        refused = 'vpCompleteExit';
      },
    ],
  ])('takes one hypercall where the register page %s', (_, prepare) => {
    prepare();
    complete();
    expect(names()).toEqual(['vpCompleteExit', 'hypercall']);
    const [, call] = host.native.calls;
    expect(call?.args.slice(0, 3)).toEqual([host.partition.fd, 0x51, 2]);
    if (fake.pages[0] !== undefined) expect(vp.registerPage?.dirty).toBe(0);
  });

  it('can be tried again where it was refused', () => {
    fake.queue(io);
    const exit = vp.run();
    if (exit?.type !== 'io-port') throw new Error('the VP did not access a port');
    host.native.hypervisor = () => ({ status: 0x0e, reps: 1 });
    expect(() => {
      vp.completeIoPort(exit, 0xff);
    }).toThrow(expect.objectContaining({ code: 'EINVAL', repsCompleted: 1 }));
    host.native.hypervisor = () => undefined;
    vp.completeIoPort(exit, 0xff);
  });
});

describe('pages', () => {
  it.each(['registerPage', 'interceptPage'] as const)('%s may be missing', (name) => {
    fake.pages[0] = undefined;
    fake.pages[1] = undefined;
    expect(vp[name]).toBeUndefined();
    host.native.record();
    expect(vp[name]).toBeUndefined();
    expect(names()).toEqual([]);
  });

  describe.each(['registerPage', 'interceptPage'] as const)('%s is missing', (name) => {
    it.each([ENODEV, EPERM, EACCES, EINVAL, ENOMEM, EAGAIN, ENOTSUP])(
      'whatever the reason: errno %i',
      (errno) => {
        vp.cancel();
        host.native.record(failAt(errno, 0));
        expect(vp[name]).toBeUndefined();
        expect(vp[name]).toBeUndefined();
        expect(names()).toEqual(['vpPage']);
      },
    );

    it('where the VP has no arbiter', () => {
      host.native.record(failAt(EPERM, 0));
      expect(vp[name]).toBeUndefined();
      expect(names()).toEqual(['vpAttach']);
      vp.cancel();
    });
  });

  it.each([ENODEV, EPERM, EINVAL, ENOMEM])(
    'exits are completed without a register page: errno %i',
    (errno) => {
      fake.queue(encodeMessage('io-port', { access: 'read', size: 1, instructionLength: 1 }));
      const exit = vp.run();
      if (exit?.type !== 'io-port') throw new Error('no exit');
      host.native.record((called) => (called === 'vpPage' ? errno : undefined));
      vp.completeIoPort(exit, 0xff);
      expect(names()).toContain('hypercall');
    },
  );

  it('refuses what does not fit RIP and RFLAGS', () => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    const page = vp.registerPage;
    if (page === undefined) throw new Error('there is no register page');
    for (const wrong of [-1, 2n ** 64n, 1.5]) {
      expect(() => (page.rip = wrong)).toThrow(RangeError);
      expect(() => (page.rflags = wrong)).toThrow(RangeError);
    }
    expect(() => (page.rip = '1' as unknown as bigint)).toThrow(TypeError);
    expect(page.dirty).toBe(0);
  });
});

describe('state', () => {
  beforeEach(() => {
    for (const [type, size] of [4096, 832, 4096, 4096, 200].entries()) {
      fake.states.set(type, new Uint8Array(size).fill(type + 1));
    }
    // MAX_XSAVE_DATA_SIZE.
    host.native.hypervisor = ({ output }) => {
      output[0] = 832 & 0xff;
      output[1] = 832 >> 8;
      return undefined;
    };
  });

  it.each(Object.entries(vpStateTypes))('%s is transferred whole', (name, type) => {
    const kind = name as keyof typeof vpStateTypes;
    const state = vp.getState(kind);
    expect(state).toEqual(fake.states.get(type));
    vp.setState(kind, state.fill(0xee));
    expect(fake.states.get(type)).toEqual(state);
  });

  it.each([
    [EBUSY, { code: 'ERR_MSHV_VP_RUNNING' }],
    [EIO, { code: 'EIO', syscall: 'ioctl' }],
  ])('is refused with errno %i', (errno, error) => {
    vp.cancel();
    host.native.record(failAt(errno, 0, 1));
    expect(errorOf(() => vp.getState('simp'))).toMatchObject({
      ...error,
      ...(errno === EIO ? { ioctl: 'MSHV_GET_VP_STATE' } : {}),
      message: expect.stringContaining('cannot get the simp state of VP 0') as string,
    });
    expect(
      errorOf(() => {
        vp.setState('simp', new Uint8Array(4096));
      }),
    ).toMatchObject({
      ...error,
      ...(errno === EIO ? { ioctl: 'MSHV_SET_VP_STATE' } : {}),
      message: expect.stringContaining('cannot set the simp state of VP 0') as string,
    });
  });

  it('is refused where the driver wants another size than it says', () => {
    fake.states.set(vpStateTypes.xsave, new Uint8Array(1000));
    expect(errorOf(() => vp.getState('xsave'))).toMatchObject({
      code: 'ERR_MSHV_STATE_SIZE',
      message: expect.stringContaining('the driver wants 1000 bytes for it, not 832') as string,
    });
    expect(
      errorOf(() => {
        vp.setState('xsave', new Uint8Array(832));
      }),
    ).toMatchObject({ code: 'ERR_MSHV_STATE_SIZE' });
  });

  it('is cut where the driver has less', () => {
    fake.states.set(vpStateTypes.lapic, new Uint8Array(100).fill(9));
    expect(vp.getState('lapic')).toEqual(new Uint8Array(100).fill(9));
  });
});

describe('sharing', () => {
  const options = (): { native: typeof host.native } => ({ native: host.native });

  it('gives the same VP to another object, with a partition of its own', () => {
    const received = Vp.receive(vp.share(), options());
    expect(received.index).toBe(0);
    expect(received.fd).not.toBe(vp.fd);
    expect(host.native.vps.of(received.fd)).toBe(fake);
    expect(received.partition).toBeInstanceOf(SharedPartition);
    expect(received.partition.fd).not.toBe(host.partition.fd);
    fake.queue(halt);
    vp.cancel();
    expect(received.run()).toBeUndefined();
    expect(received.run()?.type).toBe('halt');
    const again = Vp.receive(received.share(), options());
    received.close();
    received.close();
    expect(() => received.partition.fd).toThrow(code('ERR_MSHV_CLOSED'));
    expect(vp.closed).toBe(false);
    again.close();
  });

  it('can be taken back, once', () => {
    const before = openDescriptors();
    const token = vp.share();
    expect(openDescriptors()).toBe(before + 3 + 1);
    Vp.receive(token, options()).close();
    expect(openDescriptors()).toBe(before + 1);
    expect(() => Vp.receive(token, options())).toThrow(code('ERR_MSHV_TOKEN_TAKEN'));
    const partition = host.partition.share();
    using shared = SharedPartition.receive(partition, options());
    SharedPartition.receive(shared.share(), options()).close();
    expect(() => SharedPartition.receive(partition, options())).toThrow(
      code('ERR_MSHV_TOKEN_TAKEN'),
    );
    expect(inspect(shared)).toBe(`SharedPartition { fd: ${shared.fd}, closed: false }`);
    shared.close();
    expect(inspect(shared)).toBe('SharedPartition { closed: true }');
  });

  it('leaves nothing open where it cannot be made', () => {
    vp.cancel();
    const before = openDescriptors();
    host.native.record(failAt(EMFILE, 0));
    expect(errorOf(() => vp.share())).toMatchObject({
      code: 'EMFILE',
      message: expect.stringContaining('share VP 0') as string,
    });
    expect(names().at(-1)).toBe('share');
    expect(openDescriptors()).toBe(before);
  });

  it.each([EINVAL, ENOMEM])('is whole where receiving it fails with %i', (errno) => {
    const token = vp.share();
    const before = openDescriptors();
    host.native.record(failAt(errno, 0));
    expect(() => Vp.receive(token, options())).toThrow(expect.objectContaining({ errno: -errno }));
    expect(names().at(-1)).toBe('receive');
    expect(openDescriptors()).toBe(before);
    host.native.record();
    Vp.receive(token, options()).close();
    expect(openDescriptors()).toBe(before - 3);
  });

  it('is refused once the partition is closed', () => {
    host.partition.close();
    expect(() => vp.share()).toThrow(code('ERR_MSHV_CLOSED'));
    expect(() => host.partition.share()).toThrow(code('ERR_MSHV_CLOSED'));
  });

  it('requests interrupts for VPs that the owner has created since', () => {
    using shared = SharedPartition.receive(host.partition.share(), options());
    expect(() => {
      shared.requestMsi(0xfee0f000, 0x41);
    }).toThrow(code('ERR_OUT_OF_RANGE'));
    host.partition.createVp(15);
    shared.requestMsi(0xfee0f000, 0x41);
    expect(host.native.calls.at(-1)?.args[0]).toBe(shared.fd);
  });
});

it('knows ECANCELED as the end of a canceled run only', () => {
  fake.queue(ECANCELED, ENODEV);
  expect(vp.run()).toBeUndefined();
  expect(() => vp.run()).toThrow(code('ENODEV'));
});
