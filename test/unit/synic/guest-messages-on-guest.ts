import { expect } from 'vitest';

import { MshvError } from '../../../lib/index.js';
import { GuestMessages, type GuestMessagesOptions } from '../../../lib/synic/guest-messages.js';
import { MessageGuest } from './message-guest.js';

/** The present test's own, as `create()` makes them. */
export let guest: MessageGuest;
export let errors: MshvError[];
export let messages: GuestMessages;

/** Queues of a guest with 4 VPs, of which 0 to 2 have an owner. */
export function create(options: GuestMessagesOptions = {}): void {
  guest = new MessageGuest(4);
  errors = [];
  messages = new GuestMessages(guest, {
    bound: 2,
    onError: (error) => errors.push(error),
    ...options,
  });
  for (let vp = 0; vp < 3; vp++) messages.attachVp(vp, guest.owner(vp));
}

export const withCode = (code: string, message?: string): Error =>
  expect.objectContaining({ code, ...(message !== undefined && { message }) }) as Error;
/** What the guest has read from a SINT. */
export const received = (vp: number, sint: number): number[] =>
  guest.received.get(`${vp}:${sint}`) ?? [];

/** Has the guest read until there is nothing more. */
export function readAll(vp: number, sint: number): number[] {
  while (guest.read(vp, sint)) guest.notify(messages);
  return received(vp, sint);
}
