import { describe, expect, it, vi } from 'vitest';

import { enableSynic } from '../enable-synic.js';
import { insideLab } from '../inside-lab.js';
import { blockingRunToHalt } from '../synic-runs.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';
import {
  asked,
  attach,
  foreign,
  messagesForEachTest,
  notifications,
  numbered,
  post,
  postAll,
  run,
  sint,
  take,
} from './messages-for-tests.js';
import { partition, renewPartition, vp } from './partition-for-tests.js';
import { errors, ports, synic, useSynic } from './synic-for-tests.js';

// Messages that wait: who asks for free slots, and where they go with their target, their VP's state and at a reset.

const guest = await guestSideForTests();
messagesForEachTest(guest);

describe('attachVp()', () => {
  it('is for one at a time', () => {
    const first = attach();
    expect(() => synic.attachVp(0)).toThrow(expect.objectContaining({ code: 'ERR_MSHV_VP_OWNED' }));
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    synic.attachVp(0)[Symbol.dispose]();
  });

  it('asks for what has waited before it', async () => {
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2);
    expect(synic.messages.size).toBe(1);
    attach();
    expect(asked()).toEqual([sint]);
    expect(take()).toBe(1);
    await run();
    expect(take()).toBe(2);
  });

  it('may be taken over: the next one asks anew', async () => {
    const first = attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2);
    first[Symbol.dispose]();
    // Somebody else has written the register meanwhile.
    partition.setRegisters(0, notifications, BigUint64Array.of(foreign, 0n));
    synic.attachVp(0);
    expect(asked()).toEqual([sint]);
    expect(take()).toBe(1);
    await run();
    expect(take()).toBe(2);
  });

  it('leaves the register to an owner of its own', async () => {
    const setDeliverabilityNotifications = vi.fn<(vtl: number, sints: number) => void>();
    synic.attachVp(0, { setDeliverabilityNotifications });
    for (const number of [1, 2]) post(number);
    expect(setDeliverabilityNotifications.mock.calls).toEqual([[0, 1 << sint]]);
    expect(partition.getRegisters(0, notifications)[0]).toBe(0n);
    expect(take()).toBe(1);
    synic.messages.sintsDeliverable(0, 0, 1 << sint);
    expect(take()).toBe(2);
    expect(await run()).toEqual([]);
  });

  it('is not needed for the next post to deliver what waits', () => {
    for (const number of [1, 2]) post(number, 1);
    expect([take(1), asked(1)]).toEqual([1, []]);
    post(3, 1);
    expect(take(1)).toBe(2);
    expect(synic.messages.size).toBe(1);
  });
});

describe('setTargetVp()', () => {
  it('takes along what waits, and nothing that is in the slot', async () => {
    attach();
    synic.attachVp(1);
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2, 3);
    post(9);
    port.setTargetVp(1);
    expect([asked(0), asked(1)]).toEqual([[sint], [sint]]);
    expect([take(0), take(1)]).toEqual([1, 2]);
    await run();
    await blockingRunToHalt(guest, partition, vpOf(partition, 1), synic);
    expect([take(0), take(1)]).toEqual([9, 3]);
    expect([asked(0), asked(1)]).toEqual([[], []]);
  });

  it('takes back what nobody waits for any more', async () => {
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2);
    expect(asked(0)).toEqual([sint]);
    port.setTargetVp(1);
    expect([asked(0), take(1)]).toEqual([[], 2]);
    expect(take(0)).toBe(1);
    expect(await run()).toEqual([]);
  });

  it('refuses a VP that is not there, and changes nothing', () => {
    const port = ports.newGuestMessagePort(0, 1, sint);
    expect(() => {
      port.setTargetVp(3);
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_NO_VP' }));
    postAll(port, 1);
    expect(take(1)).toBe(1);
  });
});

describe('what is queued', () => {
  it('is saved, and restored to another SynIC', async () => {
    useSynic({ messageBound: 2 });
    const first = attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2, 3);
    const waiting = port.post(1, numbered(4));
    post(11, 1, 15);
    post(12, 1, 15);
    const saved = structuredClone(synic.messages.save());
    expect(saved.queues.map(({ vp: of, messages }) => [of, messages.length])).toEqual([
      [0, 2],
      [1, 1],
    ]);
    first[Symbol.dispose]();
    synic[Symbol.dispose]();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_MSHV_RESET' });
    expect(() => synic.attachVp(0)).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));

    useSynic();
    attach();
    synic.attachVp(1);
    expect(take(1, 15)).toBe(11);
    synic.messages.restore(saved);
    // What has a free slot is there.
    expect([asked(0), asked(1), take(1, 15)]).toEqual([[sint], [], 12]);
    const taken: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      taken.push(take());
      await run();
    }
    expect([taken, errors]).toEqual([[1, 2, 3], []]);
  });

  it('is asked for anew, whatever the VP’s register was restored to', async () => {
    attach();
    postAll(ports.newGuestMessagePort(0, 0, sint), 1, 2);
    const saved = synic.messages.save();
    partition.setRegisters(0, notifications, BigUint64Array.of(foreign, 0n));
    synic.messages.restore(saved);
    expect([asked(), take()]).toEqual([[sint], 1]);
    await run();
    expect(take()).toBe(2);
  });

  // In the lab's scripted mode the pages are no hypervisor's.
  it.runIf(!insideLab)('goes with a VP’s state to another partition', async () => {
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2, 3);
    const saved = synic.messages.save();
    const page = vp.getState('simp');

    renewPartition(3);
    enableSynic(partition, 0);
    vp.setState('simp', page);
    useSynic();
    attach();
    synic.messages.restore(saved);
    expect(asked()).toEqual([sint]);
    const taken: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) {
      taken.push(take());
      await run();
    }
    expect(taken).toEqual([1, 2, 3, undefined]);
  });

  it('is not restored to a VP that is not there, nor is anything else', () => {
    const message = { type: 1, payload: numbered(1) };
    const queue = (index: number) => ({ vtl: 0, vp: index, sint, messages: [message] });
    expect(() => {
      synic.messages.restore({ queues: [queue(0), queue(3)] });
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_NO_VP' }));
    expect([take(0), synic.messages.size]).toEqual([undefined, 0]);
  });

  it('is forgotten at a reset, and the ports go on', async () => {
    useSynic({ messageBound: 1 });
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2);
    const waiting = port.post(1, numbered(3));
    expect(asked()).toEqual([sint]);
    synic.reset();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_MSHV_RESET' });
    expect([asked(), synic.messages.size]).toEqual([[], 0]);
    // What is in the slot is the guest's.
    expect(take()).toBe(1);
    expect(await run()).toEqual([]);
    for (const number of [4, 5]) expect(port.post(1, numbered(number))).toBe(true);
    expect(asked()).toEqual([sint]);
    expect(take()).toBe(4);
    await run();
    expect(take()).toBe(5);
  });

  it('comes although its port is gone, but for what was not taken', async () => {
    useSynic({ messageBound: 1 });
    attach();
    const port = ports.newGuestMessagePort(0, 0, sint);
    postAll(port, 1, 2);
    const waiting = port.post(1, numbered(3));
    port[Symbol.dispose]();
    port[Symbol.dispose]();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_MSHV_CLOSED' });
    expect(() => port.post(1, numbered(4))).toThrow(
      expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }),
    );
    const taken: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      taken.push(take());
      await run();
    }
    expect(taken).toEqual([1, 2, undefined]);
  });
});
