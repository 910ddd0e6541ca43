import { describe, expect, it } from 'vitest';

import { closeEach } from '../../lib/closing.js';
import { MshvError, type StartedRun, type WaitOptions } from '../../lib/index.js';
import { encodeMessage } from '../../lib/sim/index.js';
import { vpOf } from '../vp-of.js';
import { thrownBy } from '../thrown-by.js';
import { FakeHost } from './fake-host.js';

// Handlers may throw anything, and `instanceof` throws for a revoked proxy.

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable(new MshvError('revoked', { code: 'EIO' }), {});
  revoke();
  return proxy;
}

it('nothing but an MshvError is one', () => {
  class Own extends MshvError {}
  const error = new MshvError('an error', { code: 'EIO' });
  const own = new Own('its own', { code: 'EIO' });
  expect([error, own].map((value) => value instanceof MshvError)).toEqual([true, true]);
  expect([error, own].map((value) => value instanceof Own)).toEqual([false, true]);
  const others = [
    revoked(),
    Object.create(MshvError.prototype),
    new Error(),
    undefined,
    null,
    5,
    '',
  ];
  for (const value of others) expect(value instanceof MshvError).toBe(false);
});

it('what closing throws is thrown as it is', () => {
  const error = revoked();
  const fail = () => {
    throw error;
  };
  expect(
    thrownBy(() => {
      closeEach('It', [fail]);
    }) === error,
  ).toBe(true);
  expect(
    thrownBy(() => {
      closeEach('It', [fail, fail]);
    }),
  ).toMatchObject({ code: 'ERR_MSHV_UNCLEAN_CLOSE' });
});

it('what a batch throws is thrown as it is', () => {
  using host = new FakeHost();
  const error = revoked();
  const thrown = thrownBy(() =>
    host.partition.irqfd.batch(() => {
      host.partition.irqfd.newRoute();
      throw error;
    }),
  );
  expect(thrown === error).toBe(true);
});

describe('what a handler throws whose run has ended is an uncaught exception:', () => {
  const controller = new AbortController();
  it.each<[string, WaitOptions, (run: StartedRun) => void, result: unknown]>([
    [
      'that stopped it',
      {},
      (run) => {
        run.stop();
      },
      'stopped',
    ],
    [
      'whose signal has ended it',
      { signal: controller.signal },
      () => {
        controller.abort('enough');
      },
      'enough',
    ],
  ])('%s', async (_, options, end, result) => {
    using host = new FakeHost();
    const vp = vpOf(host.partition, 0);
    host.native.vps.of(vp.fd).queue(encodeMessage('halt', {}));
    const error = revoked();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      const uncaught = new Promise((resolve) => {
        process.once('uncaughtException', (thrown) => {
          resolve(Object.is(thrown, error));
        });
      });
      const run = vp.start(() => {
        end(run);
        throw error;
      }, options);
      expect(await run.finished.catch((reason: unknown) => reason)).toBe(result);
      expect(await uncaught).toBe(true);
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});
