import { describe, expect, it } from 'vitest';

import { encodeMessage } from '../../lib/sim/encode-message.js';
import { commonMessages, x64Messages } from '../../lib/abi/messages/table.js';
import {
  GuestMemory,
  HypercallDispatcher,
  type Partition,
  SynicPortMap,
  type Vp,
} from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';
import { hypercall } from '../guest-hypercall.js';

// Whoever is handed an array can transfer the buffer behind it, to a Worker for one, and the array is empty then.

const types = Object.keys({ ...commonMessages, ...x64Messages }) as Parameters<
  typeof encodeMessage
>[0][];
const halt = encodeMessage('halt', {});

/** Transfers a buffer as often as it can be, and says whether it went. */
function transfer(buffer: ArrayBufferLike): boolean {
  try {
    structuredClone(undefined, { transfer: [buffer as ArrayBuffer] });
    return true;
  } catch {
    return false;
  }
}

/** Transfers the buffers of all arrays that an object has, its own and inherited, whatever TypeScript says of them. */
function transferAll(object: object): number {
  let transferred = 0;
  for (
    let level: unknown = object;
    level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  )
    for (const name of Object.getOwnPropertyNames(level)) {
      const value: unknown = name === 'constructor' ? undefined : Reflect.get(object, name);
      if (ArrayBuffer.isView(value) && transfer(value.buffer)) transferred++;
    }
  return transferred;
}

function onVp(use: (vp: Vp, simulator: Simulator, partition: Partition) => void): void {
  using simulator = new Simulator();
  using partition: Partition = simulator.open().createPartition();
  partition.initialize();
  using vp = partition.createVp(0);
  use(vp, simulator, partition);
}

describe('what an exit hands out', () => {
  it.each(types)('can be transferred: %s', (type) => {
    onVp((vp, simulator, partition) => {
      for (let round = 0; round < 2; round++) {
        simulator.queueMessage(partition, 0, encodeMessage(type, {}));
        const exit = vp.run();
        expect(exit?.type).toBe(type);
        // The payload, at least, which is a copy.
        expect(transferAll(exit ?? {})).toBeGreaterThan(0);
        expect(exit?.type).toBe(type);
      }
    });
  });

  it('can be transferred by a handler, and the run goes on', async () => {
    using simulator = new Simulator();
    using partition: Partition = simulator.open().createPartition();
    partition.initialize();
    using vp = partition.createVp(0);
    const bytes = { instructionBytes: Uint8Array.of(1, 2, 3) };
    for (const message of [encodeMessage('unmapped-gpa', bytes), halt])
      simulator.queueMessage(partition, 0, message);
    const seen: string[] = [];
    const run = vp.start((exit) => {
      seen.push(exit.type);
      transferAll(exit);
      return exit.type === 'halt' ? 'stop' : undefined;
    });
    expect(await run.finished).toBe('stopped');
    expect(seen).toEqual(['unmapped-gpa', 'halt']);
  });

  it('stays what it was when the VP has run on', () => {
    onVp((vp, simulator, partition) => {
      const bytes = { instructionBytes: Uint8Array.of(1, 2, 3) };
      for (const message of [encodeMessage('unmapped-gpa', bytes), halt])
        simulator.queueMessage(partition, 0, message);
      const exit = vp.run();
      const handedOut = exit?.type === 'unmapped-gpa' ? exit.instructionBytes : undefined;
      vp.run();
      expect(handedOut).toEqual(Uint8Array.of(1, 2, 3));
    });
  });

  it('of the intercept page can be transferred, and the page is there', () => {
    onVp((vp, simulator, partition) => {
      simulator.queueMessage(partition, 0, halt);
      vp.run();
      const message = vp.interceptPage?.current;
      const payload = message?.payload;
      expect(payload === undefined || transfer(payload.buffer)).toBe(true);
      expect(message?.messageType).toBe(vp.interceptPage?.current.messageType);
      expect(message?.payload.length).not.toBe(0);
    });
  });
});

it('a hypercall’s input is there for the next call, whatever its handler transfers', () => {
  const dispatcher = new HypercallDispatcher({
    portMap: new SynicPortMap(),
    memory: { read: (_, into) => into.fill(5).length > 0 },
    onError: (error) => {
      throw error;
    },
  });
  const seen: number[] = [];
  const code = 0x8001;
  dispatcher.add({
    code,
    name: 'a call of the VMM’s',
    inputSize: 8,
    handle: ({ input }) => {
      seen.push(input.getUint8(7));
      expect(transfer(input.buffer)).toBe(false);
      return 0;
    },
  });
  for (let call = 0; call < 2; call++)
    expect(dispatcher.dispatch(hypercall({ code, input: 0x1000n })).status).toBe(0);
  expect(seen).toEqual([5, 5]);
});

it('a bitmap of pages does not change with its words', () => {
  onVp((vp, simulator, partition) => {
    using memory = GuestMemory.allocate(0x4000, { native: Simulator.native });
    partition.mapMemory(memory, { gpa: 0 });
    // The driver maps pages when the guest first accesses one.
    const access = encodeMessage('gpa-intercept', { access: 'write', gpa: 0x1000 });
    for (const message of [access, halt]) simulator.queueMessage(partition, 0, message);
    expect(vp.run()?.type).toBe('halt');
    simulator.writeMemory(partition, 0x1000, Uint8Array.of(1));
    const dirty = partition.dirtyPages({ gpa: 0, size: 0x4000 });
    const { words } = dirty;
    expect([...words]).toEqual([2n]);
    expect(dirty.words).toBe(words);
    words[0] = 0n;
    expect(transfer(words.buffer)).toBe(true);
    expect([dirty.count, dirty.has(0x1000), ...dirty]).toEqual([1, true, 0x1000n]);
  });
});
