import { constants } from 'node:os';
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { SynicPorts } from '../../../lib/index.js';
import { create, errors, host, memory, ports, setUp, synic } from '../synic-on-host.js';

const { ENOMEM, ENOTSUP } = constants.errno;
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('on a host', () => {
  beforeEach(setUp);

  describe('its monitor pages', () => {
    const pageAt = 0x1_1000n;
    let signalled: number;

    /** The bytes of that page in the memory that is mapped at 0x10000 from 0x1000 on. */
    const inMemory = 0x2000;

    beforeEach(() => {
      signalled = 0;
      vi.useFakeTimers();
      return () => {
        vi.useRealTimers();
      };
    });

    function monitor(latency: number): void {
      const handleEvent = () => signalled++;
      ports.addEventPort(5, 0, { handleEvent }, { monitorId: 33, latency });
    }

    /** Sets monitor id 33, and enables its group. */
    function trigger(offset = inMemory): void {
      memory.write(offset, Uint8Array.of(0b0010));
      memory.write(offset + 16, Uint8Array.of(0b10));
    }
    const isSet = (): boolean => memory.read(inMemory + 16, 1)[0] === 0b10;

    const set = (gpa: bigint | undefined): void => {
      synic.monitorSupport.setMonitorPage(0, gpa);
    };

    it('are polled where they are mapped', () => {
      monitor(50_000);
      set(pageAt);
      trigger();
      vi.advanceTimersByTime(2);
      expect([signalled, isSet()]).toEqual([1, false]);
      trigger();
      vi.advanceTimersByTime(3);
      expect([signalled, isSet()]).toEqual([1, true]);
      vi.advanceTimersByTime(3);
      expect([signalled, isSet()]).toEqual([2, false]);
    });

    it('are polled where the runtime has no buffer over the memory', () => {
      vi.spyOn(host.native, 'memoryBuffer').mockReturnValue(-ENOTSUP);
      monitor(0);
      set(pageAt);
      memory.write(inMemory + 16, Uint8Array.of(0b110));
      vi.advanceTimersByTime(2);
      // The host has enabled the group, and left another's trigger alone.
      expect([...memory.read(inMemory, 1), ...memory.read(inMemory + 16, 1)]).toEqual([
        0b10, 0b100,
      ]);
      expect([signalled, errors]).toEqual([1, []]);
      memory.close();
      vi.advanceTimersByTime(5);
      expect([signalled, errors, vi.getTimerCount()]).toEqual([1, [], 0]);
    });

    it('are polled in memory that is mapped in place of other', () => {
      monitor(0);
      set(pageAt);
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      host.partition.mapMemory(memory, { gpa: pageAt, offset: 0x6000, size: 0x1000 });
      trigger(0x6000);
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
    });

    it.each<[string, () => void]>([
      [
        'nothing is mapped there',
        () => {
          host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
        },
      ],
      [
        'the guest’s writes are trapped',
        () => {
          host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
          host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000, writable: false });
        },
      ],
      [
        'their memory is closed',
        () => {
          memory.close();
        },
      ],
      [
        'the partition is closed',
        () => {
          host.partition.close();
        },
      ],
    ])('are not polled where %s', (_, prepare) => {
      trigger();
      prepare();
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(10);
      expect(signalled).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
      // Which is for whoever traps them.
      expect(synic.monitorSupport.handleWrite(pageAt + 16n, Uint8Array.of(2))).toBe(true);
      expect(signalled).toBe(1);
    });

    it('are polled no more where their memory is closed meanwhile', () => {
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(1);
      memory.close();
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      expect(errors).toEqual([]);
    });

    it('are polled no further where a handler closes their memory', () => {
      monitor(0);
      let handled = 0;
      for (const [id, connection] of [
        [1, 0x51],
        [2, 0x52],
      ] as const) {
        new SynicPorts(synic).addEventPort(
          connection,
          0,
          {
            handleEvent: () => {
              handled++;
              memory.close();
            },
          },
          { monitorId: id, latency: 0 },
        );
      }
      set(pageAt);
      const words = Uint32Array.of(0xf, 0, 0b110, 0);
      memory.write(inMemory, new Uint8Array(words.buffer));
      vi.advanceTimersByTime(5);
      expect([handled, errors, vi.getTimerCount()]).toEqual([1, [], 0]);
    });

    it('are polled as soon as their memory is mapped, whatever is mapped before and after', () => {
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      const elsewhere = host.partition.mapMemory(memory, { gpa: 0x9_0000 });
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      trigger();
      const again = host.partition.mapMemory(memory, { gpa: 0x1_0000, offset: 0x1000 });
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
      elsewhere.unmap();
      again.unmap();
      vi.advanceTimersByTime(5);
      expect(vi.getTimerCount()).toBe(0);
      synic[Symbol.dispose]();
      host.partition.mapMemory(memory, { gpa: 0x1_0000 });
      expect(vi.getTimerCount()).toBe(0);
    });

    it('are enabled by the host, for a guest that never does', () => {
      monitor(0);
      set(pageAt);
      memory.write(inMemory + 16, Uint8Array.of(0b10));
      vi.advanceTimersByTime(5);
      expect([signalled, ...memory.read(inMemory, 4)]).toEqual([1, 0b10, 0, 0, 0]);
    });

    it('are reported, not fatal, where memory that came later cannot be looked at', () => {
      monitor(0);
      host.partition.unmapMemory({ gpa: 0x1_0000, size: 0x4000 });
      set(pageAt);
      host.partition.mapMemory(memory, { gpa: 0x1_0000 });
      host.native.record((name) => (name === 'memoryBuffer' ? ENOMEM : undefined));
      vi.advanceTimersByTime(5);
      expect(errors).toMatchObject([{ code: 'ERR_MSHV_MONITOR_PAGE', cause: { code: 'ENOMEM' } }]);
      // It may be there in a second.
      expect(vi.getTimerCount()).toBe(1);
    });

    it('come from a pool, zeroed, and go back there', () => {
      create({ monitorPages: [0x9_0000n, pageAt, 0x1_2000n] });
      monitor(0);
      memory.fill(0xff);
      const allocate = (vtl: number): unknown => ports.monitorSupport?.allocateMonitorPage(vtl);
      // The first one is not mapped.
      expect(allocate(0)).toEqual({ parentToChild: 0n, childToParent: pageAt });
      expect(memory.read(0x2000, 4096).every((byte) => byte === 0)).toBe(true);
      expect([memory.read(0x1fff, 1)[0], memory.read(0x3000, 1)[0]]).toEqual([0xff, 0xff]);
      expect(allocate(1)).toEqual({ parentToChild: 0n, childToParent: 0x1_2000n });
      expect(allocate(2)).toBeUndefined();
      trigger();
      vi.advanceTimersByTime(2);
      expect(signalled).toBe(1);
      set(undefined);
      expect(allocate(2)).toEqual({ parentToChild: 0n, childToParent: pageAt });
      synic.reset();
      expect([allocate(0), allocate(1), allocate(2)]).toMatchObject([
        { childToParent: 0x1_2000n },
        { childToParent: pageAt },
        undefined,
      ]);
      host.partition.close();
      set(undefined);
      expect(() => allocate(0)).toThrow(code('ERR_MSHV_CLOSED'));
    });

    it('are none where there is no pool', () => {
      expect(ports.monitorSupport?.allocateMonitorPage(0)).toBeUndefined();
    });

    it.each(['reset', Symbol.dispose] as const)('are polled no more after %s', (method) => {
      monitor(0);
      set(pageAt);
      vi.advanceTimersByTime(5);
      synic[method]();
      expect(vi.getTimerCount()).toBe(0);
      trigger();
      vi.advanceTimersByTime(5);
      expect(signalled).toBe(0);
    });
  });
});
