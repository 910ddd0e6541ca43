import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { type HaltIntercept, type Intercept, type StartedRun } from '../../../lib/index.js';
import { failAt } from '../../fake-native.js';
import { errorOf } from '../../thrown-by.js';
import { host, vp, fake, setUp, halt, code, names } from './vp-on-host.js';

// What start() makes of each thing that the addon and the handler can return.

const { EAGAIN, EBUSY, EFAULT, EINTR } = constants.errno;
const { EIO } = constants.errno;

let running: StartedRun | undefined;

beforeEach(setUp);

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
