import { once } from 'node:events';
import { inspect } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';

import { EventFd } from '../../../lib/index.js';
import { linuxNative } from '../../../lib/native.js';
import { Interrupt } from '../../../lib/irq/interrupt.js';
import { openDescriptors } from '../../open-descriptors.js';

describe('an interrupt made of a function', () => {
  it('calls it, and throws what it throws', () => {
    const deliver = vi.fn();
    const interrupt = Interrupt.fromFunction(deliver);
    interrupt.deliver();
    interrupt.deliver();
    expect(deliver).toHaveBeenCalledTimes(2);
    const error = new Error('no');
    deliver.mockImplementation(() => {
      throw error;
    });
    expect(() => {
      interrupt.deliver();
    }).toThrow(error);
  });

  it('has an event that calls it, made once and closed with it', async () => {
    const before = openDescriptors();
    const { port1, port2 } = new MessageChannel();
    const interrupt = Interrupt.fromFunction(() => {
      port1.postMessage('delivered');
    });
    expect(openDescriptors()).toBe(before);
    const { event } = interrupt;
    expect(interrupt.event).toBe(event);
    const delivered = once(port2, 'message');
    event.signal();
    expect(await delivered).toEqual(['delivered']);
    expect(event.pending).toBe(false);
    port1.close();
    interrupt[Symbol.dispose]();
    interrupt[Symbol.dispose]();
    expect(event.closed).toBe(true);
    expect(openDescriptors()).toBe(before);
    const another = interrupt.event;
    expect(another).not.toBe(event);
    another.close();
    expect(interrupt.event.closed).toBe(false);
    interrupt[Symbol.dispose]();
  });

  it('closes an event that it cannot watch', () => {
    const before = openDescriptors();
    const native = { ...linuxNative(), watch: () => -24 };
    using interrupt = Interrupt.fromFunction(() => undefined, { native });
    expect(() => interrupt.event).toThrow(expect.objectContaining({ code: 'EMFILE' }));
    expect(openDescriptors()).toBe(before);
  });
});

describe('an interrupt made of an event', () => {
  it('signals it, and borrows it', () => {
    using event = EventFd.create();
    const interrupt = Interrupt.fromEvent(event);
    expect(interrupt.event).toBe(event);
    interrupt.deliver();
    interrupt.deliver();
    expect(event.tryRead()).toBe(2n);
    interrupt[Symbol.dispose]();
    expect(event.closed).toBe(false);
    event.close();
    expect(() => {
      interrupt.deliver();
    }).toThrow(expect.objectContaining({ code: 'ERR_MSHV_CLOSED' }));
  });
});

describe('Interrupt.null', () => {
  it('does nothing, with an event nevertheless', () => {
    const before = openDescriptors();
    Interrupt.null.deliver();
    const { event } = Interrupt.null;
    expect(Interrupt.null.event).toBe(event);
    event.signal();
    Interrupt.null.deliver();
    expect(event.tryRead()).toBe(1n);
    Interrupt.null[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  });
});

it('tells what it is made of', () => {
  using event = EventFd.create();
  const shown = [
    Interrupt.null,
    Interrupt.fromFunction(() => undefined),
    Interrupt.fromEvent(event),
  ].map((interrupt) => inspect(interrupt));
  expect(shown).toEqual([
    "Interrupt { delivers: 'nothing' }",
    "Interrupt { delivers: 'function' }",
    "Interrupt { delivers: 'event' }",
  ]);
});
