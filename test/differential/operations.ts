import { constants } from 'node:os';
import { inspect } from 'node:util';

import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import { hypercalls } from '../../lib/abi/hypercalls.js';
import { ioeventfdFlags } from '../../lib/abi/ioeventfd.js';
import { irqfdFlags } from '../../lib/abi/irqfd.js';
import { memoryFlags } from '../../lib/abi/memory.js';
import type { Choices } from './choices.js';
import { drawCall, drawWrongCall, gpas, guestPage, statuses, type Call } from './hypercalls.js';
import {
  isSemaphoreSlot,
  page,
  slots,
  type Kind,
  type Side,
  type VpSlot,
  type Which,
} from './side.js';

/** One operation with its arguments: the same on either side. */
export interface Step {
  readonly operation: string;
  readonly given: object;
  /** Sees nothing where there is nothing to operate on. */
  readonly perform: (side: Side) => void;
}

interface Operation {
  /** How many of them there are to one of weight 1. */
  readonly weight: number;
  readonly draw: (choices: Choices) => Step;
}

function operation<Given extends object>(
  name: string,
  weight: number,
  draw: (choices: Choices) => Given,
  perform: (side: Side, given: Given) => void,
): Operation {
  return {
    weight,
    draw: (choices) => {
      const given = draw(choices);
      return {
        operation: name,
        given,
        perform: (side) => {
          perform(side, given);
        },
      };
    },
  };
}

/** Bytes as what one can read. */
function readable(given: unknown): unknown {
  if (given instanceof Uint8Array) return Buffer.from(given).toString('hex');
  return typeof given !== 'object' || given === null || Array.isArray(given)
    ? given
    : Object.fromEntries(
        Object.entries(given)
          .filter(([, value]) => typeof value !== 'function')
          .map(([key, value]) => [key, readable(value)]),
      );
}

export function describe({ operation, given }: Step): string {
  return `${operation} ${inspect(readable(given), { breakLength: Infinity, compact: true, depth: 9, maxArrayLength: 20 })}`;
}

const slotIn = (count: number) => (choices: Choices) => choices.upTo(count - 1);
const partitionSlot = slotIn(slots.partitions);
const vpSlot = slotIn(slots.vps);
const eventSlot = slotIn(slots.events);
const memorySlot = slotIn(slots.memories);

/** Mostly a descriptor of the kind that a call wants. */
function descriptor(choices: Choices, kind: Kind, slot: (choices: Choices) => number): Which {
  if (!choices.onceIn(60)) return { kind, slot: slot(choices) };
  return {
    kind: choices.of('closed', 'device', 'partition', 'vp', 'event', 'resample'),
    slot: choices.upTo(5),
  };
}
const aPartition = (choices: Choices): Which => descriptor(choices, 'partition', partitionSlot);
const anEvent = (choices: Choices): Which => descriptor(choices, 'event', eventSlot);
const aVp = (choices: Choices): Which => descriptor(choices, 'vp', vpSlot);

const { DEASSIGN, RESAMPLE } = irqfdFlags;
/** Few, so that they meet; the last cannot be routed. */
const gsi = (choices: Choices): number =>
  choices.onceIn(25) ? choices.of(100_000, 4096, 0xffff_ffff) : choices.of(0x30, 0x31, 0, 1, 2);

const creationFlags = (choices: Choices): bigint =>
  choices.onceIn(6) ? choices.of(8n, 0x10n, 0x20n, 0x40n, 1n << 63n) : BigInt(choices.upTo(7));

const partitions: readonly Operation[] = [
  operation(
    'create partition',
    0.5,
    (choices) => ({
      slot: partitionSlot(choices),
      flags: creationFlags(choices),
      isolation: choices.onceIn(12) ? 1n : 0n,
      device: descriptor(choices, 'device', () => 0),
      v2: choices.of(false, true),
      banks: [0n, 0xfffn, 2n ** 64n - 1n, choices.of(0n, 7n)] as const,
    }),
    (side, { slot, flags, isolation, device, v2, banks }) => {
      const [, first, second, xsave] = banks;
      const fd = v2
        ? side.native.createPartitionV2(side.fd(device), flags, isolation, first, second, xsave)
        : side.native.createPartition(side.fd(device), flags, isolation);
      side.seen.push(Math.min(fd, 0));
      if (fd >= 0) side.placePartition(slot, fd);
    },
  ),
  operation(
    'initialize',
    1,
    (choices) => ({ partition: aPartition(choices) }),
    (side, { partition }) => {
      side.seen.push(side.native.initializePartition(side.fd(partition)));
    },
  ),
  operation(
    'create VP',
    1.5,
    (choices) => ({
      slot: vpSlot(choices),
      partition: aPartition(choices),
      index: choices.onceIn(8) ? choices.of(255, 256, 0xffff_ffff) : choices.upTo(2),
    }),
    (side, { slot, partition, index }) => {
      const fd = side.native.createVp(side.fd(partition), index);
      side.seen.push(Math.min(fd, 0));
      const found = side.partition(partition.slot);
      if (fd >= 0 && found !== undefined) side.placeVp(slot, fd, found, index);
    },
  ),
  operation(
    'close partition',
    0.15,
    (choices) => ({ slot: partitionSlot(choices) }),
    (side, { slot }) => {
      side.seen.push(side.closePartition(slot));
    },
  ),
  operation(
    'close VP',
    0.3,
    (choices) => ({ slot: vpSlot(choices) }),
    (side, { slot }) => {
      side.seen.push(side.closeVp(slot));
    },
  ),
];

const interrupts: readonly Operation[] = [
  operation(
    'assign',
    9,
    (choices) => ({
      partition: aPartition(choices),
      event: anEvent(choices),
      gsi: gsi(choices),
      resample: descriptor(choices, 'resample', slotIn(slots.resample)),
      flags: choices.onceIn(20) ? choices.of(4, 0x8000_0000, 6) : choices.of(0, 0, RESAMPLE),
    }),
    (side, { partition, event, gsi, resample, flags }) => {
      const error = side.native.irqfd(
        side.fd(partition),
        side.fd(event),
        side.fd(resample),
        gsi,
        flags,
      );
      side.seen.push(error);
      const found = side.partition(partition.slot);
      if (error === 0 && flags === RESAMPLE && event.kind === 'event' && found !== undefined) {
        side.resampling.set(event.slot, { partition: found, gsi });
      }
    },
  ),
  operation(
    'deassign',
    4,
    (choices) => ({
      partition: aPartition(choices),
      event: anEvent(choices),
      gsi: gsi(choices),
      flags: choices.of(0, 0, RESAMPLE),
    }),
    (side, { partition, event, gsi, flags }) => {
      const [to, fd] = [side.fd(partition), side.fd(event)];
      // With RESAMPLE the addon wants a descriptor that the driver does not look at.
      side.seen.push(side.native.irqfd(to, fd, side.device, gsi, DEASSIGN | flags));
      if (side.resampling.get(event.slot)?.gsi === gsi) side.resampling.delete(event.slot);
    },
  ),
  operation(
    'signal',
    16,
    (choices) => ({
      event: anEvent(choices),
      count: choices.onceIn(25)
        ? choices.of(0n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 2n)
        : choices.of(1n, 1n, 3n),
    }),
    (side, { event, count }) => {
      const isBlocking = event.kind === 'event' && side.blocking.has(event.slot % slots.events);
      const fd = side.fd(event);
      // The next sequence has to read it empty, one by one.
      const few = isSemaphoreSlot(event.slot % slots.events) && count > 3n ? 3n : count;
      side.seen.push(
        isBlocking
          ? side.native.eventfdSignalBounded(fd, few)
          : side.native.eventfdSignal(fd, count),
      );
    },
  ),
  operation(
    'route',
    3,
    (choices) => ({
      partition: aPartition(choices),
      reserved: choices.onceIn(25) ? 1 : 0,
      entries: choices.list(0, 4, () => [
        choices.onceIn(40) ? choices.of(4096, 0xffff_ffff) : choices.of(0x30, 0x31, 0, 1, 2),
        // Every second one is for an APIC id that a VP may have.
        (0xfee0_0000 + (choices.onceIn(2) ? choices.upTo(4) << 12 : choices.upTo(0xfffff))) >>> 0,
        choices.onceIn(40) ? 1 : 0,
        // Every second one is level-triggered, as a resample eventfd wants it.
        choices.of(0x8000, 0) | choices.upTo(0x7fff),
      ]),
    }),
    (side, { partition, reserved, entries }) => {
      const table = Uint32Array.from([entries.length, reserved, ...entries.flat()]);
      side.seen.push(side.native.setMsiRouting(side.fd(partition), table));
    },
  ),
  operation(
    'too long a table',
    0.2,
    (choices) => ({ partition: aPartition(choices), entries: choices.of(4097, 4096) }),
    (side, { partition, entries }) => {
      const table = new Uint32Array(2 + 4 * entries);
      table[0] = entries;
      side.seen.push(side.native.setMsiRouting(side.fd(partition), table));
    },
  ),
  operation(
    'read',
    3,
    (choices) => ({ event: anEvent(choices) }),
    (side, { event }) => {
      side.seen.push(side.native.eventfdRead(side.fd(event)));
    },
  ),
  operation(
    'poll',
    1,
    (choices) => ({ event: anEvent(choices) }),
    (side, { event }) => {
      side.seen.push(side.native.eventfdPoll(side.fd(event)));
    },
  ),
  operation(
    'replace event',
    1.5,
    (choices) => ({
      slot: eventSlot(choices),
      initial: choices.upTo(2),
      semaphore: choices.onceIn(3),
    }),
    (side, { slot, initial, semaphore }) => {
      side.resampling.delete(slot);
      side.placeEvent(slot, side.native.eventfdCreate(initial, semaphore));
      side.seen.push(0);
    },
  ),
  operation(
    'replace event by a blocking one',
    1.5,
    (choices) => ({ slot: eventSlot(choices) }),
    (side, { slot }) => {
      side.resampling.delete(slot);
      side.placeBlockingEvent(slot);
      side.seen.push(0);
    },
  ),
  operation(
    'move event',
    1,
    (choices) => ({ slot: eventSlot(choices) }),
    (side, { slot }) => {
      const isBlocking = side.blocking.has(slot);
      side.placeEvent(slot, side.native.dup(side.fd({ kind: 'event', slot })));
      if (isBlocking) side.blocking.add(slot);
      side.seen.push(0);
    },
  ),
  operation(
    'end of interrupt',
    4,
    (choices) => ({
      slot: partitionSlot(choices),
      vector: choices.of(0x30, 0x31, 0, 1, 2),
      // Without anybody to tell, the lab's hypervisor waits a while for the driver.
      anyway: choices.onceIn(100),
    }),
    (side, { slot, vector, anyway }) => {
      const partition = side.partition(slot);
      if (partition?.vps.has(0) !== true) return;
      const isAwaited = [...side.resampling.values()].some(
        (armed) => armed.partition === partition && armed.gsi === vector,
      );
      if (!isAwaited && !anyway) return;
      side.machine.endOfInterrupt(partition, 0, vector);
      for (const fd of side.resample) side.seen.push(side.native.eventfdRead(fd));
    },
  ),
];

const doorbellGpa = (choices: Choices): bigint =>
  choices.onceIn(20) ? choices.of(2n ** 64n - 1n, 0n) : choices.of(0xfee0_0000n, 0xfee0_0004n);

const doorbells: readonly Operation[] = [
  operation(
    'ioeventfd',
    7,
    (choices) => ({
      partition: aPartition(choices),
      event: anEvent(choices),
      gpa: doorbellGpa(choices),
      size: choices.onceIn(20) ? choices.of(3, 16) : choices.of(4, 0, 1, 2, 8),
      match: choices.of(0n, 1n, 2n ** 63n),
      flags: choices.onceIn(20)
        ? choices.of(ioeventfdFlags.PIO, 8, 0x8000_0000)
        : choices.of(0, ioeventfdFlags.DATAMATCH) | choices.of(0, ioeventfdFlags.DEASSIGN),
    }),
    (side, { partition, event, gpa, size, match, flags }) => {
      const [to, fd] = [side.fd(partition), side.fd(event)];
      side.seen.push(side.native.ioeventfd(to, fd, gpa, size, match, flags));
    },
  ),
  operation(
    'MMIO',
    5,
    (choices) => ({
      slot: partitionSlot(choices),
      gpa: doorbellGpa(choices),
      size: choices.of(4, 1, 2, 8),
      value: choices.of(0n, 1n),
    }),
    (side, { slot, gpa, size, value }) => {
      const partition = side.partition(slot);
      if (partition === undefined) return;
      side.seen.push(side.machine.writeMmio(partition, gpa, size, value));
    },
  ),
];

const halt = 0x8001_0007;
const gpaIntercept = 0x8000_0001;

/** A message of any type with a memory intercept's payload. */
function message(type: number, access: number, where: bigint): Uint8Array {
  const bytes = new Uint8Array(96);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint8(4, 80);
  view.setUint8(16 + 5, access);
  view.setBigUint64(16 + 56, where, true);
  return bytes;
}

const haltMessage = message(halt, 0, 0n);
/** How often a run may come back without an exit: it does so ten times a second. */
const patience = 50;

/** Runs a VP until it has halted, and says what it exited with. */
function run(side: Side, { fd, block }: VpSlot): void {
  const type = new DataView(block.buffer);
  for (let rounds = 0; rounds < patience;) {
    const result = side.native.vpRun(fd);
    if (result === -constants.errno.EINTR) {
      rounds++;
      continue;
    }
    side.seen.push(result);
    if (result !== 0) return;
    side.seen.push(block.slice(0, 256));
    if (type.getUint32(0, true) === halt) return;
  }
  side.seen.push(`${patience} interruptions`);
}

const memory: readonly Operation[] = [
  operation(
    'map',
    5,
    (choices) => ({
      partition: aPartition(choices),
      memory: memorySlot(choices),
      gpa: choices.onceIn(40) ? choices.of(2n ** 64n - page, 0n, 0x1001n) : choices.of(...gpas),
      offset: choices.onceIn(10) ? choices.of(519, 520) : choices.of(0, 0, 1),
      pages: choices.onceIn(15) ? choices.of(0, 519, 520) : choices.of(1, 2, 7),
      flags: choices.onceIn(25) ? choices.of(8, 0x80, 0x100) : choices.of(3, 3, 1, 0, 2),
    }),
    (side, { partition, memory, gpa, offset, pages, flags }) => {
      const [from, size] = [BigInt(offset) * page, BigInt(pages) * page];
      const to = side.fd(partition);
      side.seen.push(side.native.mapMemory(to, side.memory(memory), from, size, gpa, flags));
    },
  ),
  operation(
    'unmap',
    2.5,
    (choices) => ({
      partition: aPartition(choices),
      memory: memorySlot(choices),
      gpa: choices.onceIn(6) ? guestPage(choices) * page : choices.of(...gpas),
      offset: choices.of(0, 0, 1),
      pages: choices.onceIn(10) ? choices.of(519, 520) : choices.of(1, 2, 7),
      flags: choices.of(memoryFlags.UNMAP, memoryFlags.UNMAP | memoryFlags.WRITABLE),
    }),
    (side, { partition, memory, gpa, offset, pages, flags }) => {
      const [from, size] = [BigInt(offset) * page, BigInt(pages) * page];
      const to = side.fd(partition);
      side.seen.push(side.native.mapMemory(to, side.memory(memory), from, size, gpa, flags));
    },
  ),
  operation(
    'run',
    6,
    (choices) => ({
      slot: vpSlot(choices),
      messages: choices.list(0, 3, () => ({
        type: choices.onceIn(8)
          ? choices.of(0x8000_0000, 0x8001_0000, 0xbad)
          : choices.of(gpaIntercept),
        access: choices.upTo(3),
        page: guestPage(choices),
      })),
    }),
    (side, { slot, messages }) => {
      const vp = side.vps[slot];
      // Without its partition's descriptor nobody can tell the simulator what the guest does.
      if (vp === undefined || vp.partition.fd < 0) return;
      for (const { type, access, page: where } of messages) {
        const bytes = message(type, access, where * page + 8n);
        side.seen.push(side.machine.queueMessage(vp.partition, vp.index, bytes));
      }
      side.seen.push(side.machine.queueMessage(vp.partition, vp.index, haltMessage));
      run(side, vp);
    },
  ),
  operation(
    'canceled run',
    1,
    (choices) => ({ vp: aVp(choices) }),
    (side, { vp }) => {
      const fd = side.fd(vp);
      const canceled = side.native.vpCancel(fd);
      side.seen.push(canceled);
      if (canceled === 0) side.seen.push(side.native.vpRun(fd));
    },
  ),
  operation(
    'wrong run',
    0.5,
    (choices) => ({
      vp: choices.onceIn(3) ? aVp(choices) : aPartition(choices),
      how: choices.of('vpAttach', 'vpUseBlock', 'vpRun'),
    }),
    (side, { vp, how }) => {
      const fd = side.fd(vp);
      // Whatever is attached stays so until its descriptor is closed: only what is attached already.
      if (how === 'vpAttach' && vp.kind === 'vp') side.seen.push(side.native.vpAttach(fd, -1));
      else if (how === 'vpRun' && vp.kind !== 'vp') side.seen.push(side.native.vpRun(fd));
      else side.seen.push(side.native.vpUseBlock(fd, new Uint8Array(new SharedArrayBuffer(384))));
    },
  ),
  operation(
    'guest access',
    6,
    (choices) => ({
      slot: partitionSlot(choices),
      page: guestPage(choices),
      at: choices.upTo(4000),
      bytes: new Uint8Array(choices.of(1, 8, 24)).fill(choices.upTo(255)),
      write: choices.of(false, true),
    }),
    (side, { slot, page: where, at, bytes, write }) => {
      const partition = side.partition(slot);
      if (partition === undefined) return;
      const gpa = where * page + BigInt(at);
      side.seen.push(
        write
          ? side.machine.write(partition, gpa, bytes)
          : side.machine.read(partition, gpa, bytes.length),
      );
    },
  ),
  operation(
    'host access',
    3,
    (choices) => ({
      memory: memorySlot(choices),
      page: choices.onceIn(10) ? choices.of(519, 520) : choices.of(0, 1, 7),
      at: choices.upTo(4000),
      bytes: new Uint8Array(choices.of(1, 8, 24)).fill(choices.upTo(255)),
      write: choices.of(false, true),
    }),
    (side, { memory, page: where, at, bytes, write }) => {
      const offset = BigInt(where) * page + BigInt(at);
      const copy = bytes.slice();
      side.seen.push(
        write
          ? side.native.memoryWrite(side.memory(memory), offset, copy)
          : side.native.memoryRead(side.memory(memory), offset, copy),
        copy,
      );
    },
  ),
  operation(
    'access bitmap',
    4,
    (choices) => ({
      partition: aPartition(choices),
      page: guestPage(choices),
      type: choices.onceIn(20) ? choices.of(2, 256) : choices.upTo(1),
      operation: choices.onceIn(20) ? choices.of(3, 256) : choices.upTo(2),
      pages: choices.onceIn(8) ? choices.of(9, 65, 520, 0, 577) : choices.of(1, 2),
    }),
    (side, { partition, page: first, type, operation, pages }) => {
      const bitmap = new BigUint64Array(9).fill(~0n);
      const to = side.fd(partition);
      side.seen.push(
        side.native.accessBitmap(to, type, operation, first, pages, bitmap),
        new Uint8Array(bitmap.buffer),
      );
    },
  ),
];

const state: readonly Operation[] = [
  operation(
    'get state',
    2,
    (choices) => ({
      vp: aVp(choices),
      type: choices.onceIn(12) ? choices.of(5, 255, 256) : choices.upTo(4),
      size: choices.onceIn(3) ? choices.of(100, 8192, 0) : 4096,
    }),
    (side, { vp, type, size }) => {
      const bytes = new Uint8Array(size).fill(0xee);
      side.seen.push(side.native.vpGetState(side.fd(vp), type, bytes), bytes);
    },
  ),
  operation(
    'set state',
    2,
    (choices) => ({
      vp: aVp(choices),
      type: choices.onceIn(12) ? choices.of(5, 255, 256) : choices.upTo(4),
      size: choices.onceIn(3) ? choices.of(8192, 100, 0) : 4096,
      fill: choices.upTo(255),
    }),
    (side, { vp, type, size, fill }) => {
      const bytes = new Uint8Array(size).fill(fill);
      side.seen.push(side.native.vpSetState(side.fd(vp), type, bytes));
    },
  ),
  operation(
    'page',
    0.7,
    (choices) => ({ vp: aVp(choices), page: choices.of(1, 0, 2, 3) }),
    (side, { vp, page }) => {
      const view = side.native.vpPage(side.fd(vp), page);
      // The message page is a page of the kernel's with a message in front.
      side.seen.push(typeof view === 'number' ? view : new Uint8Array(view, 0, 256).slice());
    },
  ),
];

const call = (side: Side, fd: number, { code, reps, input, output }: Call): number =>
  side.hypercall(fd, code, reps, input, output);

/** Where calls are made from: mostly the partition, whose calls are all passed through. */
const caller = (choices: Choices): Which =>
  choices.onceIn(5) ? choices.of(aVp(choices), { kind: 'device', slot: 0 }) : aPartition(choices);

const passedThrough: readonly Operation[] = [
  operation(
    'hypercall',
    12,
    (choices) => ({ from: caller(choices), call: drawCall(choices) }),
    (side, given) => {
      call(side, side.fd(given.from), given.call);
    },
  ),
  operation(
    'wrong hypercall',
    3,
    (choices) => ({ from: caller(choices), call: drawWrongCall(choices) }),
    (side, given) => {
      call(side, side.fd(given.from), given.call);
    },
  ),
  operation(
    'refused hypercall',
    2,
    (choices) => ({
      slot: partitionSlot(choices),
      call: drawCall(choices),
      status: choices.of(...statuses),
      count: choices.of(1, 2),
    }),
    (side, given) => {
      const partition = side.partition(given.slot);
      if (partition === undefined) return;
      side.machine.refuse(given.call.code, given.status, given.count);
      for (let i = 0; i < given.count; i++) call(side, partition.fd, given.call);
    },
  ),
  operation(
    'unknown pending hypercall',
    0.2,
    (choices) => ({ slot: partitionSlot(choices) }),
    (side, { slot }) => {
      const partition = side.partition(slot);
      if (partition === undefined) return;
      const { code } = hypercalls.HVCALL_CLEAR_VIRTUAL_INTERRUPT;
      side.machine.refuse(code, hvStatusCodes.HV_STATUS_CALL_PENDING, 1);
      side.hypercall(partition.fd, code, 0, new Uint8Array(8), 0);
    },
  ),
];

/** The hypercalls that the driver makes by itself in what one can call, and calls that make sure to use a refusal up. */
const ownCalls: Readonly<Record<string, readonly [number, (side: Side, fd: number) => number]>> = {
  CREATE_PARTITION: [
    0x40,
    (side) => closeAgain(side, side.native.createPartition(side.device, 0n, 0n)),
  ],
  INITIALIZE_PARTITION: [
    0x41,
    (side) => {
      const fd = side.native.createPartition(side.device, 0n, 0n);
      const error = side.native.initializePartition(fd);
      // Without it there are no VPs.
      side.seen.push(closeAgain(side, side.native.createVp(fd, 0)));
      side.native.close(fd);
      return error;
    },
  ],
  MAP_GPA_PAGES: [
    0x4b,
    (side, fd) => {
      const map = (flags: number): number =>
        side.native.mapMemory(fd, side.memory(1), 0n, page, 0x9000_0000n, flags);
      const error = map(0);
      if (error === 0) map(memoryFlags.UNMAP);
      return error;
    },
  ],
  GET_VP_REGISTERS: [0x50, (side, fd) => ofRegisters(side, fd, 0x50)],
  SET_VP_REGISTERS: [0x51, (side, fd) => ofRegisters(side, fd, 0x51)],
  CREATE_PORT: [0x95, (side, fd) => doorbell(side, fd)],
  CONNECT_PORT: [0x96, (side, fd) => doorbell(side, fd)],
  ASSERT_VIRTUAL_INTERRUPT: [
    0x94,
    (side, fd) => side.hypercall(fd, 0x94, 0, new Uint8Array(32), 0),
  ],
};

function closeAgain(side: Side, fd: number): number {
  if (fd >= 0) side.native.close(fd);
  return Math.min(fd, 0);
}

function ofRegisters(side: Side, fd: number, code: number): number {
  const input = new Uint8Array(48);
  new DataView(input.buffer).setUint32(16, 0x90014, true);
  return code === 0x50
    ? side.hypercall(fd, code, 1, input.subarray(0, 20), 16)
    : side.hypercall(fd, code, 1, input, 0);
}

function doorbell(side: Side, fd: number): number {
  const set = (flags: number): number =>
    side.native.ioeventfd(fd, side.fd({ kind: 'event', slot: 0 }), 0x9000_0000n, 4, 0n, flags);
  const error = set(0);
  if (error === 0) set(ioeventfdFlags.DEASSIGN);
  return error;
}

/** What makes hypercalls of its own, and closes nothing: what a refusal would leave there nobody could see. */
const refusable = [...interrupts, ...doorbells, ...memory, ...state];

const ownHypercalls: readonly Operation[] = [
  operation(
    'refused to the driver',
    3,
    (choices) => ({
      slot: partitionSlot(choices),
      hypercall: choices.of(
        'MAP_GPA_PAGES',
        'SET_VP_REGISTERS',
        'ASSERT_VIRTUAL_INTERRUPT',
        'CREATE_PORT',
        'CONNECT_PORT',
        'GET_VP_REGISTERS',
        'CREATE_PARTITION',
        'INITIALIZE_PARTITION',
      ),
      status: choices.of(...statuses),
      count: choices.of(1, 2),
      step: refusable[choices.upTo(refusable.length - 1)]?.draw(choices),
    }),
    (side, { slot, hypercall, status, count, step }) => {
      const partition = side.partition(slot);
      const [code, useUp] = ownCalls[hypercall] ?? [];
      // Creating partitions takes long, and nothing else does it.
      const own = hypercall === 'CREATE_PARTITION' || hypercall === 'INITIALIZE_PARTITION';
      if (partition === undefined || code === undefined || useUp === undefined) return;
      side.machine.refuse(code, status, count);
      if (!own) step?.perform(side);
      for (let i = 0; i < count; i++) side.seen.push(useUp(side, partition.fd));
    },
  ),
];

const all = [
  ...interrupts,
  ...doorbells,
  ...memory,
  ...state,
  ...passedThrough,
  ...partitions,
  ...ownHypercalls,
] as const;

/** One place for each twentieth of weight. */
const places = all.flatMap((drawn) =>
  new Array<Operation>(Math.round(20 * drawn.weight)).fill(drawn),
);

/** Any operation with any arguments. */
export function drawStep(choices: Choices): Step {
  const drawn = places[choices.upTo(places.length - 1)];
  if (drawn === undefined) throw new Error('there are no operations');
  return drawn.draw(choices);
}

/** What every sequence begins with, so that most operations have something to operate on. */
export function prepare(side: Side): void {
  for (let slot = 0; slot < slots.partitions; slot++) {
    side.placePartition(slot, side.native.createPartition(side.device, 0n, 0n));
  }
  // The second one is left as it is made where a sequence does not go on with it.
  side.native.initializePartition(side.fd({ kind: 'partition', slot: 0 }));
  const partition = side.partition(0);
  if (partition === undefined) throw new Error('a partition could not be made');
  for (let index = 0; index < 2; index++) {
    side.placeVp(index, side.native.createVp(partition.fd, index), partition, index);
  }
  for (const bytes of side.memoryBytes()) bytes.fill(0);
}
