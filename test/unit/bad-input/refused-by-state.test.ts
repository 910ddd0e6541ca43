import { describe, expect, it } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { errorOf, host, shown, state, subjects, useSubjects } from './subjects.js';

useSubjects();

describe('what only the state of an object refuses', () => {
  const refuses = async (subject: object, method: string, args: unknown[], error: object) => {
    const before = state();
    expect(await errorOf(subject, method, args)).toMatchObject(error);
    expect(state()).toEqual(before);
  };

  it.each([
    ['newRoute', {}],
    ['newResampleRoute', { vector: 0x61 }],
  ])('%s() with an EventFd of another addon', async (method, others) => {
    using event = EventFd.create();
    await refuses(subjects.irqfd, method, [{ ...others, event }], {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "options.event" argument must be an EventFd of the partition's own addon, as partition.createEvent() makes them, received ${shown(event)}`,
    });
  });

  it.each([
    ['newRoute', {}],
    ['newResampleRoute', { vector: 0x61 }],
  ])('%s() with a semaphore', async (method, others) => {
    const event = EventFd.create({ native: host.native, semaphore: true });
    await refuses(subjects.irqfd, method, [{ ...others, event }], {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "options.event" argument must be an EventFd that is no semaphore, received ${shown(event)}`,
    });
    event.close();
  });

  it('newRoute() with a closed EventFd', async () => {
    const event = EventFd.create({ native: host.native });
    event.close();
    await refuses(subjects.irqfd, 'newRoute', [{ event }], { code: 'ERR_MSHV_CLOSED' });
  });

  it('a GSI in use', async () => {
    await refuses(subjects.irqfd, 'newResampleRoute', [{ vector: 0x60 }], {
      name: 'MshvError',
      code: 'ERR_MSHV_GSI_IN_USE',
      message: 'GSI 96 is in use by an unnamed route',
    });
    const named = subjects.irqfd.newResampleRoute({ vector: 0x61, name: 'the timer' });
    await refuses(subjects.irqfd, 'newResampleRoute', [{ vector: 0x61 }], {
      message: "GSI 97 is in use by route 'the timer'",
    });
    named.close();
  });

  it('a batch in a batch', async () => {
    const { irqfd } = subjects;
    let inner: unknown;
    const before = state();
    irqfd.batch(() => {
      try {
        irqfd.batch(() => undefined);
      } catch (error) {
        inner = error;
      }
    });
    expect(inner).toMatchObject({ name: 'MshvError', code: 'ERR_MSHV_BATCH_NESTED' });
    expect(state()).toEqual(before);
    await refuses(
      irqfd,
      'batch',
      [
        () => {
          irqfd.batch(() => undefined);
        },
      ],
      {
        code: 'ERR_MSHV_BATCH_NESTED',
      },
    );
  });

  it.each(['event', 'resampleEvent'] as const)(
    "closing or releasing a route's %s",
    async (name) => {
      const event = subjects.resampleRoute[name];
      if (event === undefined) throw new Error('no such event');
      for (const method of ['close', 'release', Symbol.dispose]) {
        const before = state();
        expect(await errorOf(event, method, [])).toMatchObject({
          name: 'MshvError',
          code: 'ERR_MSHV_OWNED',
          message: expect.stringContaining('it belongs to the route of GSI 96') as string,
        });
        expect(state()).toEqual(before);
      }
    },
  );
});
