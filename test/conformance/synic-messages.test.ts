import { describe, expect, it, vi } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { hvStatusCodes, type MshvError } from '../../lib/index.js';
import { FakeHypervisor } from '../../lab/fakehv.js';
import { enableSynic } from '../enable-synic.js';
import type { SeenMessage } from '../guest-side.js';
import { insideLab } from '../inside-lab.js';
import { runsToHalt } from '../synic-runs.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  asked,
  attach,
  messagesForEachTest,
  numbered,
  post,
  postAll,
  refuse,
  refusePost,
  run,
  sint,
  take,
} from './messages-for-tests.js';
import { partition, patience, vp } from './partition-for-tests.js';
import { errors, ports, synic, useSynic } from './synic-for-tests.js';

// Messages on their way to the guest: what is in its slots, what the VP's register asks for, and what becomes of what
// the hypervisor refuses.

const guest = await guestSideForTests();
messagesForEachTest(guest);

describe('a message', () => {
  const messages: readonly [vp: number, sint: number, type: number, size: number][] = [
    [0, 0, 1, 0],
    [0, 2, 1, 1],
    [1, 2, 0x7fff_ffff, 32],
    [1, 15, 0x8000_0010, 240],
  ];
  const payload = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => 3 * i);

  it.each(messages)('to VP %i, SINT %i, of type %i with %i bytes is in its slot', (...message) => {
    const [index, to, type, size] = message;
    using port = ports.newGuestMessagePort(0, index, to);
    const expected: SeenMessage = { type, size, head: payload(Math.min(size, 32)) };
    for (const post of [
      () => port.post(type, payload(size)),
      () => ports.postMessage(0, index, to, type, payload(size)),
    ]) {
      expect(post()).toBe(true);
      for (const [otherVp, otherSint] of messages) {
        const found = guest.takeMessage(partition, otherVp, otherSint);
        expect(found).toEqual(otherVp === index && otherSint === to ? expected : undefined);
      }
    }
    expect(errors).toEqual([]);
  });

  // Simulated VPs have one VTL.
  it.runIf(insideLab)('has a VTL', () => {
    const hypervisor = new FakeHypervisor();
    try {
      expect(ports.newGuestMessagePort(1, 0, 5).post(7, numbered(9))).toBe(true);
      expect(ports.postMessage(15, 1, 6, 8, numbered(10))).toBe(true);
      ports.newGuestEventPort(1, 2, 1, 7, 99).signal();
      expect(hypervisor.messages(hypervisor.newestPartition())).toEqual([
        { vp: 0, vtl: 1, sint: 5, type: 7, size: 2, head: numbered(9) },
        { vp: 1, vtl: 15, sint: 6, type: 8, size: 2, head: numbered(10) },
      ]);
      expect(hypervisor.signals(hypervisor.newestPartition())).toEqual([
        { vp: 1, vtl: 2, sint: 7, flag: 99 },
      ]);
    } finally {
      hypervisor.close();
    }
  });

  it('goes to a VP that was closed, and to none that never was', () => {
    vp.close();
    post(1);
    expect(take()).toBe(1);
    const noVp = expect.objectContaining({ code: 'ERR_MSHV_NO_VP' }) as MshvError;
    expect(() => ports.postMessage(0, 3, sint, 1, numbered(1))).toThrow(noVp);
    expect(() => ports.newGuestMessagePort(0, 255, sint)).toThrow(noVp);
  });
});

describe.each(runsToHalt)('messages to a busy slot of a VP that runs by %s', (_, runToHalt) => {
  it('wait, and come in their order', async () => {
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    expect(asked()).toEqual([]);
    expect(port.post(1, numbered(1))).toBe(true);
    expect(asked()).toEqual([]);
    expect(port.post(1, numbered(2))).toBe(true);
    expect(asked()).toEqual([sint]);
    expect(port.post(1, numbered(3))).toBe(true);
    expect(asked()).toEqual([sint]);
    expect(await runToHalt(guest, partition, vp, synic)).toEqual([]);

    expect(take()).toBe(1);
    // The hypervisor takes the bit back when it tells.
    expect(await runToHalt(guest, partition, vp, synic)).toEqual(['sint-deliverable']);
    expect(asked()).toEqual([sint]);
    expect(take()).toBe(2);
    expect(await runToHalt(guest, partition, vp, synic)).toEqual(['sint-deliverable']);
    expect(asked()).toEqual([]);
    expect(take()).toBe(3);
    expect(await runToHalt(guest, partition, vp, synic)).toEqual([]);
    expect(take()).toBeUndefined();
    expect([synic.messages.size, errors]).toEqual([0, []]);
  });

  it('of several SINTs are asked for in one register, each by itself', async () => {
    attach();
    for (const number of [1, 2]) {
      for (const to of [1, 2, 15]) post(10 * to + number, 0, to);
    }
    expect(asked()).toEqual([1, 2, 15]);
    expect([take(0, 1), take(0, 15)]).toEqual([11, 151]);
    expect(await runToHalt(guest, partition, vp, synic)).toContain('sint-deliverable');
    expect(asked()).toEqual([2]);
    expect([take(0, 1), take(0, 2), take(0, 15)]).toEqual([12, 21, 152]);
    await runToHalt(guest, partition, vp, synic);
    expect(asked()).toEqual([]);
    expect(take(0, 2)).toBe(22);
  });

  it('are those of their VP', async () => {
    attach();
    synic.attachVp(1);
    for (const number of [1, 2]) {
      post(number);
      post(10 + number, 1);
    }
    expect([asked(0), asked(1)]).toEqual([[sint], [sint]]);
    expect(take(1)).toBe(11);
    expect(await runToHalt(guest, partition, vpOf(partition, 1), synic)).toEqual([
      'sint-deliverable',
    ]);
    expect([asked(0), asked(1)]).toEqual([[sint], []]);
    expect(await runToHalt(guest, partition, vp, synic)).toEqual([]);
    expect([take(0), take(1)]).toEqual([1, 12]);
    await runToHalt(guest, partition, vp, synic);
    expect(take(0)).toBe(2);
  });
});

it('a notification that nobody waits for does no harm', async () => {
  attach();
  post(1);
  for (const fields of [
    { deliverableSints: 0xffff },
    { deliverableSints: 1 << sint },
    { deliverableSints: 0 },
    { deliverableSints: 1 << sint, vtl: 1 },
  ]) {
    guest.queueMessage(partition, 0, encodeMessage('sint-deliverable', { vpIndex: 0, ...fields }));
  }
  expect(await run()).toEqual(Array.from({ length: 4 }, () => 'sint-deliverable'));
  expect([asked(), take(), synic.messages.size, errors]).toEqual([[], 1, 0, []]);
});

it('a VP that runs gets what waits as its guest takes what came', async () => {
  attach();
  const exits: string[] = [];
  const running = vp.start((exit) => {
    exits.push(exit.type);
    return synic.handleExit(vp, exit) ? undefined : 'stop';
  });
  const port = ports.newGuestMessagePort(0, 0, sint);
  for (let number = 1; number <= 20; number++) postAll(port, number);
  for (let number = 1; number <= 20; number++) {
    expect(await vi.waitUntil(() => take(), { timeout: patience, interval: 1 })).toBe(number);
  }
  await vi.waitUntil(() => exits.length === 19, { timeout: patience, interval: 1 });
  running.stop();
  expect(await running.finished).toBe('stopped');
  expect(new Set(exits)).toEqual(new Set(['sint-deliverable']));
  expect([asked(), synic.messages.size, errors]).toEqual([[], 0, []]);
});

describe('a queue that is full', () => {
  it('takes messages as there is room, each poster’s in order', async () => {
    useSynic({ messageBound: 2 });
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    const posted = [1, 2, 3].map((number) => port.post(1, numbered(number)));
    expect(posted).toEqual([true, true, true]);
    let taken = false;
    const fourth = port.post(1, numbered(4));
    if (typeof fourth === 'boolean') throw new Error('there was room');
    void fourth.then(() => (taken = true));
    expect(port.post(1, numbered(5))).toBe(false);
    // Another poster waits, too.
    const other = ports.postMessage(0, 0, sint, 1, numbered(6));
    expect(other).toBeInstanceOf(Promise);
    await run();
    expect([taken, synic.messages.size]).toEqual([false, 4]);
    expect(take()).toBe(1);
    await run();
    await fourth;
    expect(port.post(1, numbered(7))).toBeInstanceOf(Promise);
    const rest: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      rest.push(take());
      await run();
    }
    await other;
    expect(rest).toEqual([2, 3, 4, 6, 7]);
    expect([asked(), synic.messages.size]).toEqual([[], 0]);
  });
});

describe('a post that the hypervisor refuses', () => {
  it.each(['HV_STATUS_OBJECT_IN_USE', 'HV_STATUS_INSUFFICIENT_BUFFERS'] as const)(
    'with %s is tried again',
    async (status) => {
      attach();
      refusePost(status);
      post(1);
      expect(take()).toBeUndefined();
      expect(synic.messages.size).toBe(1);
      // The slot is free, so the hypervisor tells at once.
      expect(await run()).toEqual(['sint-deliverable']);
      expect([take(), asked(), errors]).toEqual([1, [], []]);
    },
  );

  it.each([
    ['HV_STATUS_INVALID_PARAMETER', 'EINVAL'],
    ['HV_STATUS_ACCESS_DENIED', 'EIO'],
    ['HV_STATUS_INVALID_SYNIC_STATE', 'EIO'],
    ['HV_STATUS_INVALID_VP_INDEX', 'EINVAL'],
  ] as const)('with %s is skipped and told of; those behind it are not', async (name, code) => {
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2, 3, 4);
    expect(take()).toBe(1);
    refusePost(name, 2);
    await run();
    expect(take()).toBe(4);
    const hvStatus = { code: hvStatusCodes[name], name };
    const told = {
      code: 'ERR_MSHV_MESSAGE_REFUSED',
      hypercall: 'HVCALL_POST_MESSAGE_DIRECT',
      hvStatus,
    };
    expect(errors).toMatchObject([told, told]);
    // The driver's own error is behind it.
    expect(errors[0]?.cause).toMatchObject({ code, ioctl: 'MSHV_ROOT_HVCALL', hvStatus });
    expect([asked(), synic.messages.size]).toEqual([[], 0]);
  });

  it('for lack of memory gets it from the driver, and is done', () => {
    refusePost('HV_STATUS_INSUFFICIENT_MEMORY', 3);
    post(1);
    expect([take(), errors]).toEqual([1, []]);
  });

  it('for good makes room: what waits behind it is taken, and refused then', async () => {
    useSynic({ messageBound: 1 });
    attach();
    for (const number of [1, 2]) post(number);
    const port = ports.newGuestMessagePort(0, 0, sint);
    const waiting = port.post(1, numbered(3));
    expect(take()).toBe(1);
    refusePost('HV_STATUS_ACCESS_DENIED', 2);
    await run();
    await waiting;
    expect(errors).toHaveLength(2);
    expect([take(), synic.messages.size]).toEqual([undefined, 0]);
  });

  it('by a VP whose SynIC is off is told of', () => {
    post(1, 2);
    const hvStatus = { name: 'HV_STATUS_INVALID_SYNIC_STATE' };
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_MESSAGE_REFUSED', hvStatus }]);
    enableSynic(partition, 2);
    post(2, 2);
    expect([take(2), errors.length]).toEqual([2, 1]);
  });

  it('since the partition is closed is told of', () => {
    const port = ports.newGuestMessagePort(0, 0, sint);
    partition.close();
    expect(port.post(1, numbered(1))).toBe(true);
    expect(errors).toMatchObject([
      { code: 'ERR_MSHV_MESSAGE_REFUSED', cause: { code: 'ERR_MSHV_CLOSED' } },
    ]);
  });
});

describe('a notification that cannot be asked for', () => {
  it.each(['HVCALL_GET_VP_REGISTERS', 'HVCALL_SET_VP_REGISTERS'] as const)(
    'since %s is refused is told of, and asked for again at the next post',
    async (call) => {
      attach();
      const port = ports.newGuestMessagePort(0, 0, sint);
      postAll(port, 1);
      refuse(call, 'HV_STATUS_INVALID_VP_STATE');
      expect(port.post(1, numbered(2))).toBe(true);
      expect(errors).toMatchObject([
        {
          code: 'ERR_MSHV_NOTIFICATION',
          cause: { hypercall: call, hvStatus: { name: 'HV_STATUS_INVALID_VP_STATE' } },
        },
      ]);
      expect(asked()).toEqual([]);
      postAll(port, 3);
      expect(asked()).toEqual([sint]);
      const taken: (number | undefined)[] = [];
      for (let i = 0; i < 3; i++) {
        taken.push(take());
        await run();
      }
      expect([taken, errors.length]).toEqual([[1, 2, 3], 1]);
    },
  );
});
