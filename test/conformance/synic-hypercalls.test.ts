import { once } from 'node:events';
import { describe, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { GuestMemory, hvStatusCodes, type HvStatusName } from '../../lib/index.js';
import {
  postMessage,
  signalEvent,
  hypercallMessage,
  postMessageInput,
  signalEventInput,
  type HypercallInput,
} from '../guest-hypercall.js';
import { enableSynic } from '../enable-synic.js';
import { runsToHalt } from '../synic-runs.js';
import type { SynicWork, SynicWorkReport } from '../synic-worker.js';
import { typescriptWorker } from '../typescript-program.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  before,
  call,
  eventConnection,
  flags,
  hypercallsForEachTest,
  messageConnection,
  messages,
  only,
  page,
  payload,
  placed,
  posted,
  success,
} from './hypercalls-for-tests.js';
import { partition, vp } from './partition-for-tests.js';
import { ports, synic } from './synic-for-tests.js';

// What a guest asks of its host by hypercall, from the exit to the registers that the guest goes on with.

const guest = await guestSideForTests();
hypercallsForEachTest(guest);
const halt = encodeMessage('halt', { vpIndex: 0 });

describe.each(runsToHalt)('a hypercall that %s stops with', (_, run) => {
  it.each([64, 32] as const)('posts messages, from a %i-bit caller', async (bits) => {
    for (const length of [0, 1, 17, 239, 240]) {
      expect(await call({ code: postMessage, input: posted(length), bits }, run)).toEqual(success);
    }
    expect(messages).toEqual(
      [0, 1, 17, 239, 240].map((length) => ({
        bytes: [...payload(length)],
        type: 1,
        secure: false,
      })),
    );
  });

  it.each([
    [64, 'fast'],
    [64, 'slow'],
    [32, 'fast'],
    [32, 'slow'],
  ] as const)('signals events, from a %i-bit caller, %s', async (bits, form) => {
    for (const flag of [0, 1, 63]) {
      const bytes = signalEventInput(eventConnection, flag);
      const input =
        form === 'fast'
          ? { code: signalEvent, fast: true, input: bytes, bits }
          : { code: signalEvent, input: placed(bytes), bits };
      expect(await call(input, run)).toEqual(success);
    }
    expect(flags).toEqual([0, 1, 63]);
  });

  it('of several at once handles each in its turn', async () => {
    const inputs = Array.from({ length: 20 }, (__, i) => posted(i, 256 * i));
    vp.setRegisters(before);
    for (const input of inputs) {
      guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input }));
    }
    await run(guest, partition, vp, synic);
    expect(messages.map(({ bytes }) => bytes.length)).toEqual(inputs.map((__, i) => i));
    expect(vp.getRegisters(['RAX'])).toEqual({ RAX: 0n });
  });

  it('of one VP is not answered to another', async () => {
    const other = vpOf(partition, 1);
    other.setRegisters({ RAX: 5n, RIP: 0x9000n });
    expect(await call({ code: postMessage, input: posted(3) }, run)).toEqual(success);
    expect(other.getRegisters(['RAX', 'RIP'])).toEqual({ RAX: 5n, RIP: 0x9000n });
    expect(await call({ code: 0x99 }, run, other)).toEqual(
      only('HV_STATUS_INVALID_HYPERCALL_CODE'),
    );
    expect(vp.getRegisters(['RAX'])).toEqual({ RAX: 0n });
  });
});

describe('the status of a post', () => {
  const message = (
    options: Parameters<typeof postMessageInput>[2],
    connection = messageConnection,
  ): (() => HypercallInput) => {
    return () => ({
      code: postMessage,
      input: placed(postMessageInput(connection, payload(8), options)),
    });
  };

  const cases: readonly [string, () => HypercallInput, HvStatusName][] = [
    ['of a connection that nobody has', message({}, 7), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of an id with reserved bits', message({}, 0x100_0001), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of an event’s connection', message({}, eventConnection), 'HV_STATUS_INVALID_CONNECTION_ID'],
    ['of type 0', message({ type: 0 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of a type with bit 31', message({ type: 0x8000_0001 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of 241 bytes', message({ size: 241 }), 'HV_STATUS_INVALID_PARAMETER'],
    ['of 2^32 - 1 bytes', message({ size: 0xffff_ffff }), 'HV_STATUS_INVALID_PARAMETER'],
    ['with a reserved field', message({ reserved: 1 }), 'HV_STATUS_INVALID_PARAMETER'],
    [
      'that is fast',
      () => ({ code: postMessage, fast: true }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with reps',
      () => ({ code: postMessage, input: posted(8), repCount: 1 }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with a variable header',
      () => ({ code: postMessage, input: posted(8), variableHeaderWords: 1 }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
    [
      'with reserved bits of the control word',
      () => ({ code: postMessage, input: posted(8), control: 1n << 27n }),
      'HV_STATUS_INVALID_HYPERCALL_INPUT',
    ],
  ];
  it.each(cases)('%s', async (_, input, status) => {
    expect(await call(input())).toEqual(only(status));
    expect(await call({ ...input(), bits: 32 })).toEqual(only(status));
    expect(messages).toEqual([]);
  });

  it('has types from 1 to 2^31 - 1', async () => {
    expect(await call(message({ type: 0x7fff_ffff })())).toEqual(success);
    expect(messages).toMatchObject([{ type: 0x7fff_ffff }]);
  });
});

describe('the status of a signal', () => {
  const cases: readonly [string, Uint8Array, HvStatusName][] = [
    ['of a connection that nobody has', signalEventInput(7, 0), 'HV_STATUS_INVALID_CONNECTION_ID'],
    [
      'of an id with reserved bits',
      signalEventInput(0x200_0002, 0),
      'HV_STATUS_INVALID_CONNECTION_ID',
    ],
    [
      'of a message’s connection',
      signalEventInput(messageConnection, 0),
      'HV_STATUS_INVALID_CONNECTION_ID',
    ],
    [
      'of a flag that the port has not',
      signalEventInput(eventConnection, 64),
      'HV_STATUS_INVALID_PARAMETER',
    ],
    [
      'with a reserved field',
      signalEventInput(eventConnection, 0, 1),
      'HV_STATUS_INVALID_PARAMETER',
    ],
  ];
  it.each(cases)('%s', async (_, input, status) => {
    expect(await call({ code: signalEvent, fast: true, input })).toEqual(only(status));
    expect(await call({ code: signalEvent, fast: true, input, bits: 32 })).toEqual(only(status));
    expect(await call({ code: signalEvent, input: placed(input) })).toEqual(only(status));
    expect(flags).toEqual([]);
  });
});

it('a port has a least VTL', async () => {
  const seen: string[] = [];
  ports.addMessagePort(11, 1, { handleMessage: () => seen.push('message') });
  ports.addEventPort(12, 2, { handleEvent: () => seen.push('event') });
  const statuses: string[] = [];
  for (const vtl of [0, 1, 2, 15]) {
    const message = placed(postMessageInput(11, payload(1)));
    statuses.push((await call({ code: postMessage, input: message, vtl })).status);
    const input = signalEventInput(12, 0);
    statuses.push((await call({ code: signalEvent, fast: true, input, vtl })).status);
  }
  const [denied, taken] = ['HV_STATUS_OPERATION_DENIED', 'HV_STATUS_SUCCESS'];
  expect(statuses).toEqual([denied, denied, taken, denied, taken, taken, taken, taken]);
  expect(seen).toEqual(['message', 'message', 'event', 'message', 'event']);
});

describe('handleExit()', () => {
  it('leaves what is not the SynIC’s', () => {
    guest.queueMessage(partition, 0, encodeMessage('io-port', { port: 1, size: 1 }));
    guest.queueMessage(partition, 0, halt);
    for (const type of ['io-port', 'halt']) {
      const exit = vp.run();
      expect(exit?.type).toBe(type);
      expect(exit && synic.handleExit(vp, exit)).toBe(false);
    }
  });

  it('refuses an exit that the VP did not stop with, and calls no handler', () => {
    guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input: posted(1) }));
    guest.queueMessage(partition, 0, halt);
    const stale = vp.run()?.snapshot();
    vp.run();
    if (stale?.type !== 'hypercall') throw new Error('it stopped with something else');
    expect(() => synic.handleExit(vp, stale)).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_STALE_EXIT' }),
    );
    expect(messages).toEqual([]);
  });
});

it('installIntercepts() tells of a refusal, and can be called again', () => {
  const { code } = hypercalls.HVCALL_INSTALL_INTERCEPT;
  guest.refuse(code, hvStatusCodes.HV_STATUS_INVALID_PARAMETER);
  expect(() => {
    synic.installIntercepts();
  }).toThrow(
    expect.objectContaining({
      hypercall: 'HVCALL_INSTALL_INTERCEPT',
      hvStatus: { code: 5, name: 'HV_STATUS_INVALID_PARAMETER' },
    }),
  );
  synic.installIntercepts();
  synic.installIntercepts();
});

it('a Worker that has the VP and its memory has a SynIC of its own', async () => {
  using shared = GuestMemory.allocate(page, { shared: true, native: guest.native });
  const gpa = 0x4000_0000n;
  partition.mapMemory(shared, { gpa });
  const work: SynicWork = {
    backend: guest.backend,
    vp: vp.share(),
    memory: shared.share(),
    gpa,
    messageConnection,
    eventConnection,
  };
  const worker = typescriptWorker(new URL('../synic-worker.ts', import.meta.url), {
    workerData: work,
  });
  try {
    await once(worker, 'message');
    vp.setRegisters(before);
    enableSynic(partition, 0);
    const inputs = [3, 240].map((length, i) => {
      shared.write(256 * i, postMessageInput(messageConnection, payload(length)));
      return gpa + BigInt(256 * i);
    });
    for (const input of inputs) {
      guest.queueMessage(partition, 0, hypercallMessage({ code: postMessage, input }));
    }
    const input = signalEventInput(eventConnection, 9);
    guest.queueMessage(partition, 0, hypercallMessage({ code: signalEvent, input, fast: true }));
    guest.queueMessage(partition, 0, hypercallMessage({ code: 0x99 }));
    guest.queueMessage(partition, 0, halt);
    const [report] = (await once(worker, 'message')) as [SynicWorkReport];
    expect(report).toEqual({
      messages: [payload(3), payload(240)],
      flags: [9],
      end: 'halt',
    });
  } finally {
    await worker.terminate();
  }
  expect(vp.getRegisters(['RAX', 'RDX', 'RIP'])).toEqual({
    RAX: BigInt(hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_CODE),
    RDX: before.RDX,
    RIP: before.RIP + 3n,
  });
  // It answers each message by the next SINT.
  const found = [1, 2, 3].map((sint) => guest.takeMessage(partition, 0, sint)?.size);
  expect([messages, flags, found]).toEqual([[], [], [3, 240, undefined]]);
});
