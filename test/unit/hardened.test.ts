import { expect, it } from 'vitest';

const hardened = (process.env['MSHV_TEST_NODE_FLAGS'] ?? '').includes('--disallow-code');

it.runIf(hardened)('no code is made of strings (with npm run versions -- hardened)', () => {
  expect(() => Reflect.construct(Function, ['return 1'])).toThrow(EvalError);
});
