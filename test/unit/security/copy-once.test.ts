import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { encodeMessage, type EncodableType } from '../../../lib/sim/encode-message.js';
import { InterceptMessages } from '../../../lib/abi/intercepts.js';
import { messageLayout } from '../../../lib/abi/message-types.js';
import { arm64Messages, commonMessages, x64Messages } from '../../../lib/abi/messages/table.js';
import { GuestMemory, hvStatusCodes, Mshv, PartitionSynic } from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import type { HypercallMemory } from '../../../lib/synic/guest-hypercall.js';
import { HypercallDispatcher } from '../../../lib/synic/hypercall-dispatcher.js';
import { MonitorPages } from '../../../lib/synic/monitor-pages.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import {
  hypercall,
  postMessage,
  postMessageInput,
  retarget,
  retargetInput,
  signalEvent,
  signalEventInput,
} from '../../guest-hypercall.js';
import { typescriptWorker } from '../../typescript-program.js';
import { FakeHost } from '../fake-host.js';
import type { HammerWork } from '../programs/hammer-memory.js';

// Other VPs write guest memory at any moment. What is checked must be what is used, so each byte is read once.

const ownCode = 0x1234;

afterEach(() => {
  vi.restoreAllMocks();
});

/** Guest memory whose bytes turn into others as soon as they were read. */
class ChangingMemory implements HypercallMemory {
  readonly bytes = new Uint8Array(0x4000);
  /** The addresses that were read more than once. */
  readonly again = new Set<number>();
  readonly #read = new Set<number>();

  read(gpa: bigint, into: Uint8Array): boolean {
    for (let i = 0; i < into.length; i++) {
      const at = Number(gpa) + i;
      if (this.#read.has(at)) this.again.add(at);
      this.#read.add(at);
      into[i] = this.bytes[at] ?? 0;
      this.bytes[at] = 0xff;
    }
    return true;
  }
}

describe('the input of a hypercall', () => {
  const payload = Uint8Array.from({ length: 240 }, (_, i) => i);
  const listed = Uint8Array.from({ length: 16 + 24 + 3 * 20 }, (_, i) => i + 1);

  it.each<
    [string, { code: number; repCount?: number; variableHeaderWords?: number }, Uint8Array, unknown]
  >([
    [
      'HvPostMessage',
      { code: postMessage },
      postMessageInput(1, payload, { type: 7 }),
      [payload, 7],
    ],
    ['HvSignalEvent', { code: signalEvent }, signalEventInput(2, 0x123), 0x123],
    [
      'HvRetargetDeviceInterrupt',
      { code: retarget, variableHeaderWords: 3 },
      retargetInput({ flags: 2 }, 0b101n, 1n, 2n ** 63n),
      [0, 191],
    ],
    [
      'a call of the VMM’s',
      { code: ownCode, variableHeaderWords: 3, repCount: 20 },
      listed,
      listed,
    ],
  ])('of %s is that of one moment: no byte is read twice', (_, call, input, expected) => {
    const memory = new ChangingMemory();
    const seen: unknown[] = [];
    const portMap = new SynicPortMap();
    portMap.addMessagePort(1, 0, {
      handleMessage: (message, _secure, type) => {
        seen.push([message, type]);
      },
    });
    portMap.addEventPort(2, 0, {
      handleEvent: (flag) => {
        seen.push(flag);
      },
    });
    const dispatcher = new HypercallDispatcher({
      portMap,
      memory,
      retargetDeviceInterrupt: ({ processors }) => {
        seen.push(processors);
        return 0;
      },
    });
    dispatcher.add({
      code: ownCode,
      name: 'HvMine',
      inputSize: 16,
      variableHeader: true,
      repInputSize: 3,
      handle: ({ input: { buffer, byteOffset }, inputSize }) => {
        seen.push(new Uint8Array(buffer, byteOffset, inputSize).slice());
        return 0;
      },
    });
    memory.bytes.set(input, 0x2000);
    expect(dispatcher.dispatch(hypercall({ ...call, input: 0x2000n })).status).toBe(0);
    expect(seen).toEqual([expected]);
    expect([...memory.again]).toEqual([]);
  });

  it('is copied by the partition once, from however many mappings', () => {
    using host = new FakeHost();
    const { native, partition } = host;
    using memory = GuestMemory.allocate(3 * 4096, { native });
    // Not in the order of the addresses.
    [2, 0, 1].forEach((page, i) => {
      partition.mapMemory(memory, { gpa: 4096 * (i + 1), offset: 4096 * page, size: 4096 });
    });
    const read = vi.spyOn(native, 'memoryRead');
    expect(partition.readMemory(0x1ff0, new Uint8Array(4096 + 32))).toBe(true);
    const ranges = read.mock.calls.map(([, offset, bytes]) => [Number(offset), bytes.length]);
    expect(ranges).toEqual([
      [2 * 4096 + 0xff0, 16],
      [0, 4096],
      [4096, 16],
    ]);
  });
});

/** The properties that an object's classes have by a getter. */
function getters(message: object): string[] {
  const keys: string[] = [];
  for (
    let at: object | null = message;
    at !== null && at !== Object.prototype;
    at = Reflect.getPrototypeOf(at)
  ) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if ('get' in property) keys.push(key);
    }
  }
  return keys;
}

describe('a page that the hypervisor writes while it is looked at', () => {
  const methods = {
    getUint8: 1,
    getUint16: 2,
    getUint32: 4,
    getInt32: 4,
    getBigUint64: 8,
  } as const;
  const types = [
    ...(['x64', 'arm64'] as const).flatMap((architecture) =>
      Object.keys({
        ...commonMessages,
        ...(architecture === 'x64' ? x64Messages : arm64Messages),
      }).map((type) => [type as EncodableType, architecture] as const),
    ),
  ];

  it.each(types)('has each field of %s (%s) read once', (type, architecture) => {
    const page = new Uint8Array(messageLayout.size);
    page.set(encodeMessage(type));
    const { current } = new InterceptMessages(page, architecture);
    expect(current.type).toBe(type);
    let read = new Set<number>();
    let again: number[] = [];
    for (const [method, size] of Object.entries(methods)) {
      const original: unknown = Reflect.get(DataView.prototype, method);
      if (typeof original !== 'function') throw new Error(method);
      vi.spyOn(DataView.prototype, method as keyof typeof methods).mockImplementation(function (
        this: DataView,
        at: number,
        ...others: unknown[]
      ) {
        const value: unknown = Reflect.apply(original, this, [at, ...others]);
        for (let i = this.byteOffset + at; i < this.byteOffset + at + size; i++) {
          if (read.has(i)) again.push(i);
          read.add(i);
          // What it is the next time.
          page[i] = 0xff;
        }
        return value as never;
      });
    }
    for (const key of getters(current)) {
      page.set(encodeMessage(type));
      page[messageLayout.payloadSize] = 40;
      read = new Set();
      again = [];
      const value: unknown = Reflect.get(current, key);
      expect({ key, again }).toEqual({ key, again: [] });
      if (key === 'payload') expect((value as Uint8Array).length).toBe(40);
    }
  });
});

describe('a trigger of a monitor page', () => {
  const page = new Uint8Array(4096);
  const words = new Int32Array(page.buffer);

  it('that the guest takes back while it is looked at is not signalled, and no other is lost', () => {
    const portMap = new SynicPortMap();
    const signalled: number[] = [];
    for (const id of [5, 6]) {
      portMap.addEventPort(id, 0, { handleEvent: () => signalled.push(id) });
    }
    const pages = new MonitorPages(portMap, { memory: { page: () => page } });
    for (const id of [5, 6]) pages.registerMonitor(id, id, 0);
    pages.setMonitorPage(0, 0x1000n);
    words[0] = 1;
    words[2] = (1 << 5) | (1 << 6);
    const { load } = Atomics;
    vi.spyOn(Atomics, 'load').mockImplementation(((array: Int32Array, index: number) => {
      const value = load(array, index);
      // The guest's other VPs: trigger 5 is not set after all, trigger 7 is.
      if (index === 2) words[2] = ((words[2] ?? 0) & ~(1 << 5)) | (1 << 7);
      return value;
    }) as typeof load);
    pages.poll(1n);
    expect(signalled).toEqual([6]);
    expect(words[2]).toBe(1 << 7);
  });
});

describe('memory that another thread writes all the time', () => {
  const gpa = 0x10_0000n;
  const [postAt, retargetAt] = [0x100, 0x400];
  const {
    HV_STATUS_SUCCESS: success,
    HV_STATUS_INVALID_PARAMETER: invalidParameter,
    HV_STATUS_INVALID_CONNECTION_ID: invalidConnectionId,
  } = hvStatusCodes;

  it('has hypercalls that are refused or right, and nothing else', async () => {
    const simulator = new Simulator();
    const native = simNative();
    using device: Mshv = simulator.open();
    const partition = device.createPartition();
    partition.initialize();
    using memory = GuestMemory.allocate(4096, { native, shared: true });
    partition.mapMemory(memory, { gpa });
    const errors: unknown[] = [];
    const synic = new PartitionSynic(partition, {
      native,
      onError: (error) => errors.push(error),
      retargetDeviceInterrupt: ({ processors, msi, vector }) => {
        expect(processors.length).toBeGreaterThan(0);
        expect(processors.length).toBeLessThanOrEqual(4096);
        for (const vp of processors) expect(vp >= 0 && vp < 4096).toBe(true);
        expect([msi.address <= 0xffff_ffffn, vector <= 0xffff_ffff]).toEqual([true, true]);
        return 0;
      },
    });
    const lengths = new Set<number>();
    synic.portMap.addMessagePort(1, 0, {
      handleMessage: (message, _secure, type) => {
        expect(message.length).toBeLessThanOrEqual(240);
        expect(type > 0 && type < 2 ** 31).toBe(true);
        lengths.add(message.length);
      },
    });
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const work: HammerWork = { memory: memory.share(), post: postAt, retarget: retargetAt, stop };
    const worker = typescriptWorker(new URL('../programs/hammer-memory.ts', import.meta.url), {
      workerData: work,
    });
    const ended = once(worker, 'exit');
    await once(worker, 'message');

    const calls = [
      hypercall({ code: postMessage, input: gpa + BigInt(postAt) }),
      hypercall({ code: retarget, input: gpa + BigInt(retargetAt), variableHeaderWords: 3 }),
    ];
    const statuses = calls.map(() => new Set<number>());
    const most = 3_000_000;
    let made = 0;
    // At least so many; and until the other thread was seen to change what is read.
    for (; made < most && (made < 20_000 || statuses.some((one) => one.size < 2)); made++) {
      calls.forEach((call, i) => {
        statuses[i]?.add(synic.hypercalls.dispatch(call).status);
      });
    }
    Atomics.store(stop, 0, 1);
    expect(await ended).toEqual([0]);
    expect(errors).toEqual([]);
    expect(made).toBeLessThan(most);
    const [posted, setTargets] = statuses.map((one) => [...one].sort((a, b) => a - b));
    expect([success, invalidParameter, invalidConnectionId]).toEqual(
      expect.arrayContaining(posted ?? []),
    );
    expect(setTargets).toEqual([success, invalidParameter]);
    expect(lengths.size).toBeGreaterThan(0);
    partition.close();
    simulator.close();
  });
});
