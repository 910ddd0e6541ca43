import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import {
  DirectGuestEventPort,
  GuestMessages,
  HypercallDispatcher,
  MonitorPages,
  MsiRouteTable,
  type MshvError,
  SynicPortMap,
  type GuestHypercall,
  type HypercallDefinition,
} from '../../lib/index.js';
import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { Simulator } from '../../lib/sim/index.js';

// What functions of the caller's return where something is awaited, or where it must not be: promises that reject late,
// and objects that only look like promises. Nothing is thrown where nobody hears it, and no rejection is left unheard.

const failure = new Error('of a handler');

/** Of each kind: what is returned, and what it comes to. */
const thenables: Record<
  string,
  () => { value: unknown; comes: 'value' | 'failure' | 'never' | 'throws' | 'revoked' }
> = {
  'a promise that resolves': () => ({ value: Promise.resolve(), comes: 'value' }),
  'a promise that rejects': () => ({ value: Promise.reject(failure), comes: 'failure' }),
  'a promise that rejects late': () => ({
    value: new Promise((_, reject) => {
      setImmediate(reject, failure);
    }),
    comes: 'failure',
  }),
  'a promise with a constructor that throws': () => ({
    value: Object.defineProperty(Promise.resolve(), 'constructor', {
      get: () => {
        throw failure;
      },
    }),
    comes: 'failure',
  }),
  'a promise whose then() returns nothing': () => ({
    value: Object.assign(Promise.resolve(), {
      then: (resolve: () => void) => {
        resolve();
      },
    }),
    comes: 'value',
  }),
  'a then() that calls back twice, and throws': () => ({
    value: {
      then: (resolve: () => void, reject: (error: unknown) => void) => {
        resolve();
        resolve();
        reject(failure);
        throw failure;
      },
    },
    comes: 'value',
  }),
  'a then() that rejects twice': () => ({
    value: {
      then: (_: unknown, reject: (error: unknown) => void) => {
        reject(failure);
        setImmediate(reject, failure);
      },
    },
    comes: 'failure',
  }),
  'a then() that throws': () => ({
    value: {
      then: () => {
        throw failure;
      },
    },
    comes: 'failure',
  }),
  'a then() that never calls back': () => ({ value: { then: () => undefined }, comes: 'never' }),
  'a then() that resolves with one that rejects': () => ({
    value: {
      then: (resolve: (value: unknown) => void) => {
        resolve(Promise.reject(failure));
      },
    },
    comes: 'failure',
  }),
  'a function with a then()': () => ({
    value: Object.assign(() => undefined, {
      then: (_: unknown, reject: (error: unknown) => void) => {
        reject(failure);
      },
    }),
    comes: 'failure',
  }),
  'a getter of then that throws the second time': () => {
    let looked = 0;
    return {
      value: {
        get then() {
          if (++looked > 1) throw failure;
          return () => undefined;
        },
      },
      comes: 'failure',
    };
  },
  'a getter of then that throws': () => ({
    value: {
      get then(): never {
        throw failure;
      },
    },
    comes: 'throws',
  }),
  'a proxy that throws': () => ({
    value: new Proxy(
      {},
      {
        has: () => {
          throw failure;
        },
      },
    ),
    comes: 'throws',
  }),
  'a revoked proxy': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return { value: proxy, comes: 'revoked' };
  },
  'a revoked proxy of a function': () => {
    const { proxy, revoke } = Proxy.revocable(() => undefined, {});
    revoke();
    return { value: proxy, comes: 'revoked' };
  },
};

const kinds = Object.entries(thenables).map(([name, make]) => [name, make] as const);

/** The causes that are reported. */
function reportedOf(comes: string): unknown[] {
  if (comes === 'revoked') return [expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' })];
  return comes === 'failure' || comes === 'throws' ? [failure] : [];
}

const unheard: unknown[] = [];
const hear = (error: unknown): void => {
  unheard.push(error);
};
beforeAll(() => {
  process.on('unhandledRejection', hear);
});
afterAll(() => {
  process.off('unhandledRejection', hear);
});

/** Long enough for all that the values above do, and for Node to find what nobody hears. */
async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

let errors: MshvError[];
let portMap: SynicPortMap;
const onError = (error: MshvError): void => {
  errors.push(error);
};
beforeEach(() => {
  errors = [];
  unheard.length = 0;
  portMap = new SynicPortMap({ onError });
});

describe.each(kinds)('%s', (_, make) => {
  it('makes a batch throw, once, and apply nothing', async () => {
    using simulator = new Simulator();
    const partition = simulator.open().createPartition();
    partition.initialize();
    const { value, comes } = make();
    expect(() =>
      partition.irqfd.batch(() => {
        partition.irqfd.newRoute();
        return value;
      }),
    ).toThrow(
      comes === 'throws'
        ? failure
        : expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_RETURN_VALUE' }),
    );
    expect(partition.irqfd.size).toBe(0);
    await turns();
    expect(unheard).toEqual([]);
  });

  it('answers a message, or is reported', async () => {
    const { value, comes } = make();
    portMap.addMessagePort(1, 0, { handleMessage: () => value });
    const post = (): number => portMap.handlePostMessage(0, 1, false, Uint8Array.of(1));
    const first = post();
    await turns();
    const again = comes === 'throws' || comes === 'revoked' ? first : post();
    const failed = Array(2).fill(hvStatusCodes.HV_STATUS_OPERATION_FAILED);
    expect([first, again]).toEqual(
      {
        value: [hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS, hvStatusCodes.HV_STATUS_SUCCESS],
        failure: [
          hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS,
          hvStatusCodes.HV_STATUS_OPERATION_FAILED,
        ],
        never: [
          hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS,
          hvStatusCodes.HV_STATUS_INSUFFICIENT_BUFFERS,
        ],
        throws: failed,
        revoked: failed,
      }[comes],
    );
    expect(errors.map(({ cause }) => cause)).toEqual(reportedOf(comes));
    expect(unheard).toEqual([]);
  });

  it('lets an event be handled again when it has settled, and is reported', async () => {
    const { value, comes } = make();
    let calls = 0;
    portMap.addEventPort(1, 0, { handleEvent: () => (calls++ === 0 ? value : undefined) });
    portMap.handleSignalEvent(0, 1, 0);
    portMap.handleSignalEvent(0, 1, 0);
    await turns();
    expect(calls).toBe(comes === 'never' ? 1 : 2);
    expect(errors.map(({ cause }) => cause)).toEqual(reportedOf(comes));
    expect(unheard).toEqual([]);
  });

  const call = (code: number, memory: () => unknown, handle: () => unknown): number => {
    const dispatcher = new HypercallDispatcher({
      portMap,
      memory: { read: memory as () => boolean },
      onError,
    });
    dispatcher.add({ code, name: 'HvMine', inputSize: 8, handle } as HypercallDefinition);
    const hypercall: GuestHypercall = {
      vpIndex: 0,
      vtl: 0,
      is64Bit: true,
      controlLow: code,
      controlHigh: 0,
      inputGpa: 0x1000n,
      outputGpa: 0n,
      copyFastInput: () => undefined,
    };
    return dispatcher.dispatch(hypercall).status;
  };

  it.each<[string, (value: unknown) => number]>([
    [
      'the handler of a hypercall',
      (value) =>
        call(
          0x1234,
          () => true,
          () => value,
        ),
    ],
    [
      'read() of the memory',
      (value) =>
        call(
          0x1234,
          () => value,
          () => 0,
        ),
    ],
  ])('fails a hypercall, by %s, and is reported', async (__, dispatch) => {
    expect(dispatch(make().value)).toBe(hvStatusCodes.HV_STATUS_OPERATION_FAILED);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_HYPERCALL_HANDLER' }]);
    await turns();
    expect(unheard).toEqual([]);
  });

  it('is no page of a monitor', async () => {
    const page = (): Uint8Array => make().value as Uint8Array;
    const pages = new MonitorPages(portMap, {
      memory: { page, allocatePage: () => make().value as bigint },
      onError,
    });
    expect(() => pages.allocateMonitorPage(0)).toThrow();
    expect(pages.monitorPage(0)).toBeUndefined();
    await turns();
    expect(unheard).toEqual([]);
  });

  it('is no answer of a partition whose event is signalled', async () => {
    const signalEvent = (): boolean => make().value as boolean;
    const port = new DirectGuestEventPort({ hasVp: () => true, signalEvent }, { onError });
    port.set(0, 0, 2, 5);
    port.interrupt().deliver();
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_EVENT_REFUSED' }]);
    expect(() => port.signal()).toThrow();
    await turns();
    expect(unheard).toEqual([]);
  });

  it('is no answer of a partition that a message is posted to, and no notification', async () => {
    let answer: unknown;
    const messages = new GuestMessages(
      { hasVp: () => true, postMessage: () => answer as number },
      { onError },
    );
    answer = make().value;
    void messages.postMessage(0, 0, 2, 1, Uint8Array.of(1));
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_MESSAGE_REFUSED' }]);
    expect(messages.size).toBe(0);

    answer = hvStatusCodes.HV_STATUS_OBJECT_IN_USE;
    messages.attachVp(1, { setDeliverabilityNotifications: () => make().value });
    void messages.postMessage(0, 1, 2, 1, Uint8Array.of(1));
    expect(errors.at(-1)).toMatchObject({ code: 'ERR_MSHV_NOTIFICATION' });
    await turns();
    expect(unheard).toEqual([]);
  });

  it('is no answer of the driver to a routing table', async () => {
    const table = new MsiRouteTable(() => make().value as number);
    const msi = { address: 0xfee0_0000n, data: 0x41 };
    expect(() => table.commit([{ gsi: 24, msi }])).toThrow();
    expect([table.size, table.unknown]).toEqual([0, true]);
    await turns();
    expect(unheard).toEqual([]);
  });
});
