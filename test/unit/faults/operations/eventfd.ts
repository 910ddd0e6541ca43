import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'vitest';

import { EventFd, type EventFdToken, type Handle, Interrupt } from '../../../../lib/index.js';
import type { Operation } from '../engine.js';
import type { Situation, Step } from '../situation.js';

/** An operation on an eventfd. */
function onEvent(
  name: string,
  initial: number,
  act: (event: EventFd, own: (event: EventFd) => EventFd) => unknown,
  outcome?: Operation['outcome'],
): Operation {
  return {
    name,
    arrange: (situation) => {
      const event = situation.own(EventFd.create({ native: situation.native, initial }));
      return () => act(event, (made) => situation.own(made));
    },
    ...(outcome && { outcome }),
  };
}

/** Where somebody else was faster there is nothing to read, which is no error. */
const whereEmpty =
  (outcome: 'done' | 'otherwise'): NonNullable<Operation['outcome']> =>
  ({ name }, { errno }) =>
    (name === 'eventfdRead' || name === 'read') && errno === 'EAGAIN' ? outcome : undefined;

/** What the event loop cannot read it reads when it comes to it again. */
const readAgain = ({ name }: Step, index: number): 'done' | undefined =>
  name === 'read' && index > 0 ? 'done' : undefined;

/** Waits for a count that comes only when somebody waits. */
async function signalledAnd(
  event: EventFd,
  wait: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const left = new AbortController();
  const waiting = wait(left.signal);
  waiting.catch(() => undefined);
  try {
    await Promise.race([waiting, nextTurn()]);
    event.signal(5);
    await waiting;
  } finally {
    left.abort();
  }
}

function takenBackAtEnd(situation: Situation, token: EventFdToken): void {
  const { native } = situation;
  situation.atEnd(() => {
    if (Atomics.load(token.offer, 0) === 0) EventFd.receive(token, { native }).close();
  });
}

export const eventfds: readonly Operation[] = [
  {
    name: 'EventFd.create()',
    arrange: (situation) => () => situation.own(EventFd.create({ native: situation.native })),
  },
  {
    name: 'EventFd.create() of a semaphore',
    arrange: (situation) => () =>
      situation.own(EventFd.create({ native: situation.native, semaphore: true, initial: 3 })),
  },
  {
    name: 'partition.createEvent()',
    arrange: (situation) => () => situation.own(situation.partition.createEvent({ initial: 3 })),
  },
  {
    name: 'device.createEvent()',
    arrange: (situation) => () => situation.own(situation.device.createEvent({ initial: 3 })),
  },
  {
    name: 'EventFd.adopt()',
    arrange: (situation) => {
      const { native } = situation;
      const fd = EventFd.create({ native }).release();
      let adopted: EventFd | undefined;
      situation.atEnd(() => {
        if (adopted === undefined) EventFd.adopt(fd, { native }).close();
      });
      return () => {
        adopted = situation.own(EventFd.adopt(fd, { native }));
      };
    },
  },
  {
    name: 'event.share()',
    arrange: (situation) => {
      const event = situation.own(EventFd.create({ native: situation.native }));
      return () => {
        takenBackAtEnd(situation, event.share());
      };
    },
    steps: 'share',
  },
  {
    name: 'EventFd.receive()',
    arrange: (situation) => {
      const { native } = situation;
      const token = situation.own(EventFd.create({ native, initial: 5 })).share();
      takenBackAtEnd(situation, token);
      return () => situation.own(EventFd.receive(token, { native }));
    },
    steps: 'receiveEventfd',
  },
  onEvent('event.signal()', 0, (event) => {
    event.signal();
  }),
  onEvent('event.signal(n)', 5, (event) => {
    event.signal(2n);
  }),
  onEvent('event.fd', 0, (event) => event.fd),
  {
    name: 'event.signal() of one that others have',
    arrange: (situation) => {
      const event = situation.own(EventFd.create({ native: situation.native }));
      expect(event.fd).toBeGreaterThan(2);
      // The thread's timer is made once.
      event.signal();
      return () => {
        event.signal(2n);
      };
    },
  },
  onEvent('event.tryRead()', 5, (event) => event.tryRead(), whereEmpty('otherwise')),
  onEvent('event.pending', 5, (event) => event.pending),
  onEvent('event.wait(), with a count there', 5, (event) => event.wait(), whereEmpty('done')),
  onEvent(
    'event.wait()',
    0,
    (event) => signalledAnd(event, (signal) => event.wait({ signal })),
    (step, fault, index) => whereEmpty('done')(step, fault, index) ?? readAgain(step, index),
  ),
  onEvent(
    'event.watch()',
    0,
    async (event) => {
      let watching: Handle | undefined;
      try {
        await signalledAnd(
          event,
          () =>
            new Promise((resolve) => {
              watching = event.watch(resolve);
            }),
        );
      } finally {
        watching?.close();
      }
    },
    (step, _, index) => readAgain(step, index),
  ),
  onEvent(
    'for await of an event, as such',
    5,
    async (event) => {
      for await (const count of event) {
        expect(count).toBe(5n);
        return;
      }
    },
    whereEmpty('done'),
  ),
  onEvent(
    'for await of an event, by counts()',
    5,
    async (event) => {
      for await (const count of event.counts()) {
        expect(count).toBe(5n);
        return;
      }
    },
    whereEmpty('done'),
  ),
  onEvent('event.clone()', 5, (event, own) => own(event.clone())),
  onEvent('event.release()', 5, (event, own) => {
    own(EventFd.adopt(event.release()));
  }),
  onEvent('event.ref() and unref()', 0, (event) => {
    event.unref().ref();
  }),
  ...(['close', Symbol.dispose] as const).map((method) =>
    onEvent(`${String(method)} of an event`, 0, (event) => {
      event[method]();
    }),
  ),
  {
    name: 'interrupt.event',
    arrange: (situation) => {
      const { native } = situation;
      const interrupt = situation.own(Interrupt.fromFunction(() => undefined, { native }));
      return () => {
        expect(interrupt.event.closed).toBe(false);
      };
    },
  },
  {
    name: 'an interrupt that is an event, delivered',
    arrange: (situation) => {
      const event = situation.own(EventFd.create({ native: situation.native }));
      return () => {
        using interrupt = Interrupt.fromEvent(event);
        expect(interrupt.event).toBe(event);
        interrupt.deliver();
      };
    },
  },
];
