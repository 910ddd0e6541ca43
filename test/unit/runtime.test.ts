import { afterEach, beforeEach, expect, it } from 'vitest';

import { EventFd } from '../../lib/index.js';

// The refusals of other runtimes, where this one says that it is such: `npm run versions -- bun deno` runs the real ones.

const { versions } = process;
let event: EventFd;

beforeEach(() => {
  event = EventFd.create();
  Object.defineProperty(process, 'versions', { value: { ...versions, bun: '1.4' } });
});

afterEach(() => {
  Object.defineProperty(process, 'versions', { value: versions });
  event.close();
});

const refused: unknown = expect.objectContaining({
  code: 'ERR_MSHV_RUNTIME',
  message: expect.stringMatching(/^cannot watch eventfd \d+: Bun has no uv_poll_init/) as string,
});

it('watch() throws in Bun, before Bun ends the process', () => {
  expect(() => event.watch(() => undefined)).toThrow(refused);
});

it('wait() and iterators reject in Bun where nothing is there', async () => {
  event.signal(3);
  expect(await event.wait()).toBe(3n);
  await expect(event.wait()).rejects.toEqual(refused);
  await expect(event[Symbol.asyncIterator]().next()).rejects.toEqual(refused);
  event.signal();
  expect(event.pending).toBe(true);
  expect(event.tryRead()).toBe(1n);
});
