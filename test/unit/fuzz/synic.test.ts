import fc from 'fast-check';
import { describe, expect } from 'vitest';

import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { monitorPageLayout } from '../../../lib/abi/synic.js';
import { MshvError } from '../../../lib/errors.js';
import { MonitorPages } from '../../../lib/synic/monitor-pages.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import { anyBytes, anyUint32, anyUint64, fuzz, mutated } from './fuzz.js';

const statuses: readonly number[] = [
  hvStatusCodes.HV_STATUS_SUCCESS,
  hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID,
  hvStatusCodes.HV_STATUS_OPERATION_DENIED,
  hvStatusCodes.HV_STATUS_INVALID_PARAMETER,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS,
  hvStatusCodes.HV_STATUS_OPERATION_FAILED,
];

const returned: fc.Arbitrary<() => unknown> = fc.constantFrom<() => unknown>(
  () => undefined,
  () => true,
  () => false,
  () => null,
  () => {
    throw new Error('its fault');
  },
  () => Promise.resolve(true),
  () => Promise.resolve(false),
  () => Promise.reject(new Error('its fault')),
  () => ({ then: 'nothing to call' }),
  () => ({
    get then(): never {
      throw new Error('its fault');
    },
  }),
  () => ({
    then: () => {
      throw new Error('its fault');
    },
  }),
);

const connection = fc.nat({ max: 5 });
// Mostly such as may, and are, handled.
const vtl = fc.oneof(fc.constant(3), fc.nat({ max: 15 }));
const type = fc.oneof(
  fc.constant(1),
  fc.constantFrom(0, 1, 2, 0x7fff_ffff, 0x8000_0000),
  anyUint32,
);

type Step =
  | { kind: 'port'; connection: number; vtl: number; event: boolean; handle: () => unknown }
  | { kind: 'remove'; index: number }
  | { kind: 'post'; connection: number; vtl: number; bytes: Uint8Array; type: number }
  | { kind: 'signal'; connection: number; vtl: number; flag: number }
  | { kind: 'reset' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({
      kind: fc.constant('port' as const),
      connection,
      vtl,
      event: fc.boolean(),
      handle: returned,
    }),
    fc.record({ kind: fc.constant('remove' as const), index: fc.nat({ max: 20 }) }),
    fc.record({
      kind: fc.constant('post' as const),
      connection: fc.oneof(connection, anyUint32),
      vtl,
      bytes: fc.uint8Array({ maxLength: 300, size: 'max' }),
      type,
    }),
    fc.record({
      kind: fc.constant('signal' as const),
      connection: fc.oneof(connection, anyUint32),
      vtl,
      flag: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 0xffff })),
    }),
    fc.record({ kind: fc.constant('reset' as const) }),
  ),
  { maxLength: 40, size: 'max' },
);

describe('the port map', () => {
  fuzz(
    'answers whatever guests send with a status of its table, whatever handlers do',
    300,
    fc.property(steps, (all) => {
      const onError = (error: MshvError): void => {
        expect(error.code).toBe('ERR_MSHV_PORT_HANDLER');
      };
      const map = new SynicPortMap({ onError });
      const made: Disposable[] = [];
      for (const step of all) {
        switch (step.kind) {
          case 'port': {
            const { connection, vtl, event, handle } = step;
            try {
              made.push(
                event
                  ? map.addEventPort(connection, vtl, { handleEvent: handle, flagCount: 20 })
                  : map.addMessagePort(connection, vtl, { handleMessage: handle }),
              );
            } catch (error) {
              expect(error).toMatchObject({ code: 'ERR_MSHV_CONNECTION_ID_IN_USE' });
            }
            break;
          }
          case 'remove':
            made[step.index]?.[Symbol.dispose]();
            break;
          case 'post': {
            const { connection, vtl, bytes, type } = step;
            expect(statuses).toContain(map.handlePostMessage(vtl, connection, false, bytes, type));
            break;
          }
          case 'signal':
            expect(statuses).toContain(map.handleSignalEvent(step.vtl, step.connection, step.flag));
            break;
          case 'reset':
            map.reset();
        }
        expect(map.size).toBeLessThanOrEqual(6);
      }
    }),
  );
});

const { size, triggerGroups, triggerGroupSize, triggersPerGroup, monitors } = monitorPageLayout;
const gpa = 0x12_3000n;

/** Where the trigger of a monitor id is: the byte in the page, and the bit in it. */
function triggerOf(id: number): [at: number, bit: number] {
  const group = Math.floor(id / triggersPerGroup);
  const inGroup = id % triggersPerGroup;
  return [triggerGroups + group * triggerGroupSize + (inGroup >> 3), 1 << (inGroup & 7)];
}

/** The first bytes of a page have a meaning; the others come rarely. */
const page = fc.oneof(
  anyBytes(64).map((head) => {
    const bytes = new Uint8Array(size);
    bytes.set(head);
    return bytes;
  }),
  mutated(fc.constant(new Uint8Array(size).fill(0xff))),
);

const registered = fc.array(
  fc.record({
    id: fc.oneof(fc.constantFrom(0, 31, 32, 33, 39, 64, 127), fc.nat({ max: monitors - 1 })),
    latency: fc.nat({ max: 0xffff }),
    // Nobody's, a message port's, or one whose handler throws.
    connection: fc.nat({ max: 3 }),
  }),
  { maxLength: 12 },
);

/** A port map with its monitors, and the ids that were signalled. */
function monitored(
  all: readonly { id: number; latency: number; connection: number }[],
  bytes: Uint8Array,
) {
  const portMap = new SynicPortMap({ onError: () => undefined });
  const signalled: number[] = [];
  portMap.addMessagePort(1, 0, { handleMessage: () => true });
  const pages = new MonitorPages(portMap, {
    memory: { page: (at) => (at === gpa ? bytes : undefined) },
  });
  const ids = new Map<number, number>();
  for (const { id, latency, connection } of all) {
    if (ids.has(id)) continue;
    ids.set(id, latency);
    if (connection >= 2) {
      portMap.addEventPort(1000 + id, 0, {
        handleEvent: (flag) => {
          expect(flag).toBe(0);
          signalled.push(id);
          if (connection === 3) throw new Error('its fault');
        },
      });
    }
    pages.registerMonitor(id, connection >= 2 ? 1000 + id : connection, latency);
  }
  pages.setMonitorPage(0, gpa);
  return { pages, signalled, ids };
}

/** The bits that enable the groups of these ids. */
const groupsOf = (ids: Map<number, number>): number =>
  [...ids.keys()].reduce((mask, id) => mask | (1 << (id >> 5)), 0);

describe('monitor pages', () => {
  fuzz(
    'signal only what is registered and set when they are polled, enable its groups, and change nothing else',
    300,
    fc.property(
      page,
      registered,
      fc.array(anyUint64, { minLength: 1, maxLength: 4 }),
      (bytes, all, times) => {
        const { pages, signalled, ids } = monitored(all, bytes);
        for (const now of times.sort((a, b) => (a < b ? -1 : 1))) {
          const before = Uint8Array.from(bytes);
          signalled.length = 0;
          const next = pages.poll(now);
          expect(next === undefined).toBe(ids.size === 0);
          if (next !== undefined) expect(next).toBeGreaterThan(now);
          expect(new Set(signalled).size).toBe(signalled.length);
          const expected = Uint8Array.from(before);
          expected[0] = (expected[0] ?? 0) | groupsOf(ids);
          for (const id of ids.keys()) {
            const [at, bit] = triggerOf(id);
            const cleared = ((before[at] ?? 0) & ~(bytes[at] ?? 0) & bit) !== 0;
            if (cleared) expected[at] = (expected[at] ?? 0) & ~bit;
            if (signalled.includes(id)) expect(cleared).toBe(true);
          }
          expect(Buffer.compare(bytes, expected)).toBe(0);
        }
      },
    ),
  );

  fuzz(
    'signal only what is registered and written when writes are trapped',
    300,
    fc.property(
      fc.oneof(
        fc.integer({ min: -70, max: 70 }).map((at) => gpa + BigInt(at)),
        fc.integer({ min: -70, max: 70 }).map((at) => gpa + 4096n + BigInt(at)),
        anyUint64,
      ),
      fc.oneof(fc.uint8Array({ maxLength: 64, size: 'max' }), page),
      registered,
      (at, bytes, all) => {
        const { pages, signalled, ids } = monitored(all, new Uint8Array(size));
        const given = Uint8Array.from(bytes);
        const inside = at < gpa + 4096n && at + BigInt(bytes.length) > gpa;
        expect(pages.handleWrite(at, bytes)).toBe(inside);
        expect(Buffer.compare(bytes, given)).toBe(0);
        for (const id of signalled) {
          expect(ids.has(id)).toBe(true);
          const [byte, bit] = triggerOf(id);
          expect((bytes[Number(gpa + BigInt(byte) - at)] ?? 0) & bit).not.toBe(0);
        }
        expect(pages.handleRead(at, bytes)).toBe(inside);
        const expected = given.map((byte, i) => {
          const inPage = at + BigInt(i) - gpa;
          if (inPage === 0n) return groupsOf(ids);
          return inPage > 0n && inPage < 4096n ? 0 : byte;
        });
        expect(Buffer.compare(bytes, expected)).toBe(0);
      },
    ),
  );
});
