import { describe, expect, it } from 'vitest';

import {
  GuestMemory,
  GuestMessages,
  MonitorPages,
  PartitionSynic,
  SynicPortMap,
  SynicPorts,
  x64Registers,
  type Mshv,
  type Partition,
  type Vp,
} from '../../lib/index.js';
import { encodeMessage, Simulator } from '../../lib/sim/index.js';
import { enableSynic } from '../enable-synic.js';
import { pageIn } from '../page-in.js';
import { byteParameters } from './byte-parameters.js';

// Whatever takes bytes takes them from any memory that is there, and refuses by name what is not there any more.

type Bytes = Uint8Array | Uint32Array | BigUint64Array;

/** Something public that takes bytes, of one kind of array. */
interface Taker {
  /** As errors call it. */
  readonly argument: string;
  /** Bytes that it takes, anew for each call: it may write them. */
  readonly bytes: () => Bytes;
  /** Has it take them, in a world of its own. Returns what shows that it has. */
  readonly take: (bytes: Bytes) => unknown;
}

/** A partition with VP 0 and 64 KiB of memory at 0. */
class World implements Disposable {
  readonly simulator = new Simulator();
  readonly device: Mshv = this.simulator.open();
  readonly partition: Partition = this.device.createPartition();
  readonly vp: Vp;
  readonly memory = GuestMemory.allocate(1 << 16, { native: Simulator.native, shared: true });

  constructor() {
    this.partition.initialize();
    this.vp = this.partition.createVp(0);
    this.partition.mapMemory(this.memory, { gpa: 0 });
  }

  [Symbol.dispose](): void {
    this.simulator.close();
    this.memory.close();
  }
}

/** What is taken in a world of its own. */
function taker<Array extends Bytes>(
  argument: string,
  bytes: () => Array,
  take: (world: World, bytes: Array) => unknown,
): Taker {
  return {
    argument,
    bytes,
    take: (given) => {
      using world = new World();
      return take(world, given as Array);
    },
  };
}

const eight = (): Uint8Array => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const registers = (): Uint32Array => Uint32Array.of(x64Registers.RAX, x64Registers.RIP);
const values = (): BigUint64Array => BigUint64Array.of(1n, 2n, 3n, 4n);

/** Of HVCALL_GET_PARTITION_PROPERTY: PROCESSOR_VENDOR. */
function propertyInput(): Uint8Array {
  const input = new Uint8Array(16);
  new DataView(input.buffer).setUint32(8, 0x60000, true);
  return input;
}
const getProperty = 'HVCALL_GET_PARTITION_PROPERTY';

/** What a partition is posted by `post`. */
function posted(post: (messages: GuestMessages) => unknown): unknown[] {
  const seen: unknown[] = [];
  const messages = new GuestMessages({
    hasVp: () => true,
    postMessage: (_vtl, _vp, _sint, _type, payload) => {
      seen.push([...payload]);
      return 0;
    },
  });
  post(messages);
  return seen;
}

/** A page at 0x1000 whose trigger 5 signals connection 1. */
function monitor(use: (pages: MonitorPages) => unknown): unknown[] {
  const seen: unknown[] = [];
  const portMap = new SynicPortMap();
  portMap.addEventPort(1, 0, { handleEvent: (flag) => seen.push(flag) });
  const pages = new MonitorPages(portMap);
  pages.registerMonitor(5, 1, 0);
  pages.setMonitorPage(0, 0x1000n);
  return [...seen, use(pages), ...seen];
}

const slot = (world: World): unknown => world.vp.getState('simp').subarray(2 * 256, 3 * 256);

const takers: Record<string, Taker> = {
  'GuestMemory#write(bytes)': taker('bytes', eight, ({ memory }, bytes) => {
    memory.write(4, bytes);
    return memory.read(0, 16);
  }),
  'GuestMessages#postMessage(payload)': taker('payload', eight, (_, bytes) =>
    posted((messages) => messages.postMessage(0, 0, 2, 1, bytes)),
  ),
  'GuestMessages#restore(saved.queues[].messages[].payload)': taker(
    'saved.queues[0].messages[0].payload',
    eight,
    (_, payload) =>
      posted((messages) => {
        messages.restore({
          queues: [{ vtl: 0, vp: 0, sint: 2, messages: [{ type: 1, payload }] }],
        });
      }),
  ),
  'MonitorPages#handleRead(bytes)': taker('bytes', eight, (_, bytes) =>
    monitor((pages) => pages.handleRead(0x1000n, bytes)),
  ),
  'MonitorPages#handleWrite(bytes)': taker('bytes', eight, (_, bytes) =>
    monitor((pages) => pages.handleWrite(0x1008n, bytes)),
  ),
  'Mshv#hypercall(options.input)': taker('options.input', propertyInput, ({ device }, input) =>
    device.hypercall({ code: getProperty, input }),
  ),
  'Partition#readMemory(into)': taker('into', eight, ({ memory, partition }, into) => {
    memory.fill(7);
    return partition.readMemory(0, into);
  }),
  'Partition#writeMemory(bytes)': taker('bytes', eight, ({ memory, partition }, bytes) => {
    partition.writeMemory(4, bytes);
    return memory.read(0, 16);
  }),
  'PartitionCalls#getRegisters(names)': taker('names', registers, ({ partition }, names) => {
    partition.setRegisters(0, registers(), values());
    return partition.getRegisters(0, names);
  }),
  'PartitionCalls#getRegisters(values)': taker('values', values, ({ partition }, into) => {
    partition.setRegisters(0, registers(), values().reverse());
    return partition.getRegisters(0, registers(), into) === into;
  }),
  'PartitionCalls#hypercall(options.input)': taker(
    'options.input',
    propertyInput,
    ({ partition }, input) => partition.hypercall({ code: getProperty, input }),
  ),
  'PartitionCalls#postMessageDirect(message.payload)': taker(
    'message.payload',
    eight,
    (world, payload) => {
      enableSynic(world.partition, 0);
      world.partition.postMessageDirect({ vp: 0, sint: 2, type: 1, payload });
      return slot(world);
    },
  ),
  'PartitionCalls#setRegisters(names)': taker('names', registers, ({ partition }, names) => {
    partition.setRegisters(0, names, values());
    return partition.getRegisters(0, registers());
  }),
  'PartitionCalls#setRegisters(values)': taker('values', values, ({ partition }, given) => {
    partition.setRegisters(0, registers(), given);
    return partition.getRegisters(0, registers());
  }),
  'PartitionSynic#postMessage(message[])': taker('payload', eight, (world, bytes) => {
    enableSynic(world.partition, 0);
    void new PartitionSynic(world.partition).postMessage(0, 0, 2, 1, bytes);
    return slot(world);
  }),
  'RegisterPage#copyGeneral(out)': taker(
    'out',
    () => new BigUint64Array(18),
    ({ simulator, partition, vp }, out) => {
      partition.setRegisters(0, registers(), values());
      simulator.queueMessage(partition, 0, encodeMessage('halt'));
      vp.run();
      const page = vp.registerPage;
      if (page === undefined) throw new Error('there is no register page');
      return page.copyGeneral(out) === out;
    },
  ),
  'ScriptedGuest#postMessage(payload)': taker('payload', eight, (world, bytes) => {
    const { simulator, partition, memory, vp } = world;
    simulator.guest(partition, 0).postMessage(1, 1, bytes, 0x1000);
    // Where nobody handles the hypercall, the run would go on.
    simulator.queueMessage(partition, 0, encodeMessage('halt'));
    vp.run();
    return memory.read(0x1000, 256);
  }),
  'Simulator#queueMessage(message)': taker(
    'message',
    () => encodeMessage('halt'),
    ({ simulator, partition, vp }, message) => {
      simulator.queueMessage(partition, 0, message);
      return vp.run()?.type;
    },
  ),
  'Simulator#writeMemory(bytes)': taker('bytes', eight, (world, bytes) => {
    // The first access to a page is the driver's, which pages it in.
    pageIn(world.simulator, world.partition, 0n, 'write');
    world.simulator.writeMemory(world.partition, 4, bytes);
    return world.memory.read(0, 16);
  }),
  'SynicPortMap#handlePostMessage(message)': taker('message', eight, (_, bytes) => {
    const seen: unknown[] = [];
    const portMap = new SynicPortMap();
    portMap.addMessagePort(1, 0, { handleMessage: (message) => seen.push([...message]) > 0 });
    return [portMap.handlePostMessage(0, 1, false, bytes), seen];
  }),
  'SynicPorts#postMessage(payload)': taker('payload', eight, (world, bytes) => {
    enableSynic(world.partition, 0);
    void new SynicPorts(new PartitionSynic(world.partition)).postMessage(0, 0, 2, 1, bytes);
    return slot(world);
  }),
  'Vp#hypercall(options.input)': taker('options.input', propertyInput, ({ vp }, input) =>
    vp.hypercall({ code: getProperty, input }),
  ),
  'Vp#setState(state)': taker(
    'state',
    () => new Uint8Array(4096).fill(3),
    ({ vp }, state) => {
      vp.setState('siefp', state);
      return vp.getState('siefp');
    },
  ),
  'encodeMessage(fields.*)': taker('fields.instructionBytes', eight, (_, instructionBytes) =>
    encodeMessage('gpa-intercept', { instructionBytes }),
  ),
};

const resizable = (size: number, most: number): ArrayBuffer =>
  Reflect.construct(ArrayBuffer, [size, { maxByteLength: most }]) as ArrayBuffer;

function viewOf<Array extends Bytes>(bytes: Array, buffer: ArrayBufferLike, tracks = false): Array {
  const length = tracks ? [] : [bytes.length];
  const view = Reflect.construct(bytes.constructor, [buffer, place, ...length]) as Array;
  view.set(bytes as never);
  return view;
}
const place = 8;

const views: Record<string, (bytes: Bytes) => Bytes> = {
  'a part of a buffer': (bytes) => viewOf(bytes, new ArrayBuffer(bytes.byteLength + 2 * place)),
  'a SharedArrayBuffer': (bytes) =>
    viewOf(bytes, new SharedArrayBuffer(bytes.byteLength + 2 * place)),
  'a growable SharedArrayBuffer': (bytes) => {
    const size = bytes.byteLength + place;
    const options = { maxByteLength: 2 * size };
    const buffer = Reflect.construct(SharedArrayBuffer, [size, options]) as SharedArrayBuffer;
    return viewOf(bytes, buffer, true);
  },
  'a resizable buffer': (bytes) => {
    const size = bytes.byteLength + place;
    return viewOf(bytes, resizable(size, 2 * size));
  },
  'all of a resizable buffer that has shrunk': (bytes) => {
    const size = bytes.byteLength + place;
    const buffer = resizable(2 * size, 2 * size);
    const view = Reflect.construct(bytes.constructor, [buffer, place]) as Bytes;
    resize(buffer, size);
    view.set(bytes as never);
    return view;
  },
};

function resize(buffer: ArrayBuffer, size: number): void {
  Reflect.apply(Reflect.get(ArrayBuffer.prototype, 'resize') as () => void, buffer, [size]);
}

/** Arrays whose memory is not there any more, and one that says otherwise than it is. */
const gone: Record<string, (bytes: Bytes) => Bytes> = {
  detached: (bytes) => {
    structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
    return bytes;
  },
  'out of bounds': (bytes) => {
    const buffer = resizable(place + bytes.byteLength, place + bytes.byteLength);
    const view = viewOf(bytes, buffer);
    resize(buffer, bytes.byteLength);
    return view;
  },
  'out of bounds, and has all from an offset on': (bytes) => {
    const buffer = resizable(place + bytes.byteLength, place + bytes.byteLength);
    const view = viewOf(bytes, buffer, true);
    resize(buffer, 0);
    return view;
  },
  'longer than it says': (bytes) => Object.defineProperty(bytes, 'length', { value: 1 }),
};

it('everything public that takes bytes is here', () => {
  // Tokens are made by share() only, over memory that cannot be taken away.
  const names = byteParameters().filter((name) => !name.endsWith('(token.offer)'));
  expect(Object.keys(takers).sort()).toEqual(names);
});

describe.each(Object.entries(takers))('%s', (_, { argument, bytes, take }) => {
  it.each(Object.entries(views))('takes bytes of %s as any', (__, view) => {
    const own = bytes();
    const same = view(bytes());
    expect(take(same)).toEqual(take(own));
    // What is written into them, too.
    expect([...same]).toEqual([...own]);
  });

  it.each(Object.entries(gone))('refuses an array that is %s', (__, make) => {
    const lost = make(bytes());
    expect(() => take(lost)).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_VALUE',
        message: expect.stringContaining(`"${argument}"`) as string,
      }),
    );
  });
});
