import { expect } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { Vp } from '../../../lib/index.js';
import type { FakeVp } from '../../fake-vps.js';
import { openDescriptors } from '../../open-descriptors.js';
import { vpOf } from '../../vp-of.js';
import { FakeHost } from '../fake-host.js';

/** The present test's own, which keeps each call of the addon. */
export let host: FakeHost;
/** VP 0 of it. */
export let vp: Vp;
/** What the addon has of it. */
export let fake: FakeVp;

/** For `beforeEach()`: the test leaves no descriptor open. */
export function setUp() {
  const before = openDescriptors();
  host = new FakeHost();
  vp = vpOf(host.partition, 0);
  fake = host.native.vps.of(vp.fd);
  host.native.record();
  return () => {
    host[Symbol.dispose]();
    expect(openDescriptors()).toBe(before);
  };
}

export const halt = encodeMessage('halt', { instructionLength: 1, rip: 0x1000 });
export const code = (expected: string): unknown => expect.objectContaining({ code: expected });
/** What the addon was called for. */
export const names = (): string[] => host.native.calls.map(({ name }) => name);
