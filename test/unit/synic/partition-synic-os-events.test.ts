import { constants } from 'node:os';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';

import { hypercalls } from '../../../lib/abi/hypercalls.js';
import { EventFd, hvStatusCodes } from '../../../lib/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { create, errors, host, ports, setUp, synic } from '../synic-on-host.js';

const { EIO } = constants.errno;
const payload = Uint8Array.of(1, 2, 3);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('on a host', () => {
  beforeEach(setUp);

  describe('an event port with an OS event', () => {
    let event: EventFd;
    const place = { gpa: 0xd000_0000n, size: 4, match: 7 } as const;
    const asked: [number, number][] = [];

    beforeEach(() => {
      asked.length = 0;
      event = EventFd.create({ native: host.native });
      synic[Symbol.dispose]();
      create({
        hostEventDoorbell: (connectionId, minimumVtl) => {
          asked.push([connectionId, minimumVtl]);
          return connectionId === 9 ? undefined : place;
        },
      });
      return () => {
        event.close();
      };
    });

    /** What a port could have left behind. */
    const left = () => ({
      ports: synic.portMap.size,
      doorbells: host.partition.doorbells.length,
      driver: host.driver.doorbells.all.length,
      monitors: inspect(synic.monitorSupport),
      descriptors: openDescriptors(),
    });

    it('has it bound to a doorbell where there is one', () => {
      expect(ports.preferOsEvents).toBe(true);
      const before = left();
      const port = ports.addEventPort(3, 2, { osEvent: event });
      expect(asked).toEqual([[3, 2]]);
      expect(host.driver.doorbells.all).toMatchObject([{ gpa: place.gpa, size: 4, match: 7n }]);
      host.partition.doorbells[0]?.event.signal();
      expect(event.tryRead()).toBe(1n);
      // The guest may call the hypervisor all the same.
      expect(synic.portMap.handleSignalEvent(2, 3, 0)).toBe(0);
      expect(event.tryRead()).toBe(1n);
      port[Symbol.dispose]();
      port[Symbol.dispose]();
      expect(left()).toEqual(before);
      expect(event.closed).toBe(false);
    });

    it('has it signalled by the dispatcher where there is none', () => {
      ports.addEventPort(9, 0, { osEvent: event });
      expect(asked).toEqual([[9, 0]]);
      expect(host.partition.doorbells).toEqual([]);
      expect(synic.portMap.handleSignalEvent(0, 9, 0)).toBe(0);
      expect(event.tryRead()).toBe(1n);
    });

    it('has it signalled by the dispatcher where nobody knows of doorbells', () => {
      create();
      expect(ports.preferOsEvents).toBe(false);
      ports.addEventPort(3, 0, { osEvent: event });
      expect(synic.newHostEventPort(3, 0, event)).toBeUndefined();
      expect(host.partition.doorbells).toEqual([]);
      synic.portMap.handleSignalEvent(0, 3, 0);
      expect(event.tryRead()).toBe(1n);
    });

    it('has no doorbell where it has no OS event', () => {
      ports.addEventPort(3, 0, { handleEvent: () => undefined });
      expect(asked).toEqual([]);
    });

    it.each<[string, string, () => void]>([
      [
        'the connection id is in use',
        'ERR_MSHV_CONNECTION_ID_IN_USE',
        () => {
          ports.addEventPort(3, 0, { handleEvent: () => undefined });
        },
      ],
      [
        'the doorbell is in use',
        'ERR_MSHV_DOORBELL_IN_USE',
        () => {
          host.partition.registerDoorbell(place);
        },
      ],
      [
        'the monitor id is in use',
        'ERR_MSHV_MONITOR_ID_IN_USE',
        () => {
          synic.monitorSupport.registerMonitor(5, 8, 0);
        },
      ],
      [
        'the driver refuses',
        'EIO',
        () => {
          host.native.record((name) => (name === 'ioeventfd' ? EIO : undefined));
        },
      ],
      [
        'the event is closed',
        'ERR_MSHV_CLOSED',
        () => {
          event.close();
        },
      ],
      [
        'the event is of another addon',
        'ERR_INVALID_ARG_TYPE',
        () => {
          event.close();
          event = EventFd.create();
        },
      ],
      [
        'the partition is closed',
        'ERR_MSHV_CLOSED',
        () => {
          host.partition.close();
        },
      ],
    ])('leaves nothing behind where %s', (_, error, prepare) => {
      prepare();
      const before = left();
      const add = (): unknown =>
        ports.addEventPort(3, 0, { osEvent: event }, { monitorId: 5, latency: 100 });
      expect(add).toThrow(code(error));
      expect(left()).toEqual(before);
      expect(asked).toHaveLength(error === 'ERR_MSHV_CONNECTION_ID_IN_USE' ? 0 : 1);
    });

    it.each([
      ['no object', null, 'ERR_INVALID_ARG_TYPE'],
      ['something else', { ...place, event: 1 }, 'ERR_INVALID_ARG_VALUE'],
      ['no address', {}, 'ERR_INVALID_ARG_TYPE'],
    ])('leaves nothing behind where it gets %s for a place', (_, wrong, error) => {
      create({ hostEventDoorbell: () => wrong as typeof place });
      const before = left();
      expect(() => ports.addEventPort(3, 0, { osEvent: event })).toThrow(code(error));
      expect(left()).toEqual(before);
    });

    it('leaves nothing behind where nobody can say where', () => {
      const failed = new Error('no');
      create({
        hostEventDoorbell: () => {
          throw failed;
        },
      });
      const before = left();
      expect(() => ports.addEventPort(3, 0, { osEvent: event })).toThrow(failed);
      expect(left()).toEqual(before);
    });

    it('can be disposed of after the partition is closed', () => {
      const handles = [
        ports.addEventPort(3, 0, { osEvent: event }, { monitorId: 5, latency: 100 }),
        ports.addMessagePort(4, 0, { handleMessage: () => undefined }),
        ports.newGuestMessagePort(0, 0, 2),
        ports.newGuestEventPort(1, 0, 0, 2, 3),
        synic.attachVp(1),
        synic,
      ];
      // A message that waits: taking back the request for its notification is refused.
      host.native.hypervisor = ({ code: called }) =>
        called === hypercalls.HVCALL_POST_MESSAGE_DIRECT.code
          ? { status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE }
          : undefined;
      void ports.postMessage(0, 1, 2, 1, payload);
      void synic.attachVp(0);
      void ports.postMessage(0, 0, 2, 1, payload);
      host.partition.close();
      for (const handle of [...handles, ...handles]) handle[Symbol.dispose]();
      expect(left()).toMatchObject({
        ports: 0,
        monitors: 'PolledMonitorPages { monitors: 0, pages: 0 }',
      });
      expect([synic.messages.size, errors]).toEqual([0, []]);
    });
  });
});
