import * as fc from 'fast-check';
import { it } from 'vitest';

import { GuestMessages } from '../../../lib/synic/guest-messages.js';
import {
  allSequences,
  bound,
  expectNothingLost,
  keepingSequences,
  MessageModel,
  RealMessages,
  vps,
} from '../../message-model.js';
import { MessageGuest } from './message-guest.js';

// The queues over a fake partition. test/conformance/synic-model.test.ts has them over a driver.

function setUp(): { model: MessageModel; real: RealMessages } {
  const guest = new MessageGuest(vps);
  const real = new RealMessages(guest, (onError) => {
    const messages = new GuestMessages(guest, { bound, onError });
    const attached = Array.from({ length: vps }, (_, vp) => messages.attachVp(vp, guest.owner(vp)));
    return {
      messages,
      end: () => {
        messages.reset();
        for (const one of attached) one[Symbol.dispose]();
      },
    };
  });
  return { model: new MessageModel(), real };
}

it('agrees with lists after any sequence of calls', async () => {
  await fc.assert(
    fc.asyncProperty(allSequences(80), (sequence) => fc.asyncModelRun(setUp, sequence)),
    { numRuns: 150, seed: 4 },
  );
});

it('loses, doubles and reorders nothing, whatever is retargeted, restored and transferred', async () => {
  await fc.assert(
    fc.asyncProperty(keepingSequences(80), async (sequence) => {
      let state = setUp();
      await fc.asyncModelRun(() => (state = setUp()), sequence);
      await expectNothingLost(state.real);
    }),
    { numRuns: 80, seed: 5 },
  );
});
