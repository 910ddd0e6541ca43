import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

import { hvStatusCodes } from '../../lib/index.js';
import {
  postMessage,
  signalEvent,
  hypercallMessage,
  postMessageInput,
  signalEventInput,
} from '../guest-hypercall.js';
import { enableSynic } from '../enable-synic.js';
import { blockingRunToHalt, runsToHalt } from '../synic-runs.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  before,
  call,
  flags,
  hypercallsForEachTest,
  messagePort,
  messages,
  only,
  payload,
  placed,
  posted,
  success,
} from './hypercalls-for-tests.js';
import { partition, vp } from './partition-for-tests.js';
import { errors, ports, synic } from './synic-for-tests.js';

// What the handlers of ports do with what a guest posts and signals by hypercall, and what the guest is told.

const guest = await guestSideForTests();
hypercallsForEachTest(guest);

describe('a handler', () => {
  const again = only('HV_STATUS_INSUFFICIENT_BUFFERS');
  const failed = only('HV_STATUS_OPERATION_FAILED');
  const postOne = () => call({ code: postMessage, input: posted(5) });

  it('that is not ready gets the message again', async () => {
    messagePort.answer = () => false;
    expect(await postOne()).toEqual(again);
    expect(await postOne()).toEqual(again);
    messagePort.answer = () => undefined;
    expect(await postOne()).toEqual(success);
    expect(messages).toHaveLength(3);
  });

  it.each(runsToHalt)('that answers later has the message once, with %s', async (_, run) => {
    let resolve: () => void = () => undefined;
    messagePort.answer = () =>
      new Promise<void>((settle) => {
        resolve = settle;
      });
    const input = { code: postMessage, input: posted(5) };
    for (let i = 0; i < 3; i++) expect(await call(input, run)).toEqual(again);
    // No other message gets past it.
    expect(await call({ code: postMessage, input: posted(6, 512) }, run)).toEqual(again);
    expect(messages).toHaveLength(1);
    resolve();
    await setImmediate();
    expect(await call(input, run)).toEqual(success);
    expect(messages).toHaveLength(1);
    messagePort.answer = () => undefined;
    expect(await call(input, run)).toEqual(success);
    expect(messages).toHaveLength(2);
  });

  it('that answers later may fail, or not have taken the message', async () => {
    const cause = new Error('of the port');
    messagePort.answer = () => Promise.reject(cause);
    expect(await postOne()).toEqual(again);
    await setImmediate();
    expect(await postOne()).toEqual(failed);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER', cause }]);
    messagePort.answer = () => Promise.resolve(false);
    expect(await postOne()).toEqual(again);
    await setImmediate();
    messagePort.answer = () => undefined;
    expect(await postOne()).toEqual(success);
    expect(messages).toHaveLength(3);
  });

  it('that throws is reported, and the VP runs on', async () => {
    const cause = new Error('of the port');
    messagePort.answer = () => {
      throw cause;
    };
    expect(await postOne()).toEqual(failed);
    ports.addEventPort(20, 0, {
      handleEvent: () => {
        throw cause;
      },
    });
    const input = signalEventInput(20, 0);
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(failed);
    expect(errors.map((error) => [error.code, error.cause])).toEqual([
      ['ERR_MSHV_PORT_HANDLER', cause],
      ['ERR_MSHV_PORT_HANDLER', cause],
    ]);
    messagePort.answer = () => undefined;
    expect(await postOne()).toEqual(success);
  });

  it('may add and remove ports, its own too, and post and signal itself', async () => {
    const order: string[] = [];
    const own = ports.addMessagePort(30, 0, {
      handleMessage: () => {
        order.push('first');
        own[Symbol.dispose]();
        ports.addMessagePort(30, 0, { handleMessage: () => order.push('second') });
        ports.addEventPort(31, 0, { handleEvent: (flag) => order.push(`event ${flag}`) });
        expect(synic.portMap.handleSignalEvent(0, 31, 9)).toBe(hvStatusCodes.HV_STATUS_SUCCESS);
        expect(synic.portMap.handlePostMessage(0, 30, false, payload(1))).toBe(
          hvStatusCodes.HV_STATUS_SUCCESS,
        );
      },
    });
    const input = placed(postMessageInput(30, payload(4)));
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(order).toEqual(['first', 'event 9', 'second', 'second']);
    const event = signalEventInput(31, 2);
    expect(await call({ code: signalEvent, fast: true, input: event })).toEqual(success);
    expect(order.at(-1)).toBe('event 2');
  });

  it('may answer the guest at once, by message and by event', async () => {
    enableSynic(partition, 0);
    using event = ports.newGuestEventPort(1, 0, 0, 3, 77);
    ports.addMessagePort(35, 0, {
      handleMessage: (request) => {
        expect(ports.postMessage(0, 0, 2, 1, request.slice(0, 2))).toBe(true);
        event.signal();
      },
    });
    const input = placed(postMessageInput(35, payload(7)));
    expect(await call({ code: postMessage, input })).toEqual(success);
    expect(guest.takeMessage(partition, 0, 2)).toEqual({
      type: 1,
      size: 2,
      head: payload(7).slice(0, 2),
    });
    expect(guest.takeEvents(partition, 0)).toEqual([{ sint: 3, flag: 77 }]);
  });

  it('of a port that is gone is not called', async () => {
    const port = ports.addEventPort(40, 0, { handleEvent: () => flags.push(-1) });
    const input = signalEventInput(40, 0);
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(
      only('HV_STATUS_INVALID_CONNECTION_ID'),
    );
    expect(flags).toEqual([]);
  });

  it.each([
    ['closes the partition', 'closed'],
    ['closes the VP', 'closed'],
    ['stops the run', 'stopped'],
  ] as const)('that %s, and what the guest has then', async (what, end) => {
    vp.setRegisters(before);
    guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input: posted(2) }));
    const run = vp.start((exit) => {
      expect(synic.handleExit(vp, exit)).toBe(true);
    });
    const registers = Uint32Array.of(0x20000, 0x20010);
    messagePort.answer = () => {
      if (what === 'stops the run') run.stop();
      else if (what === 'closes the VP') vp.close();
      else partition.close();
    };
    expect(await run.finished).toBe(end);
    expect(messages).toHaveLength(1);
    if (what === 'stops the run') {
      await blockingRunToHalt(guest, partition, vp, synic);
    }
    if (what !== 'closes the partition') {
      const [rax, , rip] = partition.getRegisters(0, registers);
      const { RAX, RIP } = before;
      expect([rax, rip]).toEqual(what === 'stops the run' ? [0n, RIP + 3n] : [RAX, RIP]);
    }
    expect(errors).toEqual([]);
  });
});
