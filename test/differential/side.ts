import { irqfdFlags } from '../../lib/abi/irqfd.js';
import type { Native } from '../../lib/native.js';
import { giveBlock } from '../give-block.js';
import { makeBlocking } from '../hostile-peer.js';
import { interruptNumbers, type Machine, type Named } from './machine.js';

export const page = 4096n;
/** How many there are of each. The last events are semaphores. */
export const slots = { partitions: 2, vps: 4, events: 6, semaphores: 2, resample: 2, memories: 2 };
/** The first has more than the driver pages in, and maps, at a time. */
export const memoryPages = [520, 8] as const;

export const isSemaphoreSlot = (slot: number): boolean => slot >= slots.events - slots.semaphores;

/** What a call returned or a guest saw: the same on both sides, or they differ. */
export type Seen = number | bigint | boolean | string | Uint8Array;

export interface PartitionSlot extends Named {
  fd: number;
  readonly id: number;
  /** The VPs that it has, whose descriptors may be closed. */
  readonly vps: Set<number>;
}

export interface VpSlot {
  fd: number;
  readonly arbiter: number;
  /** Of its exits. */
  readonly block: Uint8Array;
  readonly partition: PartitionSlot;
  readonly index: number;
}

/** What can be in place of a descriptor of the right kind. */
export type Kind = 'device' | 'partition' | 'vp' | 'event' | 'resample' | 'closed';

/** A descriptor that a call is given: by what it is, since its number is another one on the other side. */
export interface Which {
  readonly kind: Kind;
  readonly slot: number;
}

/** One of the drivers, with what a sequence makes of it. */
export class Side {
  readonly machine: Machine;
  readonly native: Native;
  readonly device: number;
  readonly partitions: (PartitionSlot | undefined)[];
  readonly vps: (VpSlot | undefined)[];
  readonly memories: readonly number[];
  readonly events: number[];
  readonly resample: readonly number[];
  /** The slots whose event is blocking. */
  readonly blocking = new Set<number>();
  /** By event, the partition and the GSI that it was armed for with a resample eventfd. */
  readonly resampling = new Map<number, { partition: PartitionSlot; gsi: number }>();
  /** What the step at hand has seen, its result first. */
  readonly seen: Seen[] = [];
  readonly #result = new Uint32Array(2);
  /** Those that others have made blocking, by slot. */
  readonly #blocking: readonly number[];

  constructor(machine: Machine, { memories, blocking }: Lasting) {
    this.machine = machine;
    this.#blocking = blocking;
    this.native = machine.native;
    this.memories = memories;
    this.device = this.native.open(machine.path);
    this.partitions = new Array<undefined>(slots.partitions).fill(undefined);
    this.vps = new Array<undefined>(slots.vps).fill(undefined);
    this.events = Array.from({ length: slots.events }, (_, i) =>
      this.native.eventfdCreate(0, isSemaphoreSlot(i)),
    );
    // What the sequence before has left.
    for (const fd of blocking) while (typeof this.native.eventfdRead(fd) === 'bigint');
    this.resample = Array.from({ length: slots.resample }, () =>
      this.native.eventfdCreate(0, false),
    );
  }

  /** What all sequences have, one after the other: making it takes longer than they do. */
  static lasting(machine: Machine): Lasting {
    return { memories: Side.#memories(machine), blocking: blockingEvents(machine.native) };
  }

  static #memories({ native, path }: Machine): number[] {
    const memories = memoryPages.map((pages) =>
      native.memoryCreate(BigInt(pages) * page, false, false),
    );
    // The first mapping of a process is pinned where a signal comes meanwhile (mm_take_all_locks), as those do that
    // interrupt runs of VPs: it is made before the first of them.
    const device = native.open(path);
    const partition = native.createPartition(device, 0n, 0n);
    native.mapMemory(partition, memories[0] ?? -1, 0n, page, 0n, 0);
    native.close(partition);
    native.close(device);
    return memories;
  }

  /** The descriptor, or -1 where there is none. */
  fd({ kind, slot }: Which): number {
    switch (kind) {
      case 'device':
        return this.device;
      case 'partition':
        return this.partitions[slot % slots.partitions]?.fd ?? -1;
      case 'vp':
        return this.vps[slot % slots.vps]?.fd ?? -1;
      case 'event':
        return this.events[slot % slots.events] ?? -1;
      case 'resample':
        return this.resample[slot % slots.resample] ?? -1;
      case 'closed':
        return -1;
    }
  }

  /** A partition whose descriptor is open. */
  partition(slot: number): PartitionSlot | undefined {
    const found = this.partitions[slot];
    return found !== undefined && found.fd >= 0 ? found : undefined;
  }

  memory(slot: number): number {
    return this.memories[slot] ?? -1;
  }

  /** Puts what has been created in the place of what was there. */
  placePartition(slot: number, fd: number): void {
    this.closePartition(slot);
    this.partitions[slot] = { fd, id: this.machine.newest(), vps: new Set() };
  }

  placeVp(slot: number, fd: number, partition: PartitionSlot, index: number): void {
    partition.vps.add(index);
    this.closeVp(slot);
    const arbiter = this.native.vpAttach(fd, -1);
    const block = giveBlock(this.native, fd);
    this.vps[slot] = { fd, arbiter, block, partition, index };
  }

  closePartition(slot: number): number {
    const found = this.partitions[slot];
    if (found === undefined) return -1;
    this.partitions[slot] = undefined;
    const fd = found.fd;
    found.fd = -1;
    return this.native.close(fd);
  }

  closeVp(slot: number): number {
    const found = this.vps[slot];
    if (found === undefined) return -1;
    this.vps[slot] = undefined;
    this.native.close(found.arbiter);
    return this.native.close(found.fd);
  }

  /** Puts an event that others have made blocking, with what is left in it, in the place of one. */
  placeBlockingEvent(slot: number): void {
    this.placeEvent(slot, this.native.dup(this.#blocking[slot] ?? -1));
    this.blocking.add(slot);
  }

  placeEvent(slot: number, fd: number): void {
    this.blocking.delete(slot);
    this.native.close(this.fd({ kind: 'event', slot }));
    this.events[slot] = fd;
    // The driver disarms what was closed by a work queue, and waits for that in any MSHV_IRQFD that disarms.
    const partition = this.partitions.find((found) => found !== undefined);
    if (partition === undefined) return;
    this.native.irqfd(partition.fd, fd, -1, 0xffff_ffff, irqfdFlags.DEASSIGN);
  }

  /** A hypercall: its error, then what the hypervisor said and wrote. */
  hypercall(fd: number, code: number, reps: number, input: Uint8Array, output: number): number {
    const bytes = new Uint8Array(output);
    const error = this.native.hypercall(fd, code, reps, input, bytes, this.#result);
    this.seen.push(error, this.#result[0] ?? 0, this.#result[1] ?? 0);
    if (error === 0) this.seen.push(bytes);
    return error;
  }

  /** Takes the interrupts that have come. */
  takeInterrupts(): void {
    this.machine.interrupts(this.partitions).forEach((interrupts, slot) => {
      for (const interrupt of interrupts) {
        this.seen.push(`interrupt of partition ${slot}`, ...interruptNumbers(interrupt));
      }
    });
  }

  /** Looks at all that can be looked at without changing it, but for resample eventfds, which are read. */
  look(): void {
    for (const fd of this.events) this.seen.push(this.native.eventfdPoll(fd));
    for (const fd of this.resample) this.seen.push(this.native.eventfdRead(fd));
  }

  /** The guest memory as it is. */
  memoryBytes(): Uint8Array[] {
    return this.memories.map((memory) => {
      const view = this.native.memoryBuffer(memory);
      if (typeof view === 'number') throw new Error(`guest memory cannot be seen: ${view}`);
      return new Uint8Array(view);
    });
  }

  close(): void {
    for (let slot = 0; slot < slots.vps; slot++) this.closeVp(slot);
    for (let slot = 0; slot < slots.partitions; slot++) this.closePartition(slot);
    for (const fd of [...this.events, ...this.resample, this.device]) this.native.close(fd);
  }
}

/** What is made once for all sequences. */
export interface Lasting {
  readonly memories: readonly number[];
  readonly blocking: readonly number[];
}

/** Eventfds that another process, which is told of them, makes blocking: one for each event. */
function blockingEvents(native: Native): number[] {
  const fds = Array.from({ length: slots.events }, (_, slot) =>
    native.eventfdCreate(0, isSemaphoreSlot(slot)),
  );
  makeBlocking(...fds);
  return fds;
}

/** Where two sides differ: the first place in what they have seen, or -1. */
export function difference(expected: readonly Seen[], got: readonly Seen[]): number {
  const length = Math.max(expected.length, got.length);
  for (let i = 0; i < length; i++) {
    const [a, b] = [expected[i], got[i]];
    if (a === b) continue;
    if (a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0) continue;
    return i;
  }
  return -1;
}
