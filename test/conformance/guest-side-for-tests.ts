import { afterAll } from 'vitest';

import { openGuestSide, type GuestSide } from '../guest-side.js';

/** The guest's side for all tests of a file: open at once, and closed after the `afterAll` hooks that come later. */
export async function guestSideForTests(): Promise<GuestSide> {
  const guest = await openGuestSide();
  afterAll(() => {
    guest[Symbol.dispose]();
  });
  return guest;
}
