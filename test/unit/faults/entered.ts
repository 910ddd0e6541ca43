import { membersOf, publicClasses, type PublicMember } from '../public-members.js';
import { SintMessagePort } from '../../../lib/synic/sint-message-port.js';

// Which public functions and accessors a test has entered, and which of them made calls that can fail. The members
// are wrapped where they are, once for the process.

/** Also those that programs know by an interface only. */
const members: readonly PublicMember[] = [...publicClasses, SintMessagePort].flatMap(membersOf);

/** The names of all members. */
export const memberNames: readonly string[] = members.map(({ name }) => name);

/** The members that are being executed, outermost first. */
const stack: string[] = [];
/** Only what a test does counts, not what it prepares. */
let counts = false;

/** The members that were called by a test itself. */
export const entered = new Set<string>();
/** Those of them that made a call then. */
export const calling = new Set<string>();
/** The members that made a call, whoever called them. */
export const called = new Set<string>();

/** Runs `act`, and takes note of what it enters until its promise, if it is one, has settled. */
export async function watching(act: () => unknown): Promise<void> {
  counts = true;
  try {
    await act();
  } finally {
    counts = false;
  }
}

/** Likewise, for what is not asynchronous. */
export function watchingNow<Result>(act: () => Result): Result {
  counts = true;
  try {
    return act();
  } finally {
    counts = false;
  }
}

/** Takes note of a constructor, or of what else cannot be wrapped. */
export function entering<Result>(name: string, act: () => Result): Result {
  if (counts && stack.length === 0) entered.add(name);
  stack.push(name);
  try {
    return act();
  } finally {
    stack.pop();
  }
}

/** A call that can fail is being made. */
export function noteCall(): void {
  if (!counts) return;
  const [outermost] = stack;
  if (outermost !== undefined) calling.add(outermost);
  for (const name of stack) called.add(name);
}

for (const { name, holder, key } of members) {
  const property = Object.getOwnPropertyDescriptor(holder, key);
  if (property === undefined) throw new Error(`there is no ${name}`);
  const found: unknown = property.value;
  if (typeof found === 'function') {
    Object.defineProperty(holder, key, {
      ...property,
      value(this: unknown, ...args: unknown[]): unknown {
        return entering(name, (): unknown => Reflect.apply(found, this, args));
      },
    });
  } else {
    Object.defineProperty(holder, key, {
      ...property,
      get(this: unknown): unknown {
        return entering(name, (): unknown => property.get?.call(this));
      },
      ...(property.set && {
        set(this: unknown, given: unknown) {
          entering(name, () => {
            property.set?.call(this, given);
          });
        },
      }),
    });
  }
}
