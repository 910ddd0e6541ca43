import { beforeEach, describe, expect, it, vi } from 'vitest';

import { hvStatusCodes, type GuestMessagePort, type HvStatusName } from '../../../lib/index.js';
import { GuestMessages } from '../../../lib/synic/guest-messages.js';
import { payloadOf } from '../../message-model.js';
import { MessageGuest } from './message-guest.js';

// What an AbortSignal does to a post: where the queue is full it withdraws the message, and nothing else.

const reason = new Error('given up');

let guest: MessageGuest;
let messages: GuestMessages;
let port: GuestMessagePort;
let controller: AbortController;

const untilAborted = () => ({ signal: controller.signal });

/** Posts a message that may be given up. */
const post = (id: number) => port.post(1, payloadOf(id), untilAborted());

beforeEach(() => {
  guest = new MessageGuest(4);
  messages = new GuestMessages(guest, { bound: 2, onError: () => undefined });
  for (let vp = 0; vp < 2; vp++) messages.attachVp(vp, guest.owner(vp));
  port = messages.newPort(0, 0, 2);
  controller = new AbortController();
});

/** One in the slot, two that are taken. */
function fill(): void {
  expect([1, 2, 3].map((id) => post(id))).toEqual([true, true, true]);
}

function readAll(vp = 0): number[] {
  while (guest.read(vp, 2)) guest.notify(messages);
  return guest.received.get(`${vp}:2`) ?? [];
}

it.each(['port', 'sender without a port'])(
  'withdraws the message of a %s that waits',
  async (who) => {
    const send = (id: number) =>
      who === 'port' ? post(id) : messages.postMessage(0, 0, 2, 1, payloadOf(id), untilAborted());
    fill();
    const promise = send(4);
    controller.abort(reason);
    await expect(promise).rejects.toBe(reason);
    expect(messages.size).toBe(2);
    controller = new AbortController();
    const next = send(5);
    expect(readAll()).toEqual([1, 2, 3, 5]);
    expect(await next).toBe(true);
  },
);

it('leaves what is taken, and what others have posted, to the guest', async () => {
  fill();
  const others = messages.newPort(0, 0, 2).post(1, payloadOf(4));
  const promise = post(5);
  guest.read(0, 2);
  guest.notify(messages);
  expect(await others).toBe(true);
  guest.read(0, 2);
  guest.notify(messages);
  expect(await promise).toBe(true);
  controller.abort(reason);
  expect(readAll()).toEqual([1, 2, 3, 4, 5]);
});

it('finds the message where the port has another VP by now', async () => {
  const other = messages.newPort(0, 1, 2);
  for (const id of [6, 7, 8]) void other.post(1, payloadOf(id));
  fill();
  const promise = post(4);
  port.setTargetVp(1);
  controller.abort(reason);
  await expect(promise).rejects.toBe(reason);
  expect(readAll(1)).toEqual([6, 7, 8, 2, 3]);
});

it('posts nothing where the signal has aborted before', () => {
  controller.abort(reason);
  expect(() => post(1)).toThrow(reason);
  expect(() => messages.postMessage(0, 0, 2, 1, payloadOf(1), untilAborted())).toThrow(reason);
  expect([messages.size, guest.posts]).toEqual([0, 0]);
});

it('leaves nobody listening to the signal', async () => {
  const removed = vi.spyOn(controller.signal, 'removeEventListener');
  fill();
  const promise = post(4);
  port.close();
  await expect(promise).rejects.toMatchObject({ code: 'ERR_MSHV_CLOSED' });
  expect(removed).toHaveBeenCalledOnce();
});

describe('at the moment at which it is posted, before there was room for it,', () => {
  /** Posts a message, and gives it up inside the hypervisor's call that ends so. */
  function giveUp(outcome: HvStatusName): Promise<boolean> {
    fill();
    const promise = Promise.resolve(post(4));
    // Two more are taken behind it: it gets to the head as one that waits.
    const other = messages.newPort(0, 1, 2);
    for (const id of [5, 6, 7]) void other.post(1, payloadOf(id));
    other.setTargetVp(0);
    vi.spyOn(guest, 'postMessage').mockImplementation((...args) => {
      const status = MessageGuest.prototype.postMessage.apply(guest, args);
      if (args[4][0] === 4 && status === hvStatusCodes[outcome]) controller.abort(reason);
      return status;
    });
    return promise;
  }

  it('is the guest’s where the slot takes it', async () => {
    const promise = giveUp('HV_STATUS_SUCCESS');
    expect(readAll()).toEqual([1, 2, 3, 4, 6, 7]);
    expect(await promise).toBe(true);
  });

  it('is withdrawn where the slot is busy', async () => {
    const promise = giveUp('HV_STATUS_OBJECT_IN_USE');
    expect(readAll()).toEqual([1, 2, 3, 6, 7]);
    await expect(promise).rejects.toBe(reason);
    expect(messages.size).toBe(0);
  });
});
