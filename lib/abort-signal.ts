import { addAbortListener } from 'node:events';

import { isObject, typeError } from './arguments.js';

// An AbortSignal is known by what it is called and has, as Node's own functions know it: the class of another realm (of
// jsdom, of a polyfill) is another one than ours.

/** How long something that waits is to do so. */
export interface WaitOptions {
  /** Ends it when it aborts: an AbortSignal of any realm. */
  signal?: AbortSignal;
}

/** A signal, of whatever realm. */
export function abortSignalArgument(name: string, value: AbortSignal): AbortSignal {
  if (!isAbortSignal(value)) {
    throw typeError(name, 'an instance of AbortSignal', value);
  }
  return value;
}

function isAbortSignal(value: unknown): boolean {
  try {
    return (
      isObject(value) &&
      Object.prototype.toString.call(value) === '[object AbortSignal]' &&
      typeof Reflect.get(value, 'aborted') === 'boolean' &&
      typeof Reflect.get(value, 'addEventListener') === 'function' &&
      typeof Reflect.get(value, 'removeEventListener') === 'function'
    );
  } catch {
    // What throws when it is looked at is refused like anything else.
    return false;
  }
}

/** Why a signal has aborted. Signals of old polyfills have no reason. */
function reasonOf({ reason }: AbortSignal): unknown {
  return (reason as unknown) ?? new DOMException('This operation was aborted', 'AbortError');
}

/** Throws the signal's reason where it has aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    // An abort reason is whatever the caller chose to abort with.
    throw reasonOf(signal);
  }
}

type AbortListener = (reason: unknown) => void;

interface Waiting {
  readonly listeners: Set<{ readonly listener: AbortListener }>;
  readonly listening: Disposable;
}

/** Who waits with a signal. It has one listener for all of them: Node 20 warns where there are more than ten. */
const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `listener` with the reason when a signal aborts that has not: once, whatever other listeners of it do.
 *
 * @returns ends this; harmless a second time, and when it has aborted
 */
export function onAbort(signal: AbortSignal, listener: AbortListener): () => void {
  let present = waiting.get(signal);
  if (present === undefined) {
    present = {
      listeners: new Set(),
      listening: addAbortListener(signal, () => {
        abort(signal);
      }),
    };
    waiting.set(signal, present);
  }
  const { listeners, listening } = present;
  const own = { listener };
  listeners.add(own);
  return () => {
    if (listeners.delete(own) && listeners.size === 0) {
      waiting.delete(signal);
      listening[Symbol.dispose]();
    }
  };
}

function abort(signal: AbortSignal): void {
  const present = waiting.get(signal);
  waiting.delete(signal);
  // Not every polyfill knows of listeners that are called once.
  present?.listening[Symbol.dispose]();
  const reason = reasonOf(signal);
  for (const { listener } of present?.listeners ?? []) {
    listener(reason);
  }
}
