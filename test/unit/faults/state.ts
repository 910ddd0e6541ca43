import { readFileSync } from 'node:fs';
import { inspect, types } from 'node:util';

import { eventFdNumber } from '../../../lib/eventfd/eventfd.js';
import { EventFd, GuestMemory, Interrupt, IrqFdRoute, MshvError, Vp } from '../../../lib/index.js';

/** Accessors that make calls, and change something by it: each is an operation. */
const lazy: ReadonlyMap<object, readonly string[]> = new Map<object, readonly string[]>([
  [EventFd.prototype, ['fd', 'pending']],
  [GuestMemory.prototype, ['fd', 'buffer', 'dataView']],
  [Interrupt.prototype, ['event']],
  [IrqFdRoute.prototype, ['pending']],
  [Vp.prototype, ['registerPage', 'interceptPage']],
]);

/**
 * Everything that a program can see of an object and of what it leads to, by reading whatever can be read, so that
 * states can be compared. Descriptors are open or closed; their numbers, and a simulator's, are anybody's.
 */
export function stateOf(value: unknown, seen = new Map<object, number>()): unknown {
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return `object ${known}`;
  seen.set(value, seen.size);
  if (Array.isArray(value)) return value.map((one) => stateOf(one, seen));
  if (value instanceof Set || value instanceof Map)
    return [...value].map((one) => stateOf(one, seen));
  if (types.isPromise(value)) return 'a promise';
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  if (types.isAnyArrayBuffer(value)) return `buffer of ${value.byteLength} bytes`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const state: Record<string, unknown> = {};
  for (const key of readableKeys(value)) {
    state[key] = read(value, key, seen);
  }
  if (value instanceof EventFd) state['count'] = countOf(value);
  print(value);
  return state;
}

function readableKeys(value: object): readonly string[] {
  return [...Object.keys(value), ...accessorsOf(Object.getPrototypeOf(value))];
}

const knownAccessors = new Map<unknown, readonly string[]>();

/** The accessors of a prototype and of those behind it. */
function accessorsOf(prototype: unknown): readonly string[] {
  if (typeof prototype !== 'object' || prototype === null || prototype === Object.prototype) {
    return [];
  }
  let keys = knownAccessors.get(prototype);
  if (keys === undefined) {
    const skipped = lazy.get(prototype) ?? [];
    keys = [
      ...Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([key, property]) =>
        property.get !== undefined && !skipped.includes(key) ? [key] : [],
      ),
      ...accessorsOf(Object.getPrototypeOf(prototype)),
    ];
    knownAccessors.set(prototype, keys);
  }
  return keys;
}

const printed = new Set<unknown>();

/** What an object prints has numbers of descriptors in it; here it is enough that it can. */
function print(value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (inspect.custom in value && !printed.has(prototype)) {
    printed.add(prototype);
    inspect(value);
  }
}

function read(value: object, key: string, seen: Map<object, number>): unknown {
  try {
    const found: unknown = Reflect.get(value, key);
    if (key === 'fd') return 'open';
    return key === 'path' ? String(found).replace(/^sim:.*/, 'a simulator') : stateOf(found, seen);
  } catch (error) {
    return error instanceof MshvError ? error.code : String(error);
  }
}

/** What is in the counter, without looking through the library. */
function countOf(event: EventFd): string | undefined {
  if (event.closed) return undefined;
  const info = readFileSync(`/proc/self/fdinfo/${eventFdNumber(event)}`, 'utf8');
  return /^eventfd-count:\s*(\w+)$/m.exec(info)?.[1];
}
