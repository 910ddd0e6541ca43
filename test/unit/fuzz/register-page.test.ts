import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect } from 'vitest';

import {
  dirtyMasks,
  registerPageFields,
  registerPageLayout,
  type RegisterPageName,
} from '../../../lib/abi/register-page.js';
import { encodeRegister } from '../../../lib/abi/registers.js';
import type { RegisterPage } from '../../../lib/index.js';
import { vpOf } from '../../vp-of.js';
import { FakeHost } from '../fake-host.js';
import { anyBytes, fuzz, mutated } from './fuzz.js';

const names = Object.keys(registerPageFields) as RegisterPageName[];
const size = 4096;

let host: FakeHost;
let page: RegisterPage;
let bytes: Uint8Array;

beforeAll(() => {
  host = new FakeHost();
  const vp = vpOf(host.partition, 0);
  const mapped = vp.registerPage;
  const fake = host.native.vps.of(vp.fd).pages[0];
  if (mapped === undefined || fake === undefined) throw new Error('the fake VP has no page');
  page = mapped;
  bytes = fake;
});

afterAll(() => {
  host[Symbol.dispose]();
});

/** Most pages say that they are valid. */
const contents = fc
  .tuple(
    mutated(anyBytes(registerPageLayout.size)),
    fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.nat({ max: 255 })),
  )
  .map(([head, valid]) => {
    const all = new Uint8Array(size);
    all.set(head);
    all[registerPageLayout.isValid] = valid;
    return all;
  });

/** What an action throws, by its code; undefined where it does not. */
function codeOf(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

describe('a register page of any bytes', () => {
  fuzz(
    'is read where it is valid, as values that its registers take, and nothing else is changed',
    300,
    fc.property(contents, (given) => {
      bytes.set(given);
      const valid = given[registerPageLayout.isValid] === 1;
      const expected = valid ? undefined : 'ERR_MSHV_REGISTER_PAGE_INVALID';
      expect(page.valid).toBe(valid);
      const general = new BigUint64Array(18);
      expect(codeOf(() => page.copyGeneral(general))).toBe(expected);
      expect(codeOf(() => page.rip)).toBe(expected);
      expect(codeOf(() => page.rflags)).toBe(expected);
      for (const name of names) {
        expect(codeOf(() => encodeRegister(name, page.get(name)))).toBe(expected);
      }
      expect(Buffer.compare(bytes, given)).toBe(0);
      if (!valid) return;

      // What was read and is written back leaves the bytes as they were, and every class dirty.
      let rest = page.dirty;
      for (const name of ['RAX', 'XMM5', 'GS', 'RIP', 'RFLAGS'] as const) {
        page.set(name, page.get(name));
      }
      for (const mask of Object.values(dirtyMasks)) {
        expect(page.dirty & mask).toBe(mask);
        rest |= mask;
      }
      const dirty = new Uint8Array(Uint32Array.of(rest).buffer);
      given.set(dirty, registerPageLayout.dirty);
      expect(Buffer.compare(bytes, given)).toBe(0);
    }),
  );
});
