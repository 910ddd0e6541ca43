import { createHandle, type Handle } from '../handle.js';

/** Who wants to know that a partition has mapped memory. They end with the partition. */
const listeners = new WeakMap<object, Set<() => void>>();

/**
 * Calls `listener` after each time that the partition maps memory, in this environment.
 *
 * @returns ends this; harmless a second time
 */
export function onMapping(partition: object, listener: () => void): Handle {
  const present = listeners.get(partition) ?? new Set();
  listeners.set(partition, present);
  // Its own, so that one that is given twice is called twice and taken away once.
  const own = (): void => {
    listener();
  };
  present.add(own);
  return createHandle('the listener of mappings', {
    isOpen: () => present.has(own),
    end: () => present.delete(own),
  });
}

/** The partition has mapped memory. What it does for that must not throw. */
export function announceMapping(partition: object): void {
  for (const listener of [...(listeners.get(partition) ?? [])]) {
    listener();
  }
}
