import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { refusals } from './argument.js';
import { errorOf, host, shown, state, subjects, useSubjects } from './subjects.js';
import { titled } from './table.js';

useSubjects();

/** Whatever is done with these throws, and so looking what they are. */
const revoked: readonly unknown[] = [{}, [], () => undefined].flatMap((target) => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return [proxy, new Proxy(proxy, {})];
});

const takesTypes = titled.filter(([, { argument }]) =>
  argument.wrong.some(({ error }) => error === 'type'),
);

it.each(takesTypes)('%s: no revoked proxy', async (_, row) => {
  const before = state();
  for (const value of revoked) {
    expect(await errorOf(subjects[row.subject], row.method, row.args(value))).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining(`The "${row.argument.name}" argument must be `) as string,
    });
    expect(host.native.calls).toEqual([]);
  }
  expect(state()).toEqual(before);
});

it.each(titled)('%s', async (_, row) => {
  const { name, accepts, wrong } = row.argument;
  const before = state();
  for (const { value, error, shown: special = shown(value) } of wrong) {
    const refused = await errorOf(subjects[row.subject], row.method, row.args(value));
    expect(refused).toBeInstanceOf(refusals[error].class);
    expect(refused).toMatchObject({
      code: refusals[error].code,
      message: `The "${name}" argument must be ${accepts}, received ${special}`,
    });
    expect(host.native.calls).toEqual([]);
  }
  expect(state()).toEqual(before);
});

/**
 * Where -0 is to be seen in a value: in what it has, what its accessors say, and in how it shows itself.
 * Not in what belongs to the test.
 */
function negativeZeros(value: unknown, path: string, depth = 3, seen = new Set()): string[] {
  if (typeof value === 'string') return /(?<![\w.])-0(?![\w.])/.test(value) ? [path] : [];
  if (typeof value === 'number') return Object.is(value, -0) ? [path] : [];
  if (typeof value !== 'object' || value === null || seen.has(value) || depth === 0) return [];
  seen.add(value);
  if (value === host.native || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return [];
  const found =
    typeof Reflect.get(value, inspect.custom) === 'function'
      ? negativeZeros(inspect(value), path, depth, seen)
      : [];
  const prototype: unknown = Object.getPrototypeOf(value);
  const keys = [value, prototype === Object.prototype ? {} : prototype].flatMap((holder) =>
    Object.entries(Object.getOwnPropertyDescriptors(holder ?? {}))
      .filter(([, property]) => property.get !== undefined || typeof property.value !== 'function')
      .map(([key]) => key),
  );
  for (const key of keys) {
    let inside: unknown;
    try {
      inside = Reflect.get(value, key);
    } catch {
      continue; // An accessor of something that is closed, or not there.
    }
    found.push(...negativeZeros(inside, `${path}.${key}`, depth - 1, seen));
  }
  return found;
}

describe('-0 is 0', () => {
  // receive() takes over the descriptor of a token, and these have none to give away.
  const taken = titled.filter(([, row]) => row.argument.takesZero && row.method !== 'receive');

  it('for many arguments', () => {
    expect(taken.length).toBeGreaterThan(100);
  });

  it.each(taken)('%s', (_, { subject, method, args, argument }) => {
    const given = args(-0);
    const holder = subjects[subject];
    const called: unknown = method === 'new' ? holder : Reflect.get(holder, method);
    if (typeof called !== 'function') throw new Error(`there is no ${method}()`);
    let result: unknown;
    let error: unknown;
    try {
      result =
        method === 'new'
          ? Reflect.construct(called, given)
          : (Reflect.apply(called, holder, given) as unknown);
    } catch (thrown) {
      error = thrown;
    }
    // Not awaited: some of these promises are about what only a guest does.
    if (result instanceof Promise) result.catch(() => undefined);
    expect(String(error)).not.toContain(`"${argument.name}" argument must be ${argument.accepts},`);
    const { calls } = host.native;
    // What is refused is shown as it was given: a fixed interrupt has no vector 0.
    const text = error instanceof Error ? error.message.replace(/received -0$/, '') : undefined;
    expect(negativeZeros({ result, text, calls, subjects }, 'seen', 6)).toEqual([]);
    if (typeof result === 'object' && result !== null && Symbol.dispose in result) {
      (result as Disposable)[Symbol.dispose]();
    }
  });
});

it('cuts long values short in messages', async () => {
  const error = await errorOf(subjects.event, 'signal', ['x'.repeat(10_000)]);
  expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  expect(String(error).length).toBeLessThan(250);
});

it('refuses an asynchronous batch and does nothing of it', async () => {
  const { irqfd, route } = subjects;
  const before = state();
  const record = async () => {
    route.mask();
    irqfd.newRoute();
    await Promise.resolve();
  };
  expect(await errorOf(irqfd, 'batch', [record])).toMatchObject({
    code: 'ERR_INVALID_RETURN_VALUE',
    message: expect.stringContaining(
      'record() must not be asynchronous, it returned Promise',
    ) as string,
  });
  expect(state()).toEqual(before);
});
